//! A handler that says hello: it answers every request with the path that was asked for.

use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let text = format!("Hello from Holm! You asked for {}.\n", request.uri().path());
    let response = Response::builder()
        .header("content-type", "text/plain; charset=utf-8")
        .header("x-handler", "hello")
        .body(Body::from(text))?;
    Ok(response)
}
