//! What is stored and what is not, one row a clause.

use std::time::Duration;

use holm_model::units::Timestamp;

use super::*;
use crate::testing::headers;

type Fields<'a> = &'a [(&'static str, &'a str)];

const CC: &str = "cache-control";
const FRESH: (&str, &str) = (CC, "max-age=60");

fn stored(
    method: &str,
    request: Fields<'_>,
    status: u16,
    response: Fields<'_>,
    rule: &CacheRule,
) -> Result<i64, NoStoreReason> {
    let at = Timestamp::from_secs(1_000_000);
    let times = FetchTimes { requested: at, received: at };
    let (method, status) = (method.parse().unwrap(), StatusCode::from_u16(status).unwrap());
    storable(&method, &headers(request), status, &headers(response), rule, times).map(|meta| meta.ttl(at))
}

fn check(request: Fields<'_>, status: u16, response: Fields<'_>, expected: Result<i64, NoStoreReason>) {
    let found = stored("GET", request, status, response, &CacheRule::default());
    assert_eq!(found, expected, "{request:?} → {status} {response:?}");
}

/// §3: explicit freshness, `public`, or a status that is cacheable by default.
#[test]
fn by_freshness() {
    use NoStoreReason::{NoFreshness, Status};
    check(&[], 200, &[FRESH], Ok(60));
    check(&[], 200, &[(CC, "max-age=60, s-maxage=10")], Ok(10));
    check(&[], 200, &[(CC, "max-age=0"), ("etag", "\"a\"")], Ok(0));
    check(&[], 200, &[(CC, "no-cache"), ("etag", "\"a\"")], Ok(0));
    check(&[], 200, &[(CC, "max-age=0, stale-while-revalidate=5")], Ok(0));
    check(&[], 200, &[(CC, "max-age=0, stale-if-error=5")], Ok(0));
    check(&[], 200, &[], Err(NoFreshness));
    check(&[], 200, &[("etag", "\"a\"")], Err(NoFreshness));
    check(&[], 200, &[(CC, "max-age=0")], Err(NoFreshness));
    check(&[], 200, &[FRESH, ("age", "x")], Err(NoFreshness));
    check(&[], 404, &[(CC, "max-age=5")], Ok(5));
    check(&[], 500, &[(CC, "max-age=5")], Ok(5));
    check(&[], 302, &[(CC, "max-age=5")], Ok(5));
    check(&[], 599, &[(CC, "public"), ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")], Ok(3600));
    check(&[], 302, &[], Err(Status));
    check(&[], 500, &[], Err(Status));
    // What depends on the request's own conditions.
    check(&[], 304, &[FRESH], Err(Status));
    for rfc6585 in [428, 429, 431, 511] {
        check(&[], rfc6585, &[FRESH], Err(Status));
    }
    check(&[], 412, &[FRESH], Err(Status));
    check(&[], 416, &[FRESH], Err(Status));
}

/// §5.2.1.5, §5.2.2.3, §5.2.2.5, §5.2.2.7.
#[test]
fn by_directives() {
    use NoStoreReason::{NoStore, Private, RequestNoStore, Status};
    check(&[], 200, &[(CC, "no-store, max-age=60")], Err(NoStore));
    check(&[], 200, &[(CC, "private, max-age=60")], Err(Private));
    check(&[], 200, &[(CC, "private=\"set-cookie\", max-age=60")], Err(Private));
    check(&[(CC, "no-store")], 200, &[FRESH], Err(RequestNoStore));
    check(&[], 200, &[(CC, "no-store, must-understand, max-age=5")], Ok(5));
    check(&[], 200, &[(CC, "private, must-understand, max-age=5")], Err(Private));
    check(&[], 299, &[(CC, "max-age=60, must-understand")], Err(Status));
    check(&[], 299, &[(CC, "no-store, max-age=60, must-understand")], Err(NoStore));
    // RFC 9213: a targeted field speaks instead.
    check(&[], 200, &[(CC, "no-store"), ("cdn-cache-control", "max-age=5")], Ok(5));
    check(&[], 200, &[FRESH, ("cdn-cache-control", "no-store")], Err(NoStore));
    check(&[], 200, &[FRESH, ("surrogate-control", "no-store")], Err(NoStore));
    check(&[], 200, &[(CC, "no-store"), ("surrogate-control", "max-age=5;holm")], Ok(5));
}

/// §3.5.
#[test]
fn with_credentials() {
    let check = |directives: &str, expected: Result<i64, NoStoreReason>| {
        check(&[("authorization", "x")], 200, &[(CC, directives)], expected);
    };
    check("max-age=60", Err(NoStoreReason::Authorization));
    check("public, max-age=5", Ok(5));
    check("s-maxage=5", Ok(5));
    check("must-revalidate, max-age=5", Ok(5));
    check("proxy-revalidate, max-age=5", Err(NoStoreReason::Authorization));
}

#[test]
fn by_fields() {
    use NoStoreReason::{SetCookie, Tags, VaryStar};
    check(&[], 200, &[FRESH, ("set-cookie", "a=b")], Ok(60));
    check(&[], 200, &[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"), ("set-cookie", "a=b")], Err(SetCookie));
    check(&[], 200, &[("expires", "Thu, 01 Jan 2070 00:00:00 GMT"), ("set-cookie", "a=b")], Err(SetCookie));
    check(&[], 200, &[FRESH, ("vary", "accept, *")], Err(VaryStar));
    check(&[], 200, &[FRESH, ("vary", "accept, a b")], Err(VaryStar));
    let many = (0..33).map(|number| format!("x-{number}")).collect::<Vec<_>>().join(",");
    check(&[], 200, &[FRESH, ("vary", &many)], Err(VaryStar));
    check(&[], 200, &[FRESH, ("vary", ""), ("vary", "*")], Err(VaryStar));
    let many = (0..=MAX_TAGS).map(|number| format!("\"{number}\"")).collect::<Vec<_>>().join(",");
    check(&[], 200, &[FRESH, ("cache-groups", &many)], Err(Tags));
    check(&[], 200, &[FRESH, ("cache-tag", &many)], Err(Tags));
}

/// §3.3, RFC 9110 §14.4 and §15.3.7.
#[test]
fn parts() {
    let check = |status: u16, response: Fields<'_>, expected: Result<i64, NoStoreReason>| {
        check(&[], status, &[&[FRESH], response].concat(), expected);
    };
    let range = |value| [("content-range", value)];
    check(206, &range("bytes 0-1/2"), Ok(60));
    check(206, &range("bytes 0-1/*"), Ok(60));
    for bad in ["bytes */2", "bytes 1-0/2", "bytes 0-2/2", "lines 0-1/2", "bytes 0-1", "bytes=0-1/2", "bytes -1/2", ""]
    {
        check(206, &range(bad), Err(NoStoreReason::Partial));
    }
    check(206, &[], Err(NoStoreReason::Partial));
    check(206, &[range("bytes 0-1/2"), range("bytes 0-1/2")].concat(), Err(NoStoreReason::Partial));
    let multipart = ("content-type", "Multipart/ByteRanges; boundary=x");
    check(206, &[multipart], Err(NoStoreReason::Partial));
    check(206, &[multipart, ("content-range", "bytes 0-1/2")], Err(NoStoreReason::Partial));
    check(200, &range("anything"), Ok(60));
}

/// RFC 9110 §9.2.3.
#[test]
fn by_method() {
    let check = |method: &str, response: Fields<'_>, expected: Result<i64, NoStoreReason>| {
        let rule = CacheRule { ttl: Some(Duration::from_secs(60)), ..CacheRule::default() };
        assert_eq!(stored(method, &[], 200, response, &rule), expected, "{method} {response:?}");
    };
    check("GET", &[], Ok(60));
    check("QUERY", &[], Ok(60));
    check("POST", &[], Err(NoStoreReason::Method));
    check("POST", &[FRESH], Ok(60));
    check("POST", &[("expires", "Thu, 01 Jan 2070 00:00:00 GMT")], Ok(60));
    for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "M-SEARCH"] {
        check(method, &[FRESH], Err(NoStoreReason::Method));
    }
}

/// No lifetime of the route's makes storable what is not.
#[test]
fn what_a_route_cannot_allow() {
    let seconds = Some(Duration::from_secs(9));
    let rule = CacheRule {
        ttl: seconds,
        default_ttl: seconds,
        min_ttl: seconds,
        negative_ttl: [(404, Duration::from_secs(5)), (500, Duration::from_secs(5))].into(),
        stale_while_revalidate: seconds,
        stale_if_error: seconds,
        ..CacheRule::default()
    };
    let check = |request: Fields<'_>, status: u16, response: Fields<'_>, expected: Result<i64, NoStoreReason>| {
        assert_eq!(stored("GET", request, status, response, &rule), expected, "{request:?} → {status} {response:?}");
    };
    use NoStoreReason::{Authorization, NoStore, Private, RequestNoStore, SetCookie, Status, VaryStar};
    check(&[], 200, &[], Ok(9));
    check(&[], 404, &[], Ok(9));
    check(&[], 500, &[], Ok(9));
    check(&[], 502, &[], Err(Status));
    check(&[], 200, &[(CC, "no-store")], Err(NoStore));
    check(&[], 200, &[(CC, "private")], Err(Private));
    check(&[(CC, "no-store")], 200, &[], Err(RequestNoStore));
    check(&[("authorization", "x")], 200, &[], Err(Authorization));
    check(&[], 200, &[("set-cookie", "a=b")], Err(SetCookie));
    check(&[], 200, &[("vary", "*")], Err(VaryStar));
    check(&[], 500, &[("set-cookie", "a=b")], Err(SetCookie));
}

/// §3.2: a 304, or the response to a HEAD, is held against the same rules.
#[test]
fn updates() {
    let check = |request: Fields<'_>, stored: Fields<'_>, fresh: Fields<'_>, expected: Result<(), NoStoreReason>| {
        let (mut merged, fresh) = (headers(stored), headers(fresh));
        crate::validate::update_stored(&mut merged, &fresh);
        assert_eq!(updatable(&headers(request), &fresh, &merged), expected, "{request:?} {stored:?} {fresh:?}");
    };
    use NoStoreReason::{Authorization, NoStore, Private, RequestNoStore, SetCookie, Tags, VaryStar};
    check(&[], &[FRESH], &[], Ok(()));
    check(&[], &[FRESH], &[(CC, "no-cache")], Ok(()));
    check(&[(CC, "no-store")], &[FRESH], &[], Err(RequestNoStore));
    check(&[], &[FRESH], &[(CC, "no-store")], Err(NoStore));
    check(&[], &[FRESH], &[(CC, "no-store, must-understand")], Ok(()));
    check(&[], &[FRESH], &[(CC, "private")], Err(Private));
    check(&[], &[FRESH], &[("cdn-cache-control", "private")], Err(Private));
    check(&[], &[("cdn-cache-control", "max-age=5")], &[(CC, "no-store")], Err(NoStore));
    check(&[], &[("cdn-cache-control", "max-age=5")], &[(CC, "no-store"), ("cdn-cache-control", "max-age=9")], Ok(()));
    // §3.5: what is then stored has to say it.
    let bearer = [("authorization", "x")];
    check(&bearer, &[FRESH], &[], Err(Authorization));
    check(&bearer, &[(CC, "public")], &[], Ok(()));
    check(&bearer, &[(CC, "public")], &[FRESH], Err(Authorization));
    check(&bearer, &[FRESH], &[(CC, "s-maxage=5")], Ok(()));
    check(&bearer, &[FRESH], &[(CC, "must-revalidate")], Ok(()));
    let cookie = ("set-cookie", "a=b");
    check(&[], &[FRESH], &[cookie], Err(SetCookie));
    check(&[], &[(CC, "public")], &[cookie, (CC, "no-cache")], Err(SetCookie));
    check(&[], &[FRESH, cookie], &[FRESH], Ok(()));
    check(&[], &[FRESH], &[cookie, FRESH], Ok(()));
    check(&[], &[FRESH], &[cookie, (CC, "public")], Ok(()));
    check(&[], &[FRESH], &[("vary", "*")], Err(VaryStar));
    let many = (0..=MAX_TAGS).map(|number| format!("\"{number}\"")).collect::<Vec<_>>().join(",");
    check(&[], &[FRESH], &[("cache-groups", &many)], Err(Tags));
}
