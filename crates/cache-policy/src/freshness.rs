//! Freshness: how long a response may be served without asking, and how old it is. RFC 9111 §4.2.

use std::time::Duration;

use holm_model::manifest::CacheRule;
use holm_model::units::Timestamp;
use http::StatusCode;
use http::header::{AGE, DATE, EXPIRES, HeaderMap, HeaderName, LAST_MODIFIED};

use crate::directives::ResponseDirectives;
use crate::meta::FetchTimes;

/// Where a lifetime comes from; several may state one, the first in this order counts (RFC 9111 §4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `s-maxage` or `max-age`.
    Directive,
    /// `Expires` less `Date`.
    Expires,
    /// The route's `default_ttl`.
    Route,
    /// A tenth of the time since `Last-Modified` (§4.2.2).
    Heuristic,
}

/// The lifetime of a response and where it comes from; `None` where nothing gives one.
pub(crate) fn lifetime(
    directives: &ResponseDirectives,
    status: StatusCode,
    headers: &HeaderMap,
    rule: &CacheRule,
    received: Timestamp,
) -> Option<(Duration, Source)> {
    if let Some(seconds) = directives.lifetime() {
        return Some((Duration::from_secs(seconds), Source::Directive));
    }
    if headers.contains_key(EXPIRES) {
        return Some((expires_in(headers, received), Source::Expires));
    }
    if let Some(ttl) = rule.default_ttl.filter(|_| is_heuristically_cacheable(status)) {
        return Some((ttl, Source::Route));
    }
    let modified = date(headers, &LAST_MODIFIED).filter(|_| is_heuristically_cacheable(status))?;
    let since = date(headers, &DATE).unwrap_or(received).since(modified);
    Some(((since / HEURISTIC_FRACTION).min(HEURISTIC_MAX), Source::Heuristic))
}

/// §4.2.3: the age that a response had when it reached us, with the time that it took to come.
pub(crate) fn initial_age(headers: &HeaderMap, times: FetchTimes) -> Duration {
    let apparent = date(headers, &DATE).map_or(Duration::ZERO, |date| times.received.since(date));
    let delay = times.received.since(times.requested);
    let corrected = age_field(headers).saturating_add(delay);
    // A Date has whole seconds: what lies below one is the rounding.
    let apparent = if apparent < Duration::from_secs(1) { Duration::ZERO } else { apparent };
    apparent.max(corrected)
}

/// §5.1: the first value counts, an invalid one is ignored.
fn age_field(headers: &HeaderMap) -> Duration {
    let text = headers.get(AGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = text.split(',').next().unwrap_or_default().trim();
    if first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) {
        return Duration::ZERO;
    }
    Duration::from_secs(first.parse().unwrap_or(u64::from(u32::MAX)).min(u64::from(u32::MAX)))
}

/// §5.3: an invalid `Expires`, above all `0`, is in the past; so is one of several.
fn expires_in(headers: &HeaderMap, received: Timestamp) -> Duration {
    let several = headers.get_all(EXPIRES).iter().nth(1).is_some();
    let expires = date(headers, &EXPIRES).filter(|_| !several);
    let from = date(headers, &DATE).unwrap_or(received);
    expires.map_or(Duration::ZERO, |expires| expires.since(from))
}

/// An HTTP date (RFC 9110 §5.6.7).
pub(crate) fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    let text = headers.get(name)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok().map(Timestamp::from_system_time)
}

/// RFC 9110 §15.1.
pub(crate) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// §4.2.2 names a tenth as typical.
const HEURISTIC_FRACTION: u32 = 10;
/// What changed a year ago may still change tomorrow.
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Tue, 15 Nov 1994 12:00:00 GMT";

    fn at() -> Timestamp {
        Timestamp::from_system_time(httpdate::parse_http_date(NOW).unwrap())
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn check(status: u16, fields: &[(&'static str, &str)], rule: &CacheRule, expected: Option<(u64, Source)>) {
        let headers = headers(fields);
        let directives = ResponseDirectives::parse(&headers);
        let found = lifetime(&directives, StatusCode::from_u16(status).unwrap(), &headers, rule, at());
        assert_eq!(found.map(|(ttl, source)| (ttl.as_secs(), source)), expected, "{status} {fields:?}");
    }

    #[test]
    fn the_first_source_counts() {
        let plain = CacheRule::default();
        let route = CacheRule { default_ttl: Some(Duration::from_secs(7)), ..CacheRule::default() };
        let later = ("expires", "Tue, 15 Nov 1994 12:01:00 GMT");
        let date = ("date", NOW);
        check(200, &[("cache-control", "max-age=5"), later, date], &route, Some((5, Source::Directive)));
        check(200, &[later, date], &route, Some((60, Source::Expires)));
        check(200, &[later], &route, Some((60, Source::Expires)));
        check(200, &[("expires", "0")], &route, Some((0, Source::Expires)));
        check(200, &[later, later], &route, Some((0, Source::Expires)));
        check(200, &[], &route, Some((7, Source::Route)));
        check(500, &[], &route, None);
        check(200, &[("last-modified", "Tue, 15 Nov 1994 11:50:00 GMT"), date], &plain, Some((60, Source::Heuristic)));
        check(200, &[("last-modified", "Thu, 15 Nov 1984 11:50:00 GMT")], &plain, Some((86_400, Source::Heuristic)));
        check(201, &[("last-modified", "Tue, 15 Nov 1994 11:50:00 GMT")], &plain, None);
        check(200, &[], &plain, None);
    }

    #[test]
    fn ages() {
        let check = |fields: &[(&'static str, &str)], delay: u64, expected: u64| {
            let times = FetchTimes { requested: Timestamp(at().0 - delay * 1000), received: at() };
            assert_eq!(initial_age(&headers(fields), times).as_secs(), expected, "{fields:?}");
        };
        check(&[], 0, 0);
        check(&[("age", "10")], 0, 10);
        check(&[("age", "10")], 2, 12);
        check(&[("age", "10, 20")], 0, 10);
        check(&[("age", "-10")], 0, 0);
        check(&[("age", "x")], 0, 0);
        check(&[("date", "Tue, 15 Nov 1994 11:59:00 GMT")], 0, 60);
        check(&[("date", "Tue, 15 Nov 1994 12:01:00 GMT")], 0, 0);
        check(&[("age", "99999999999999999999")], 0, u64::from(u32::MAX));
    }
}
