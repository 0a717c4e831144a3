//! The answer to one request.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};

use crate::body::Pattern;
use crate::counts::Counts;
use crate::wishes::Wishes;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Answers as the query asks.
pub(crate) async fn answer(counts: Arc<Counts>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    match path {
        "/-/healthz" => return Ok(plain(StatusCode::OK, "text/plain", "ok\n".into())),
        "/-/requests" => return Ok(plain(StatusCode::OK, "application/json", counts.json())),
        _ => {}
    }
    let count = counts.count(path);
    let wishes = match Wishes::read(request.uri().query().unwrap_or_default()) {
        Ok(wishes) => wishes,
        Err(message) => return Ok(plain(StatusCode::BAD_REQUEST, "text/plain", format!("{message}\n"))),
    };
    tokio::time::sleep(wishes.delay).await;
    Ok(shaped(&counts.name, count, &wishes, request))
}

/// A response that no cache stores.
fn plain(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn shaped(name: &str, count: u64, wishes: &Wishes, request: Request<Incoming>) -> Response<Body> {
    let etag = etag(wishes, request.uri());
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|value| *value == etag);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if reads && known && wishes.status == StatusCode::OK {
        let mut response = Response::new(full(String::new()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(body(name, count, wishes, request));
        *response.status_mut() = wishes.status;
        response
    };
    let headers = response.headers_mut();
    if let Ok(name) = HeaderValue::from_str(name) {
        headers.insert("origin-name", name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::CACHE_CONTROL, wishes.cache_control.clone());
    headers.insert(header::ETAG, etag);
    if let Some(tag) = &wishes.tag {
        headers.insert("surrogate-key", tag.clone());
    }
    if let Some(field) = &wishes.vary {
        headers.insert(header::VARY, HeaderValue::from_name(field.clone()));
    }
    response
}

/// What was asked for, else what was sent, else a line that differs from answer to answer: who sees it twice sees a
/// stored response.
fn body(name: &str, count: u64, wishes: &Wishes, request: Request<Incoming>) -> Body {
    if let Some(size) = wishes.size {
        return Pattern::new(size).map_err(|never| match never {}).boxed_unsync();
    }
    if !request.body().is_end_stream() {
        return request.into_body().boxed_unsync();
    }
    full(format!("{name}: answer {count} to {}\n", request.uri().path()))
}

/// As asked for, else weak: the same for the same request, whichever origin answers.
fn etag(wishes: &Wishes, uri: &http::Uri) -> HeaderValue {
    let made = || {
        let mut hasher = DefaultHasher::new();
        uri.path_and_query().hash(&mut hasher);
        format!("W/\"{:016x}\"", hasher.finish())
    };
    let text = wishes.etag.as_ref().map_or_else(made, |text| format!("\"{text}\""));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("W/\"none\""))
}

fn full(text: String) -> Body {
    Full::from(text).map_err(|never| match never {}).boxed_unsync()
}
