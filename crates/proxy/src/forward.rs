//! The fields that a tier writes on a request it passes on: who asked, which way it came, and whether it goes in circles.

use std::net::IpAddr;

use holm_cache_policy::is_safe;
use holm_model::fields;
use http::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, VIA};
use http::{Method, Version};

use crate::internal::Scheme;

/// `CDN-Loop` (RFC 8586).
pub(crate) const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// Whom the request comes from. The edge writes it, the shield reads it.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Our CDN identifier in `CDN-Loop`.
const CDN_ID: &str = "holm";
/// How often a request may pass a Holm edge before it is a loop: a cluster whose origin is another cluster is legitimate.
const MAX_PASSES: usize = 3;

/// The names of this software in `Via` (RFC 9110 §7.6.3).
pub(crate) const VIA_EDGE: &str = "holm-edge";
pub(crate) const VIA_SHIELD: &str = "holm-shield";

/// Says where the request came from. No peer is believed, so whatever a client wrote is replaced.
pub(crate) fn write_client(headers: &mut HeaderMap, client: IpAddr, scheme: Scheme, host: &str) {
    let believed: Vec<HeaderName> =
        headers.keys().filter(|name| fields::is_about_the_client(name.as_str())).cloned().collect();
    for name in believed {
        headers.remove(name);
    }
    if let Ok(value) = HeaderValue::from_str(&client.to_string()) {
        headers.insert(X_FORWARDED_FOR, value);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
    if let Ok(value) = HeaderValue::from_str(host) {
        headers.insert(X_FORWARDED_HOST, value);
    }
    headers.remove(HOST);
}

/// Removes what asks for another method than the request's, where that one's response may be stored: an error or a
/// deletion's page would be served to all. Other methods keep it, for clients that can't send what they mean.
pub(crate) fn remove_method_overrides(method: &Method, headers: &mut HeaderMap) {
    if is_safe(method) {
        remove_all(headers, fields::overrides_method);
    }
}

fn remove_all(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let unwanted: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// RFC 9113 §8.2.3, RFC 9114 §4.2.1: HTTP/2 and HTTP/3 may send a cookie in crumbs; nobody else expects that.
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

/// Adds this hop to `Via`.
pub(crate) fn write_via(headers: &mut HeaderMap, version: Version, pseudonym: &'static str) {
    let protocol = match version {
        Version::HTTP_3 => "3",
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    if let Ok(value) = HeaderValue::from_str(&format!("{protocol} {pseudonym}")) {
        headers.append(VIA, value);
    }
}

/// Adds this CDN to `CDN-Loop`; `false` where the request has passed too often (RFC 8586 §2).
pub(crate) fn enter_cdn(headers: &mut HeaderMap) -> bool {
    let passes = headers
        .get_all(&CDN_LOOP)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|member| member.split(';').next().is_some_and(|id| id.trim().eq_ignore_ascii_case(CDN_ID)))
        .count();
    headers.append(&CDN_LOOP, HeaderValue::from_static(CDN_ID));
    passes < MAX_PASSES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_loop(members: &[&str], passes: bool) {
        let mut headers = HeaderMap::new();
        for member in members {
            headers.append(&CDN_LOOP, member.parse().expect("a field value"));
        }
        assert_eq!(enter_cdn(&mut headers), passes, "{members:?}");
        assert_eq!(headers.get_all(&CDN_LOOP).iter().count(), members.len() + 1);
    }

    #[test]
    fn rfc8586_counts_our_own_passes_only() {
        check_loop(&[], true);
        check_loop(&["other, another; v=1"], true);
        check_loop(&["holm", "holm; node=a"], true);
        check_loop(&["holm, HOLM ;x", "holm"], false);
    }

    #[test]
    fn what_a_client_says_of_itself_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6".parse().expect("value"));
        headers.insert("forwarded", "for=6.6.6.6".parse().expect("value"));
        headers.insert("x-forwarded-prefix", "/x".parse().expect("value"));
        headers.insert("x-original-url", "/admin".parse().expect("value"));
        headers.insert("x_forwarded_host", "evil.example".parse().expect("value"));
        write_client(&mut headers, [127, 0, 0, 1].into(), Scheme::Https, "shop.example");
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(headers["x-forwarded-host"], "shop.example");
        assert!(
            ["forwarded", "x-forwarded-prefix", "x-original-url", "x_forwarded_host"]
                .iter()
                .all(|name| !headers.contains_key(*name))
        );
    }

    #[test]
    fn method_overrides_stay_with_unsafe_methods_only() {
        let check = |method: &str, stays: bool| {
            let mut headers = HeaderMap::new();
            for name in ["x-http-method", "x-http-method-override", "x-method-override"] {
                headers.insert(name, HeaderValue::from_static("DELETE"));
            }
            remove_method_overrides(&method.parse().expect("a method"), &mut headers);
            assert_eq!(headers.is_empty(), !stays, "{method}");
        };
        check("GET", false);
        check("HEAD", false);
        check("OPTIONS", false);
        check("QUERY", false);
        check("POST", true);
        check("PUT", true);
    }

    #[test]
    fn cookie_crumbs_are_joined() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2"] {
            headers.append(COOKIE, crumb.parse().expect("value"));
            join_cookies(&mut headers);
        }
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
