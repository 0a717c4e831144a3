//! `/api/offer`: price and stock, each from an origin's path, in one answer. Both are fetched at once from the host that
//! the request was sent to, so they come through the site's cache.

use futures_lite::future::zip;
use serde::Serialize;
use serde_json::Value;
use wstd::http::{Body, Client, Error, Request, Response, Uri};

/// The answer.
#[derive(Serialize)]
struct Offer {
    currency: String,
    price: Part,
    stock: Part,
}

/// What one of the origins said.
#[derive(Serialize)]
struct Part {
    status: u16,
    /// How the cache answered (RFC 9211).
    cache: Option<String>,
    /// JSON as it is, everything else as text.
    said: Value,
}

/// Joins both.
pub async fn answer(request: &Request<Body>) -> Result<Response<Body>, Error> {
    let (price, stock) = zip(part(request.uri(), "/origin/price"), part(request.uri(), "/origin/stock")).await;
    let currency = std::env::var("CURRENCY").unwrap_or_else(|_| "EUR".to_owned());
    let offer = Offer { currency, price: price?, stock: stock? };
    let body = Body::from_json(&offer)?;
    Ok(Response::builder().header("content-type", "application/json").body(body)?)
}

async fn part(called: &Uri, path: &str) -> Result<Part, Error> {
    let scheme = called.scheme_str().unwrap_or("http");
    let authority = called.authority().map_or("", |authority| authority.as_str());
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build()?;
    let response = Client::new().send(Request::get(uri).body(Body::empty())?).await?;
    let (head, mut body) = response.into_parts();
    let cache = head.headers.get("cache-status").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = body.str_contents().await?.trim();
    let said = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    Ok(Part { status: head.status.as_u16(), cache, said })
}
