//! Conditional requests and entity tags. RFC 9110 §8.8.3, §13. Parts: request fields, stored fields.

use holm_cache_policy::Conditional;
use http::header::{ETAG, HeaderMap, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderValue, Method};

use crate::input::{fields, parts};
use crate::subject::conditions;

pub(super) fn run(bytes: &[u8]) {
    let [request, stored] = parts(bytes);
    let (request, stored) = (fields(request), fields(stored));
    for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
        let found = conditions(&method, &request, &stored);
        let reads = matches!(method, Method::GET | Method::HEAD);
        assert!(reads || found != Conditional::NotModified, "304 to {method}");
    }
    let mut plain = request;
    for name in [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE] {
        plain.remove(name);
    }
    assert_eq!(conditions(&Method::GET, &plain, &stored), Conditional::Proceed, "no condition");
    own_tag(plain, &stored);
}

/// §13.1.2: a client that has the stored response has it.
fn own_tag(mut request: HeaderMap, stored: &HeaderMap) {
    let Some(tag) = stored.get(ETAG).filter(|tag| is_entity_tag(tag)) else { return };
    request.insert(IF_NONE_MATCH, tag.clone());
    assert_eq!(conditions(&Method::GET, &request, stored), Conditional::NotModified, "{tag:?}");
    request.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
    assert_eq!(conditions(&Method::GET, &request, stored), Conditional::NotModified, "*");
}

/// §8.8.3, without the bytes that no text has.
fn is_entity_tag(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let opaque = bytes.strip_prefix(b"W/").unwrap_or(bytes);
    let inner = opaque.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.is_some_and(|inner| inner.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e)))
}
