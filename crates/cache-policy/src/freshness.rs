//! Freshness: how long a response may be served without asking, and how old it is. RFC 9111 §4.2.

use std::time::Duration;

use holm_model::manifest::CacheRule;
use holm_model::units::Timestamp;
use http::StatusCode;
use http::header::{AGE, DATE, EXPIRES, HeaderMap, LAST_MODIFIED};
use serde::{Deserialize, Serialize};

use crate::date::date;
use crate::directives::ResponseDirectives;
use crate::members::{MANY_SECONDS, seconds};
use crate::meta::FetchTimes;

/// How long a response is fresh, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) duration: Duration,
    /// The last rule of the route that changed it.
    pub(crate) rule: Option<TtlRule>,
}

/// A lifetime that the response states itself: explicit freshness. The first in this order counts (§4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stated {
    /// `s-maxage` or `max-age`.
    Directive(Duration),
    /// `Expires` less `Date`.
    Expires(Duration),
}

/// The rule of a route that made a lifetime what it is. On disk by its place: new ones come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TtlRule {
    /// `ttl`: whatever the response says.
    Ttl,
    /// `default_ttl`: it says nothing.
    DefaultTtl,
    /// `min_ttl`: it was shorter.
    MinTtl,
    /// `max_ttl`: it was longer.
    MaxTtl,
    /// `negative_ttl`: an error that says nothing.
    NegativeTtl,
    /// `negative_max`: an error that was to live longer.
    NegativeMax,
}

impl TtlRule {
    /// The name in `Cache-Status` and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ttl => "route-ttl",
            Self::DefaultTtl => "route-default-ttl",
            Self::MinTtl => "route-min-ttl",
            Self::MaxTtl => "route-max-ttl",
            Self::NegativeTtl => "route-negative-ttl",
            Self::NegativeMax => "route-negative-max",
        }
    }
}

/// §4.2.1: what the response says of its lifetime.
pub(crate) fn stated(directives: &ResponseDirectives, headers: &HeaderMap, received: Timestamp) -> Option<Stated> {
    if let Some(seconds) = directives.lifetime() {
        return Some(Stated::Directive(Duration::from_secs(seconds)));
    }
    if directives.targeted || !headers.contains_key(EXPIRES) {
        return None;
    }
    Some(Stated::Expires(expires_in(headers, received)))
}

/// The lifetime of a response; `None` where nothing gives one.
pub(crate) fn lifetime(
    directives: &ResponseDirectives,
    status: StatusCode,
    headers: &HeaderMap,
    rule: &CacheRule,
    received: Timestamp,
) -> Option<Lifetime> {
    let stated = stated(directives, headers, received);
    let by_default = directives.public || is_heuristically_cacheable(status);
    let own = match (stated, negative_ttl(rule, status), rule.ttl) {
        (None, Some(ttl), _) => Lifetime::ruled(ttl, TtlRule::NegativeTtl),
        (Some(_), _, Some(ttl)) => Lifetime::ruled(ttl, TtlRule::Ttl),
        (None, _, Some(ttl)) if by_default => Lifetime::ruled(ttl, TtlRule::Ttl),
        (Some(Stated::Directive(own) | Stated::Expires(own)), ..) => Lifetime { duration: own, rule: None },
        (None, ..) if by_default => unstated(headers, rule, received)?,
        (None, ..) => return None,
    };
    Some(own.bounded(rule, is_error(status)))
}

impl Lifetime {
    const fn ruled(duration: Duration, rule: TtlRule) -> Self {
        Self { duration, rule: Some(rule) }
    }

    /// Where the bounds contradict each other the shorter lifetime is the safe one.
    fn bounded(self, rule: &CacheRule, error: bool) -> Self {
        let raised = match rule.min_ttl {
            Some(least) if self.duration < least => Self::ruled(least, TtlRule::MinTtl),
            _ => self,
        };
        let cut = match rule.max_ttl {
            Some(most) if raised.duration > most => Self::ruled(most, TtlRule::MaxTtl),
            _ => raised,
        };
        if error && cut.duration > rule.negative_max {
            return Self::ruled(rule.negative_max, TtlRule::NegativeMax);
        }
        cut
    }
}

/// The lifetime of a response that states none and is cacheable by default.
fn unstated(headers: &HeaderMap, rule: &CacheRule, received: Timestamp) -> Option<Lifetime> {
    if let Some(ttl) = rule.default_ttl {
        return Some(Lifetime::ruled(ttl, TtlRule::DefaultTtl));
    }
    if !rule.heuristic {
        return None;
    }
    // §4.2.2.
    let modified = date(headers, &LAST_MODIFIED, Some(received))?;
    let since = date(headers, &DATE, Some(received)).unwrap_or(received).since(modified);
    Some(Lifetime { duration: (since / HEURISTIC_FRACTION).min(HEURISTIC_MAX), rule: None })
}

/// What the route rules for an error of this status.
pub(crate) fn negative_ttl(rule: &CacheRule, status: StatusCode) -> Option<Duration> {
    rule.negative_ttl.get(&status.as_u16()).copied().filter(|_| is_error(status))
}

/// §4.2.3: the age that a response had when it reached us, with the time that it took to come.
pub(crate) fn initial_age(headers: &HeaderMap, times: FetchTimes) -> Duration {
    let made = date(headers, &DATE, Some(times.received));
    let apparent = made.map_or(Duration::ZERO, |made| times.received.since(made));
    let delay = times.received.since(times.requested);
    let corrected = age_field(headers).saturating_add(delay);
    // A Date has whole seconds: what lies below one is the rounding.
    let apparent = if apparent < Duration::from_secs(1) { Duration::ZERO } else { apparent };
    apparent.max(corrected)
}

/// §5.1: the first member counts. One that is no number "SHOULD" be ignored, which makes the response as young as can
/// be; we take a doubtful field to mean that it is as old as can be, for a cache may always ask sooner. Doubtful is also
/// what several senders wrote: several lines, or lines that a recipient has joined, which it does with a comma and a
/// space (RFC 9110 §5.3).
fn age_field(headers: &HeaderMap) -> Duration {
    let mut lines = headers.get_all(AGE).iter();
    let Some(line) = lines.next() else { return Duration::ZERO };
    let line = line.as_bytes();
    let doubtful = lines.next().is_some() || line.windows(2).any(|pair| pair == b", ");
    let first = line.split(|b| *b == b',').next().unwrap_or_default().trim_ascii();
    Duration::from_secs(seconds(first).filter(|_| !doubtful).unwrap_or(MANY_SECONDS))
}

/// §5.3: an invalid `Expires`, above all `0`, is in the past; so is one of several.
fn expires_in(headers: &HeaderMap, received: Timestamp) -> Duration {
    let several = headers.get_all(EXPIRES).iter().nth(1).is_some();
    let expires = date(headers, &EXPIRES, Some(received)).filter(|_| !several);
    let from = date(headers, &DATE, Some(received)).unwrap_or(received);
    expires.map_or(Duration::ZERO, |expires| expires.since(from))
}

/// RFC 9110 §15.1.
pub(crate) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// §4.2.2 names a tenth as typical.
const HEURISTIC_FRACTION: u32 = 10;
/// What changed a year ago may still change tomorrow.
const HEURISTIC_MAX: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests;
