//! Conditional requests answered from a stored response. RFC 9110 §13.

use holm_model::units::Timestamp;
use http::Method;
use http::header::{
    ETAG, HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};

use crate::freshness::date;

/// What a request's conditions make of a stored 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditional {
    /// Answer as if there were none.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// §13.2.2: evaluates the conditions in their order against the stored response.
#[must_use]
pub fn evaluate_conditions(method: &Method, request: &HeaderMap, stored: &HeaderMap) -> Conditional {
    let etag = stored.get(ETAG).and_then(|value| value.to_str().ok());
    let modified = date(stored, &LAST_MODIFIED);
    if request.contains_key(IF_MATCH) {
        if !any_tag(request, &IF_MATCH, etag, |a, b| strong_match(a.as_bytes(), b.as_bytes())) {
            return Conditional::PreconditionFailed;
        }
    } else if let (Some(since), Some(modified)) = (date(request, &IF_UNMODIFIED_SINCE), modified)
        && modified > since
    {
        return Conditional::PreconditionFailed;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if request.contains_key(IF_NONE_MATCH) {
        return match any_tag(request, &IF_NONE_MATCH, etag, weak_match) {
            true if reads => Conditional::NotModified,
            true => Conditional::PreconditionFailed,
            false => Conditional::Proceed,
        };
    }
    if reads && unmodified_since(request, stored, modified) { Conditional::NotModified } else { Conditional::Proceed }
}

/// §13.1.3; without `Last-Modified` the stored `Date` tells when it was known to be so (RFC 9111 §4.3.2).
fn unmodified_since(request: &HeaderMap, stored: &HeaderMap, modified: Option<Timestamp>) -> bool {
    let Some(since) = date(request, &IF_MODIFIED_SINCE) else { return false };
    modified.or_else(|| date(stored, &http::header::DATE)).is_some_and(|modified| modified <= since)
}

fn any_tag(request: &HeaderMap, name: &HeaderName, etag: Option<&str>, matches: fn(&str, &str) -> bool) -> bool {
    request.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|list| {
        list.trim() == "*" || etag.is_some_and(|etag| entity_tags(list).any(|candidate| matches(candidate, etag)))
    })
}

/// §8.8.3.2.
pub(crate) fn strong_match(a: &[u8], b: &[u8]) -> bool {
    a == b && !a.starts_with(b"W/")
}

fn weak_match(a: &str, b: &str) -> bool {
    a.trim_start_matches("W/") == b.trim_start_matches("W/")
}

/// The entity tags of a list; a comma may stand within one. Some origins send tags without quotes: those too.
fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |c: char| {
        if c == '"' {
            quoted = !quoted;
        }
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: (&'static str, &str), stored: (&'static str, &str), expected: Conditional) {
        let map = |(name, value): (&'static str, &str)| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        assert_eq!(
            evaluate_conditions(&Method::GET, &map(request), &map(stored)),
            expected,
            "{request:?} against {stored:?}"
        );
    }

    #[test]
    fn conditions() {
        use Conditional::{NotModified, PreconditionFailed, Proceed};
        check(("if-none-match", "\"a\""), ("etag", "\"a\""), NotModified);
        check(("if-none-match", "W/\"a\""), ("etag", "\"a\""), NotModified);
        check(("if-none-match", "\"b\", \"a\""), ("etag", "W/\"a\""), NotModified);
        check(("if-none-match", "\"x,y\""), ("etag", "\"x,y\""), NotModified);
        check(("if-none-match", "*"), ("etag", "\"a\""), NotModified);
        check(("if-none-match", "\"b\""), ("etag", "\"a\""), Proceed);
        check(("if-match", "\"b\""), ("etag", "\"a\""), PreconditionFailed);
        check(("if-match", "\"a\""), ("etag", "\"a\""), Proceed);
        check(("if-match", "W/\"a\""), ("etag", "W/\"a\""), PreconditionFailed);
        let old = "Tue, 15 Nov 1994 12:00:00 GMT";
        let new = "Wed, 16 Nov 1994 12:00:00 GMT";
        check(("if-modified-since", old), ("last-modified", old), NotModified);
        check(("if-modified-since", new), ("last-modified", old), NotModified);
        check(("if-modified-since", old), ("last-modified", new), Proceed);
        check(("if-modified-since", "x"), ("last-modified", old), Proceed);
        check(("if-unmodified-since", old), ("last-modified", new), PreconditionFailed);
        check(("if-unmodified-since", new), ("last-modified", old), Proceed);
    }
}
