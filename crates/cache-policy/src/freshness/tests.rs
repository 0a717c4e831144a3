//! Lifetimes and ages as data.

use std::collections::BTreeMap;

use super::*;
use crate::date::http_date;
use crate::testing::headers;

const NOW: &str = "Tue, 15 Nov 1994 12:00:00 GMT";
const LATER: (&str, &str) = ("expires", "Tue, 15 Nov 1994 12:01:00 GMT");
const DATED: (&str, &str) = ("date", NOW);
const CC: &str = "cache-control";
const LM: &str = "last-modified";
const MODIFIED: (&str, &str) = (LM, "Tue, 15 Nov 1994 11:50:00 GMT");

fn at() -> Timestamp {
    http_date(NOW.as_bytes(), None).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn check(rule: &CacheRule, status: u16, fields: &[(&'static str, &str)], expected: Option<(u64, Option<TtlRule>)>) {
    let headers = headers(fields);
    let directives = ResponseDirectives::parse(&headers);
    let found = lifetime(&directives, StatusCode::from_u16(status).unwrap(), &headers, rule, at());
    assert_eq!(found.map(|found| (found.duration.as_secs(), found.rule)), expected, "{status} {fields:?}");
}

/// RFC 9111 §4.2.1 and §4.2.2.
#[test]
fn what_the_response_says() {
    let check = |status, fields: &[(&'static str, &str)], expected: Option<u64>| {
        check(&CacheRule::default(), status, fields, expected.map(|ttl| (ttl, None)));
    };
    check(200, &[(CC, "max-age=5, s-maxage=9"), LATER, DATED], Some(9));
    check(200, &[(CC, "max-age=5"), LATER, DATED], Some(5));
    check(200, &[(CC, "max-age=0"), LATER, DATED], Some(0));
    check(200, &[LATER, DATED], Some(60));
    check(200, &[LATER], Some(60));
    check(200, &[LATER, ("date", "foo")], Some(60));
    check(200, &[LATER, ("date", "Tue, 15 Nov 1994 12:02:00 GMT")], Some(0));
    check(200, &[("expires", "Tuesday, 15-Nov-94 12:01:00 GMT")], Some(60));
    check(200, &[("expires", "Tue Nov 15 12:01:00 1994")], Some(60));
    check(200, &[("expires", "0"), MODIFIED], Some(0));
    check(200, &[LATER, LATER], Some(0));
    check(200, &[MODIFIED, DATED], Some(60));
    check(200, &[(LM, "Thu, 15 Nov 1984 11:50:00 GMT")], Some(86_400));
    check(200, &[(LM, "Thu, 15 Nov 2001 11:50:00 GMT")], Some(0));
    check(200, &[(LM, "yesterday")], None);
    check(201, &[MODIFIED], None);
    check(599, &[MODIFIED], None);
    check(599, &[MODIFIED, (CC, "public")], Some(60));
    check(200, &[], None);
    // RFC 9213 §2.2: neither Cache-Control nor Expires beside a targeted field.
    check(200, &[("cdn-cache-control", "none"), (CC, "max-age=5"), LATER], None);
    check(200, &[("surrogate-control", "max-age=7"), ("expires", "0"), (CC, "max-age=1")], Some(7));
    check(200, &[("surrogate-control", "max-age=0"), LATER], Some(0));
}

#[test]
fn what_the_route_rules() {
    use TtlRule::{DefaultTtl, MaxTtl, MinTtl, NegativeMax, NegativeTtl, Ttl};
    let plain = CacheRule::default();
    let fresh = (CC, "max-age=60");
    let ttl = CacheRule { ttl: Some(secs(7)), ..plain.clone() };
    check(&ttl, 200, &[fresh], Some((7, Some(Ttl))));
    check(&ttl, 200, &[], Some((7, Some(Ttl))));
    check(&ttl, 302, &[fresh], Some((7, Some(Ttl))));
    check(&ttl, 302, &[], None);
    let default = CacheRule { default_ttl: Some(secs(7)), ..plain.clone() };
    check(&default, 200, &[fresh], Some((60, None)));
    check(&default, 200, &[("expires", "0")], Some((0, None)));
    check(&default, 200, &[MODIFIED], Some((7, Some(DefaultTtl))));
    check(&default, 500, &[], None);
    let bounded = CacheRule { min_ttl: Some(secs(30)), max_ttl: Some(secs(90)), ..plain.clone() };
    check(&bounded, 200, &[(CC, "max-age=0")], Some((30, Some(MinTtl))));
    check(&bounded, 200, &[fresh], Some((60, None)));
    check(&bounded, 200, &[(CC, "max-age=91")], Some((90, Some(MaxTtl))));
    check(&bounded, 200, &[], None);
    let crossed = CacheRule { min_ttl: Some(secs(90)), max_ttl: Some(secs(30)), ..plain.clone() };
    check(&crossed, 200, &[fresh], Some((30, Some(MaxTtl))));
    let none = CacheRule { heuristic: false, ..plain.clone() };
    check(&none, 200, &[MODIFIED], None);
    let negative = CacheRule {
        negative_ttl: BTreeMap::from([(404, secs(5)), (503, secs(9)), (200, secs(99))]),
        negative_max: secs(8),
        default_ttl: Some(secs(70)),
        ..plain.clone()
    };
    check(&negative, 404, &[], Some((5, Some(NegativeTtl))));
    check(&negative, 404, &[(CC, "max-age=3")], Some((3, None)));
    check(&negative, 404, &[fresh], Some((8, Some(NegativeMax))));
    check(&negative, 410, &[], Some((8, Some(NegativeMax))));
    check(&negative, 503, &[], Some((8, Some(NegativeMax))));
    check(&negative, 502, &[], None);
    check(&negative, 200, &[fresh], Some((60, None)));
    check(&negative, 200, &[], Some((70, Some(DefaultTtl))));
    let both = CacheRule { ttl: Some(secs(7)), ..negative };
    check(&both, 404, &[], Some((5, Some(NegativeTtl))));
    check(&both, 404, &[fresh], Some((7, Some(Ttl))));
    check(&both, 410, &[], Some((7, Some(Ttl))));
}

/// RFC 9111 §4.2.3, §5.1.
#[test]
fn ages() {
    let check = |fields: &[(&'static str, &str)], delay: u64, expected: u64| {
        let times = FetchTimes { requested: Timestamp(at().0 - delay * 1000), received: at() };
        assert_eq!(initial_age(&headers(fields), times).as_secs(), expected, "{fields:?}");
    };
    check(&[], 0, 0);
    check(&[("age", "10")], 0, 10);
    check(&[("age", " 10 ")], 0, 10);
    check(&[("age", "10")], 2, 12);
    check(&[("age", "0,7200")], 0, 0);
    check(&[("age", "7200,0")], 0, 7200);
    check(&[("age", "99999999999999999999")], 0, MANY_SECONDS);
    check(&[("date", "Tue, 15 Nov 1994 11:59:00 GMT")], 0, 60);
    check(&[("date", "Tue, 15 Nov 1994 11:59:00 GMT"), ("age", "50")], 0, 60);
    check(&[("date", "Tue, 15 Nov 1994 11:59:00 GMT"), ("age", "70")], 0, 70);
    check(&[("date", "Tue, 15 Nov 1994 12:01:00 GMT")], 0, 0);
    // Doubtful.
    for doubtful in ["", "abc", "-7200", "7200.0", "7200;foo=bar", "7200;foo=111", "0, 0", "3600, 3600"] {
        check(&[("age", doubtful)], 0, MANY_SECONDS);
    }
    check(&[("age", "0"), ("age", "0")], 0, MANY_SECONDS);
    check(&[("age", "7200"), ("age", "0")], 0, MANY_SECONDS);
}
