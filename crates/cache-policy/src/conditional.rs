//! Conditional requests answered from a stored response. RFC 9110 §13, RFC 9111 §4.3.2.

use holm_model::units::Timestamp;
use http::Method;
use http::header::{
    DATE, ETAG, HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};

use crate::date::date;
use crate::members::members;
use crate::methods::is_query;

/// What a request's conditions make of a stored 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditional {
    /// Answer as if there were none.
    Proceed,
    /// 304: the client has it.
    NotModified,
}

/// RFC 9111 §4.3.2: the conditions that a cache answers from what it has stored. `If-Match` and `If-Unmodified-Since`
/// are not among them: they guard the state at the origin, and [`precondition_fails`] is for who has that.
#[must_use]
pub fn evaluate_conditions(method: &Method, request: &HeaderMap, stored: &HeaderMap) -> Conditional {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let unchanged = if request.contains_key(IF_NONE_MATCH) {
        (reads || is_query(method)) && any_tag(request, &IF_NONE_MATCH, etag(stored), weak_match)
    } else {
        reads && unmodified_since(request, stored)
    };
    if unchanged { Conditional::NotModified } else { Conditional::Proceed }
}

/// RFC 9110 §13.1.1, §13.1.4: does a condition fail that only the origin can evaluate (412)? For responses that are made
/// here; a stored response says nothing of what the origin has now.
#[must_use]
pub fn precondition_fails(request: &HeaderMap, current: &HeaderMap) -> bool {
    if request.contains_key(IF_MATCH) {
        return !any_tag(request, &IF_MATCH, etag(current), strong_match);
    }
    let since = only_date(request, &IF_UNMODIFIED_SINCE);
    matches!((since, date(current, &LAST_MODIFIED, None)), (Some(since), Some(modified)) if modified > since)
}

/// §13.1.3; without `Last-Modified` the stored `Date` tells when it was known to be so (RFC 9111 §4.3.2).
fn unmodified_since(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(since) = only_date(request, &IF_MODIFIED_SINCE) else { return false };
    let modified = if stored.contains_key(LAST_MODIFIED) { LAST_MODIFIED } else { DATE };
    date(stored, &modified, None).is_some_and(|modified| modified <= since)
}

/// §13.1.3: a condition that is no date, or is there more than once, is ignored.
fn only_date(request: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    let once = request.get_all(name).iter().nth(1).is_none();
    date(request, name, None).filter(|_| once)
}

fn etag(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(ETAG).map(|value| value.as_bytes().trim_ascii()).filter(|tag| !tag.is_empty())
}

fn any_tag(request: &HeaderMap, name: &HeaderName, etag: Option<&[u8]>, matches: fn(&[u8], &[u8]) -> bool) -> bool {
    members(request, name).any(|candidate| candidate == b"*" || etag.is_some_and(|etag| matches(candidate, etag)))
}

/// §8.8.3.2.
pub(crate) fn strong_match(a: &[u8], b: &[u8]) -> bool {
    a == b && is_strong(a)
}

/// §8.8.3: a tag in quotes and nothing before them. What is no valid tag proves nothing of a body's bytes.
pub(crate) fn is_strong(tag: &[u8]) -> bool {
    matches!(tag, [b'"', .., b'"'])
}

/// §8.8.3.2. There are origins that send tags without quotes, and clients that take quotes away or put them: the same
/// tag is meant.
fn weak_match(a: &[u8], b: &[u8]) -> bool {
    opaque(a) == opaque(b)
}

fn opaque(tag: &[u8]) -> &[u8] {
    let tag = if is_weak(tag) { &tag[2..] } else { tag };
    tag.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(tag)
}

fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/") || tag.starts_with(b"w/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    type Fields<'a> = &'a [(&'static str, &'a str)];

    const OLD: &str = "Tue, 15 Nov 1994 12:00:00 GMT";
    const NEW: &str = "Wed, 16 Nov 1994 12:00:00 GMT";
    const INM: &str = "if-none-match";
    const IMS: &str = "if-modified-since";

    fn not_modified(method: &str, request: Fields<'_>, stored: Fields<'_>) -> bool {
        let found = evaluate_conditions(&method.parse().unwrap(), &headers(request), &headers(stored));
        found == Conditional::NotModified
    }

    fn check(request: Fields<'_>, stored: Fields<'_>, expected: bool) {
        assert_eq!(not_modified("GET", request, stored), expected, "{request:?} against {stored:?}");
    }

    /// RFC 9110 §13.1.2.
    #[test]
    fn if_none_match() {
        let tags = |wanted: &str, etag: &str, expected| check(&[(INM, wanted)], &[("etag", etag)], expected);
        tags("\"a\"", "\"a\"", true);
        tags("\"b\"", "\"a\"", false);
        tags("W/\"a\"", "\"a\"", true);
        tags("\"a\"", "W/\"a\"", true);
        tags("w/\"a\"", "w/\"a\"", true);
        tags("\"b\", \"a\"", "W/\"a\"", true);
        tags("\"x,y\"", "\"x,y\"", true);
        tags("\"x,a\"", "a", false);
        tags("*", "\"a\"", true);
        tags("\"*\"", "\"a\"", false);
        tags("", "\"a\"", false);
        // Tags without quotes.
        tags("a", "a", true);
        tags("a", "\"a\"", true);
        tags("\"a\"", "a", true);
        tags("W\\\"a\"", "W\\\"a\"", true);
        check(&[(INM, "*")], &[], true);
        check(&[(INM, "\"a\"")], &[], false);
        check(&[(INM, "\"b\""), (INM, "\"a\"")], &[("etag", "\"a\"")], true);
    }

    /// RFC 9110 §8.8.3: a tag may hold bytes beyond ASCII.
    #[test]
    fn tags_of_any_bytes() {
        let map = |name: HeaderName| {
            let value = http::HeaderValue::from_bytes(b"\"\xe9\xff\"").unwrap();
            HeaderMap::from_iter([(name, value)])
        };
        let found = evaluate_conditions(&Method::GET, &map(IF_NONE_MATCH), &map(ETAG));
        assert_eq!(found, Conditional::NotModified);
    }

    /// RFC 9110 §13.1.3, RFC 9111 §4.3.2.
    #[test]
    fn if_modified_since() {
        let modified = [("last-modified", OLD)];
        check(&[(IMS, OLD)], &modified, true);
        check(&[(IMS, NEW)], &modified, true);
        check(&[(IMS, "Tuesday, 15-Nov-94 12:00:00 GMT")], &modified, true);
        check(&[(IMS, "Tue Nov 15 12:00:00 1994")], &modified, true);
        check(&[(IMS, OLD)], &[("last-modified", NEW)], false);
        check(&[(IMS, "x")], &modified, false);
        check(&[(IMS, OLD), (IMS, OLD)], &modified, false);
        check(&[(IMS, OLD), (INM, "\"a\"")], &modified, false);
        check(&[(IMS, OLD)], &[("date", OLD)], true);
        check(&[(IMS, OLD)], &[("date", NEW)], false);
        check(&[(IMS, OLD)], &[("last-modified", NEW), ("date", OLD)], false);
        check(&[(IMS, OLD)], &[("last-modified", "x"), ("date", OLD)], false);
        check(&[(IMS, OLD)], &[], false);
    }

    #[test]
    fn methods() {
        let check = |method: &str, by_tag: bool, by_date: bool| {
            assert_eq!(not_modified(method, &[(INM, "*")], &[]), by_tag, "{method}");
            assert_eq!(not_modified(method, &[(IMS, OLD)], &[("last-modified", OLD)]), by_date, "{method}");
        };
        check("GET", true, true);
        check("HEAD", true, true);
        check("QUERY", true, false);
        check("POST", false, false);
    }

    /// RFC 9110 §13.1.1, §13.1.4.
    #[test]
    fn preconditions() {
        let check = |request: (&'static str, &str), current: (&'static str, &str), expected: bool| {
            assert!(!not_modified("GET", &[request], &[current]), "not for caches: {request:?}");
            assert_eq!(precondition_fails(&headers(&[request]), &headers(&[current])), expected, "{request:?}");
        };
        check(("if-match", "\"b\""), ("etag", "\"a\""), true);
        check(("if-match", "\"a\""), ("etag", "\"a\""), false);
        check(("if-match", "\"b\", \"a\""), ("etag", "\"a\""), false);
        check(("if-match", "*"), ("etag", "\"a\""), false);
        check(("if-match", "W/\"a\""), ("etag", "W/\"a\""), true);
        check(("if-unmodified-since", OLD), ("last-modified", NEW), true);
        check(("if-unmodified-since", NEW), ("last-modified", OLD), false);
        check(("if-unmodified-since", "x"), ("last-modified", OLD), false);
    }
}
