//! Answers: a response for one client made of a stored one, or of nothing but an error.

use bytes::Bytes;
use holm_cache_policy::{Conditional, RangeSelection, evaluate_conditions, select_range, write_age};
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{Method, Request, Response, StatusCode};

use crate::stored::StoredResponse;

/// Where the bytes of an answer come from.
pub(crate) enum Source {
    /// All of them are here.
    Whole(Bytes),
    /// They arrive.
    Stream(Body),
}

/// The answer to `request` that a stored response gives: whole, a part (206), nothing new (304), or none (412, 416).
pub(crate) fn from_stored(
    request: &Request<Body>,
    head: &StoredResponse,
    source: Source,
    now: Timestamp,
) -> Response<Body> {
    let wanted = request.headers();
    if is_plain(wanted) || head.status != StatusCode::OK {
        return whole(request.method(), head, source, now);
    }
    match evaluate_conditions(request.method(), wanted, &head.headers) {
        Conditional::NotModified => return not_modified(head, now),
        Conditional::Proceed => {}
    }
    let Source::Whole(bytes) = source else { return whole(request.method(), head, source, now) };
    match select_range(wanted, &head.headers, bytes.len() as u64) {
        // RFC 9110 §14.2: a range means something to GET only.
        _ if *request.method() != Method::GET => whole(request.method(), head, Source::Whole(bytes), now),
        RangeSelection::Part { first, last } => part(head, &bytes, first, last, now),
        RangeSelection::Unsatisfiable => unsatisfiable(bytes.len() as u64),
        RangeSelection::Whole => whole(request.method(), head, Source::Whole(bytes), now),
    }
}

/// An error made here: a short text that names the reason, not to be stored.
pub(crate) fn error(status: StatusCode, reason: &str) -> Response<Body> {
    let text = format!("{} {}: {reason}\n", status.as_u16(), status.canonical_reason().unwrap_or("error"));
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The common case of a hit: no condition, no range.
fn is_plain(headers: &HeaderMap) -> bool {
    !SELECTIVE.iter().any(|name| headers.contains_key(name))
}

fn whole(method: &Method, head: &StoredResponse, source: Source, now: Timestamp) -> Response<Body> {
    let body = match source {
        _ if *method == Method::HEAD => Body::empty(),
        Source::Whole(bytes) => Body::full(bytes),
        Source::Stream(body) => body,
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers.clone();
    write_age(response.headers_mut(), &head.meta, now);
    response
}

/// RFC 9110 §15.3.7.
fn part(head: &StoredResponse, bytes: &Bytes, first: u64, last: u64, now: Timestamp) -> Response<Body> {
    let total = bytes.len() as u64;
    let place = |at: u64| usize::try_from(at.min(total)).unwrap_or(bytes.len());
    let mut response =
        whole(&Method::GET, head, Source::Whole(bytes.slice(place(first)..place(last.saturating_add(1)))), now);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(last - first + 1));
    if let Ok(value) = HeaderValue::from_str(&format!("bytes {first}-{last}/{total}")) {
        headers.insert(CONTENT_RANGE, value);
    }
    response
}

/// RFC 9110 §15.5.17.
fn unsatisfiable(total: u64) -> Response<Body> {
    let mut response = with_status(StatusCode::RANGE_NOT_SATISFIABLE);
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{total}")) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

/// RFC 9110 §15.4.5: what a 200 would have said of the content's identity and freshness, and nothing of its form.
fn not_modified(head: &StoredResponse, now: Timestamp) -> Response<Body> {
    let mut response = with_status(StatusCode::NOT_MODIFIED);
    let headers = response.headers_mut();
    *headers = head.headers.clone();
    for name in FORM {
        headers.remove(name);
    }
    write_age(headers, &head.meta, now);
    response
}

fn with_status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

const SELECTIVE: [HeaderName; 5] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE, RANGE];
const FORM: [HeaderName; 2] = [CONTENT_LENGTH, CONTENT_TYPE];
