//! Verdicts as data.

use super::*;
use crate::testing::headers;

const RECEIVED: Timestamp = Timestamp::from_secs(1_000_000);

fn stored(fields: &[(&'static str, &str)]) -> StoredMeta {
    let headers = headers(fields);
    let times = FetchTimes { requested: RECEIVED, received: RECEIVED };
    StoredMeta::new(StatusCode::OK, &ResponseDirectives::parse(&headers), &headers, &CacheRule::default(), times)
}

fn request(value: &str) -> RequestDirectives {
    let mut headers = HeaderMap::new();
    if !value.is_empty() {
        headers.insert("cache-control", value.parse().unwrap());
    }
    RequestDirectives::parse(&headers)
}

fn check(response: &str, wanted: &str, after: u64, expected: Verdict) {
    let meta = stored(&[("cache-control", response)]);
    let verdict = meta.verdict(&request(wanted), RECEIVED.plus(Duration::from_secs(after)), None);
    assert_eq!(verdict, expected, "{response:?} asked with {wanted:?} after {after} s");
}

#[test]
fn verdicts() {
    use StaleReason::{Expired, MaxStale, NoCache, Request, WhileRevalidate};
    use Verdict::{Revalidate, Serve, ServeStale};
    check("max-age=60", "", 59, Serve);
    check("max-age=60", "", 60, Revalidate(Expired));
    check("max-age=60", "no-cache", 1, Revalidate(Request));
    check("max-age=60", "max-age=10", 10, Serve);
    check("max-age=60", "max-age=10", 11, Revalidate(Request));
    check("max-age=60", "min-fresh=10", 50, Serve);
    check("max-age=60", "min-fresh=10", 51, Revalidate(Request));
    check("max-age=60", "max-stale=10", 70, ServeStale(MaxStale));
    check("max-age=60", "max-stale=10", 71, Revalidate(Expired));
    check("max-age=60", "max-stale", 7000, ServeStale(MaxStale));
    check("max-age=60, must-revalidate", "max-stale", 61, Revalidate(Expired));
    check("s-maxage=60", "max-stale", 61, Revalidate(Expired));
    check("max-age=60, no-cache", "", 1, Revalidate(NoCache));
    check("max-age=60, stale-while-revalidate=30", "", 89, ServeStale(WhileRevalidate));
    check("max-age=60, stale-while-revalidate=30", "", 90, Revalidate(Expired));
    check("max-age=60, stale-while-revalidate=30", "max-age=100", 70, Revalidate(Expired));
    check("max-age=60, stale-while-revalidate=30", "max-age=100, max-stale=1", 70, ServeStale(WhileRevalidate));
    check("max-age=60, stale-while-revalidate=30", "min-fresh=0", 70, Revalidate(Expired));
    check("s-maxage=60, stale-while-revalidate=30", "", 89, ServeStale(WhileRevalidate));
    check("max-age=60, must-revalidate, stale-while-revalidate=30", "", 61, Revalidate(Expired));
    // RFC 8246.
    check("max-age=60", "max-age=0", 1, Revalidate(Request));
    check("max-age=60, immutable", "max-age=0", 1, Serve);
    check("max-age=60, immutable", "max-age=0", 60, Revalidate(Request));
    check("max-age=60, immutable", "no-cache", 1, Revalidate(Request));
    check("no-cache, immutable", "", 1, Revalidate(NoCache));
}

#[test]
fn soft_purges_count_from_their_own_time() {
    let meta = stored(&[("cache-control", "max-age=60, stale-while-revalidate=30")]);
    let check = |since: u64, now: u64, expected: Verdict| {
        let at = |secs: u64| RECEIVED.plus(Duration::from_secs(secs));
        assert_eq!(meta.verdict(&RequestDirectives::default(), at(now), Some(at(since))), expected);
    };
    check(10, 20, Verdict::ServeStale(StaleReason::WhileRevalidate));
    check(10, 41, Verdict::Revalidate(StaleReason::SoftPurged));
}

#[test]
fn errors_may_be_covered_by_stale_responses() {
    let check = |response: &str, after: u64, purged: Option<u64>, expected: bool| {
        let meta = stored(&[("cache-control", response)]);
        let at = |secs: u64| RECEIVED.plus(Duration::from_secs(secs));
        assert_eq!(
            meta.usable_on_error(&RequestDirectives::default(), at(after), purged.map(at)),
            expected,
            "{response} {after} {purged:?}"
        );
    };
    check("max-age=60, stale-if-error=30", 89, None, true);
    check("max-age=60, stale-if-error=30", 90, None, false);
    check("max-age=60, stale-if-error=30", 39, Some(10), true);
    check("max-age=60, stale-if-error=30", 40, Some(10), false);
    check("max-age=60", 61, None, false);
    check("max-age=60, must-revalidate, stale-if-error=30", 61, None, false);
}

#[test]
fn a_304_counts_freshness_anew() {
    let old = stored(&[("cache-control", "max-age=60"), ("age", "30")]);
    let mut headers = HeaderMap::new();
    headers.insert("cache-control", "max-age=60".parse().unwrap());
    headers.insert("age", "30".parse().unwrap());
    let later = RECEIVED.plus(Duration::from_secs(100));
    let times = FetchTimes { requested: later, received: later };
    assert_eq!(old.ttl(later), -70);
    let renewed = old.freshen(&mut headers, &HeaderMap::new(), &CacheRule::default(), times);
    assert_eq!(renewed.ttl(later), 60);
}

/// RFC 5861 §4: `stale-if-error` of a request.
#[test]
fn a_request_may_limit_what_covers_errors() {
    let check = |response: &str, wanted: &str, after: u64, expected: bool| {
        let now = RECEIVED.plus(Duration::from_secs(after));
        let usable = stored(&[("cache-control", response)]).usable_on_error(&request(wanted), now, None);
        assert_eq!(usable, expected, "{response} {wanted} {after}");
    };
    check("max-age=60", "stale-if-error=10", 69, true);
    check("max-age=60", "stale-if-error=10", 70, false);
    check("max-age=60, stale-if-error=30", "stale-if-error=10", 70, false);
    check("max-age=60, must-revalidate", "stale-if-error=10", 61, false);
    check("s-maxage=60", "stale-if-error=10", 61, false);
    check("s-maxage=60, stale-if-error=5", "stale-if-error=10", 64, true);
    check("s-maxage=60, stale-if-error=5", "stale-if-error=10", 65, false);
}

#[test]
fn what_is_not_to_be_kept_is_not_served_again() {
    let check = |fresh: &str, expected: Verdict| {
        let mut headers = headers(&[("cache-control", "max-age=60")]);
        let times = FetchTimes { requested: RECEIVED, received: RECEIVED };
        let fresh = crate::testing::headers(&[("cache-control", fresh)]);
        let renewed = stored(&[]).freshen(&mut headers, &fresh, &CacheRule::default(), times);
        assert_eq!(renewed.verdict(&RequestDirectives::default(), RECEIVED, None), expected, "{fresh:?}");
    };
    check("max-age=60", Verdict::Serve);
    check("max-age=60, no-store", Verdict::Revalidate(StaleReason::NoCache));
    check("max-age=60, private", Verdict::Revalidate(StaleReason::NoCache));
}

proptest::proptest! {
    /// Nor does what follows from any number that was read.
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60), now: u64) {
        if let Some((meta, _)) = StoredMeta::decode(&bytes) {
            let now = Timestamp::from_millis(now);
            let _ = meta.verdict(&request("max-stale=5"), now, Some(now));
            let _ = meta.usable_on_error(&request(""), now, None);
            let _ = meta.ttl(now);
        }
        let _ = crate::NoVarySearch::decode(&bytes);
        let _ = crate::VarySpec::decode(&bytes);
        let _ = crate::Selected::decode(&bytes);
    }
}

#[test]
fn what_is_written_is_read() {
    let meta = stored(&[("cache-control", "max-age=60, stale-if-error=5, immutable"), ("age", "7")]);
    let mut written = Vec::new();
    meta.encode(&mut written);
    written.extend_from_slice(b"rest");
    assert_eq!(StoredMeta::decode(&written), Some((meta, b"rest".as_slice())));
}
