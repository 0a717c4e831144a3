//! `Cache-Control` and the targeted fields. RFC 9111 §5.2, RFC 9213.

use holm_cache_policy::{RequestDirectives, ResponseDirectives};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName};

use crate::input::{joined, lines, parts, quotes, values};

/// Lines of `Cache-Control` of a request.
pub(super) fn request(bytes: &[u8]) {
    let fields = values(&CACHE_CONTROL, bytes);
    let parsed = RequestDirectives::parse(&fields);
    // §5.2: names are case-insensitive, and arguments of ours are numbers.
    assert_eq!(RequestDirectives::parse(&in_capitals(&fields)), parsed);
    if !quotes(&fields) {
        assert_eq!(RequestDirectives::parse(&joined(&fields, &CACHE_CONTROL)), parsed);
    }
    let mut more = fields;
    more.append(CACHE_CONTROL, HeaderValue::from_static("No-Store"));
    assert!(RequestDirectives::parse(&more).no_store(), "a directive is lost");
}

/// Lines of `Cache-Control` of a response.
pub(super) fn response(bytes: &[u8]) {
    let fields = values(&CACHE_CONTROL, bytes);
    let parsed = ResponseDirectives::parse(&fields);
    if !quotes(&fields) {
        assert_eq!(ResponseDirectives::parse(&in_capitals(&fields)), parsed);
        assert_eq!(ResponseDirectives::parse(&joined(&fields, &CACHE_CONTROL)), parsed);
    }
}

/// A targeted field's lines, and then those of `Cache-Control`.
pub(super) fn targeted(bytes: &[u8]) {
    let [targeted, untargeted] = parts(bytes);
    let plain = values(&CACHE_CONTROL, untargeted);
    let parsed = ResponseDirectives::parse(&plain);
    for name in TARGETED.map(HeaderName::from_static) {
        let mut both = plain.clone();
        both.extend(values(&name, targeted));
        let with = ResponseDirectives::parse(&both);
        // RFC 9213 §2.1: one that cannot be parsed is ignored as a whole. No key begins with a digit (RFC 9651 §3.2).
        let mut malformed = plain.clone();
        for line in [&b"1a"[..]].into_iter().chain(lines(targeted)) {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                malformed.append(name.clone(), value);
            }
        }
        assert_eq!(ResponseDirectives::parse(&malformed), parsed, "{name} is malformed and counts");
        // §2.2: where it counts, Cache-Control does not.
        if with != parsed {
            both.remove(CACHE_CONTROL);
            assert_eq!(ResponseDirectives::parse(&both), with, "{name} counts, and Cache-Control too");
        }
    }
}

fn in_capitals(fields: &HeaderMap) -> HeaderMap {
    let capitals = |(name, value): (&HeaderName, &HeaderValue)| {
        Some((name.clone(), HeaderValue::from_bytes(&value.as_bytes().to_ascii_uppercase()).ok()?))
    };
    let mut changed = HeaderMap::new();
    for (name, value) in fields.iter().filter_map(capitals) {
        changed.append(name, value);
    }
    changed
}

const TARGETED: [&str; 2] = ["cdn-cache-control", "holm-cache-control"];
