//! The shop's API: a handler in front of the cache. `/api/offer` joins what the origins say of price and stock, fetched
//! through the cache; `/api/echo` streams a body back; the rest of `/api/` shows what a broken handler does.

mod faults;
mod offer;

use wstd::http::{Body, Error, Request, Response, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    match request.uri().path() {
        "/api/offer" => offer::answer(&request).await,
        "/api/echo" => echo(request),
        "/api/trap" => faults::trap(),
        "/api/spin" => faults::spin(),
        "/api/hoard" => faults::hoard(),
        "/api/cut" => faults::cut(),
        "/api/short" => faults::short(),
        "/api/silent" => faults::silent().await,
        path => not_found(path),
    }
}

/// Sends the request's body back as it comes, trailers too.
fn echo(request: Request<Body>) -> Result<Response<Body>, Error> {
    let mut response = Response::builder();
    for name in ["content-type", "content-length"] {
        if let Some(value) = request.headers().get(name) {
            response = response.header(name, value);
        }
    }
    Ok(response.body(request.into_body())?)
}

fn not_found(path: &str) -> Result<Response<Body>, Error> {
    let text = format!("There is nothing at {path}.\n");
    Ok(Response::builder().status(StatusCode::NOT_FOUND).body(Body::from(text))?)
}
