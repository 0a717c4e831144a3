//! Header fields that a cache takes away, reads or writes on the way.

use holm_model::units::Timestamp;
use http::header::{
    AGE, CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use smallvec::SmallVec;

use crate::meta::StoredMeta;
use crate::surrogate::SURROGATE_CONTROL;
use crate::targeted::{CDN_CACHE_CONTROL, HOLM_CACHE_CONTROL};

/// RFC 9110 §7.6.1: removes what `Connection` lists, and `Connection` itself.
pub fn strip_connection_listed(headers: &mut HeaderMap) {
    if let Some(listed) = listed_by_connection(headers) {
        for name in listed {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
}

/// RFC 9110 §7.6.1: removes what concerns one connection only, also what `Connection` lists. `TE: trailers` stays, for
/// it is true of us (§10.1.4).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    strip_connection_listed(headers);
    let trailers = headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")));
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes what is meant for this cache alone: no client shall see it.
pub fn strip_for_client(headers: &mut HeaderMap) {
    for name in &FOR_US {
        headers.remove(name);
    }
}

/// The tags that `Surrogate-Key` (by spaces) and `Cache-Tag` (by commas) give a response.
#[must_use]
pub fn extract_tags(headers: &HeaderMap) -> SmallVec<[&str; 4]> {
    if !headers.contains_key(&SURROGATE_KEY) && !headers.contains_key(&CACHE_TAG) {
        return SmallVec::new();
    }
    let texts = |name: HeaderName| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let keys = texts(SURROGATE_KEY).flat_map(str::split_ascii_whitespace);
    let tags = texts(CACHE_TAG).flat_map(|value| value.split(',')).map(str::trim);
    keys.chain(tags).filter(|tag| !tag.is_empty()).collect()
}

/// RFC 9111 §5.1: writes the current age of a stored response.
pub fn write_age(headers: &mut HeaderMap, meta: &StoredMeta, now: Timestamp) {
    headers.insert(AGE, HeaderValue::from(meta.age(now).as_secs()));
}

fn listed_by_connection(headers: &HeaderMap) -> Option<SmallVec<[HeaderName; 4]>> {
    if !headers.contains_key(CONNECTION) {
        return None;
    }
    let names = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        // A field that frames or routes the message cannot be called hop-by-hop by a client.
        .filter(|name| !PROTECTED.contains(name))
        .collect();
    Some(names)
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// Those of proxies are for the next hop too (RFC 9110 §11.7), and not to be stored (RFC 9111 §3.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHENTICATION_INFO,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];
const FOR_US: [HeaderName; 5] = [SURROGATE_KEY, CACHE_TAG, SURROGATE_CONTROL, CDN_CACHE_CONTROL, HOLM_CACHE_CONTROL];
const PROTECTED: [HeaderName; 6] = [
    http::header::HOST,
    http::header::CONTENT_LENGTH,
    http::header::CACHE_CONTROL,
    http::header::AUTHORIZATION,
    TRAILER,
    TE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_fields_go() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret, host"),
            ("x-secret", "1"),
            ("host", "a"),
            ("keep-alive", "5"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("proxy-authentication-info", "1"),
            ("x-kept", "1"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "te", "x-kept"]);
        assert_eq!(headers["te"], "trailers");
    }

    #[test]
    fn tags() {
        let check = |fields: &[(&'static str, &str)], expected: &[&str]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(extract_tags(&headers).as_slice(), expected, "{fields:?}");
        };
        check(&[], &[]);
        check(&[("surrogate-key", "a  b")], &["a", "b"]);
        check(&[("cache-tag", "a, b,"), ("cache-tag", "c d")], &["a", "b", "c d"]);
    }
}
