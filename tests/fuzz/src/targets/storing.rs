//! Storing, age, freshness and staleness. RFC 9111 §3, §4.2, RFC 5861.
//! Parts: status, request fields, response fields.

use std::time::Duration;

use holm_cache_policy::{RequestDirectives, StoredMeta, Verdict};
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};

use crate::input::{fields, parts};
use crate::subject::{RECEIVED, store};

pub(super) fn run(bytes: &[u8]) {
    let [status, request, response] = parts(bytes);
    let status = StatusCode::from_bytes(status.trim_ascii()).unwrap_or(StatusCode::OK);
    let (request, response) = (fields(request), fields(response));
    if let Ok(stored) = store(&request, status, &response) {
        ages(&stored);
        grows_stale(&stored, &RequestDirectives::default());
        grows_stale(&stored, &RequestDirectives::parse(&request));
        ends(&stored);
    }
    forbidden(&request, status, &response);
}

/// §4.2.3: a response never grows younger.
fn ages(stored: &StoredMeta) {
    for pair in MOMENTS.windows(2) {
        let [earlier, later] = [pair[0], pair[1]].map(|seconds| RECEIVED.plus(Duration::from_secs(seconds)));
        assert!(stored.age(later) >= stored.age(earlier), "it grows younger");
        assert!(stored.ttl(later) <= stored.ttl(earlier), "it grows fresher");
    }
}

/// §4.2, RFC 5861: fresh, then stale and still served, then asked for; and never back.
fn grows_stale(stored: &StoredMeta, request: &RequestDirectives) {
    let mut least = 0;
    let mut usable_on_error = true;
    for seconds in MOMENTS {
        let now = RECEIVED.plus(Duration::from_secs(*seconds));
        let verdict = stored.verdict(request, now, None);
        assert!(verdict != Verdict::Serve || stored.ttl(now) >= 0, "it is served as fresh {} s late", -stored.ttl(now));
        let rank = match verdict {
            Verdict::Serve => 0,
            Verdict::ServeStale(_) => 1,
            Verdict::Revalidate(_) => 2,
        };
        assert!(rank >= least, "after {seconds} s it is better than before: {verdict:?}");
        least = rank;
        let usable = stored.usable_on_error(request, now, None);
        assert!(usable_on_error || !usable, "after {seconds} s it is usable again");
        usable_on_error = usable;
    }
}

/// A stored response never outlives freshness and allowed staleness, both of which are bounded (§1.2.2).
fn ends(stored: &StoredMeta) {
    let now = RECEIVED.plus(LONGER_THAN_ANY);
    let verdict = stored.verdict(&RequestDirectives::default(), now, None);
    assert!(matches!(verdict, Verdict::Revalidate(_)), "it never ends: {verdict:?}");
    assert!(!stored.usable_on_error(&RequestDirectives::default(), now, None), "it never ends");
}

/// What forbids storing is obeyed, whatever else is said.
fn forbidden(request: &HeaderMap, status: StatusCode, response: &HeaderMap) {
    let mut response = response.clone();
    for name in TARGETED.map(HeaderName::from_static) {
        response.remove(name);
    }
    let with = |fields: &HeaderMap, directive: &'static str| {
        let mut fields = fields.clone();
        fields.append(CACHE_CONTROL, HeaderValue::from_static(directive));
        fields
    };
    assert!(store(&with(request, "no-store"), status, &response).is_err(), "the request's no-store");
    assert!(store(request, status, &with(&response, "private")).is_err(), "private");
    // §5.2.2.3: only this says that no-store may not count.
    if !says(&response, "must-understand") {
        assert!(store(request, status, &with(&response, "no-store")).is_err(), "the response's no-store");
    }
    // §3.5.
    if !["public", "s-maxage", "must-revalidate"].iter().any(|directive| says(&response, directive)) {
        let mut authorized = request.clone();
        authorized.insert(AUTHORIZATION, HeaderValue::from_static("Basic eA=="));
        assert!(store(&authorized, status, &response).is_err(), "authorized");
    }
}

/// Does it stand anywhere in `Cache-Control`?
fn says(fields: &HeaderMap, directive: &str) -> bool {
    let said = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase().contains(directive);
    fields.get_all(CACHE_CONTROL).iter().any(said)
}

/// Seconds after it was received.
const MOMENTS: &[u64] = &[0, 1, 2, 59, 60, 61, 600, 3600, 86_400, 86_401, 31_536_000, 1 << 31, (1 << 31) + 1, 1 << 32];
/// Freshness and staleness may be 2^31 seconds each.
const LONGER_THAN_ANY: Duration = Duration::from_secs(1 << 34);
const TARGETED: [&str; 3] = ["cdn-cache-control", "holm-cache-control", "surrogate-control"];
