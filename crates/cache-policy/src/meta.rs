//! What the policy remembers of a stored response, and whether it may answer a request. RFC 9111 §4.

use std::time::Duration;

use holm_model::manifest::CacheRule;
use holm_model::units::Timestamp;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::cache_status::Outcome;
use crate::codec::put;
use crate::directives::{RequestDirectives, ResponseDirectives};
use crate::freshness::{self, TtlRule};
use crate::storing::varies_by_anything;
use crate::validate;

/// When a response was asked for and when its head came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchTimes {
    /// The request was sent.
    pub requested: Timestamp,
    /// The response's head was here.
    pub received: Timestamp,
}

/// A stored response as the policy sees it. There is one with every object: kept small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMeta {
    /// When its age was nothing: its initial age before it was received.
    born: Timestamp,
    lifetime: Millis,
    while_revalidate: Millis,
    if_error: Millis,
    status: u16,
    /// The rule of the route that made the lifetime what it is.
    ttl_rule: Option<TtlRule>,
    /// Does not change while it is fresh (RFC 8246).
    immutable: bool,
    /// Must be confirmed before each use (`no-cache`).
    always_validate: bool,
    /// Must not be served stale, come what may.
    never_stale: bool,
    /// Its lifetime came as `s-maxage`, which implies `proxy-revalidate` (§5.2.2.10): a client's `max-stale` does not
    /// count. The origin's, or the route's, own RFC 5861 windows do: they are an explicit exception.
    shared_lifetime: bool,
}

/// A duration in milliseconds: half the size of the standard one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Millis(u64);

/// What to do with a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer with it.
    Serve,
    /// Answer with it and renew it behind the client's back (RFC 5861 §3), or because the client allows it.
    ServeStale(StaleReason),
    /// Ask the origin whether it is still good.
    Revalidate(StaleReason),
}

/// Why a stored response is stale, or is served although it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleReason {
    /// Its lifetime is over.
    Expired,
    /// It says `no-cache`.
    NoCache,
    /// A soft purge made it stale.
    SoftPurged,
    /// The request wants a younger one (`no-cache`, `max-age`, `min-fresh`).
    Request,
    /// Served within `stale-while-revalidate`.
    WhileRevalidate,
    /// Served because the request's `max-stale` allows it.
    MaxStale,
    /// Served because the origin fails (`stale-if-error`).
    Error,
}

/// Why there is no stored response to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissReason {
    /// Nothing is stored for the URL.
    UriMiss,
    /// Something is, for requests with other values of the fields in `Vary`.
    VaryMiss,
    /// A purge rejected it.
    Purged,
    /// A response to an unsafe request rejected it (§4.4), or one that named its cache group (RFC 9875).
    Invalidated,
}

impl StaleReason {
    /// The name in `Cache-Status` and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NoCache => "no-cache",
            Self::SoftPurged => "soft-purged",
            Self::Request => "request",
            Self::WhileRevalidate => "stale-while-revalidate",
            Self::MaxStale => "max-stale",
            Self::Error => "stale-if-error",
        }
    }
}

impl MissReason {
    /// The name in `Cache-Status` and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Purged => "purged",
            Self::Invalidated => "invalidated",
        }
    }

    /// The `fwd` reason of RFC 9211 §2.2.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::UriMiss | Self::Purged | Self::Invalidated => Outcome::UriMiss,
            Self::VaryMiss => Outcome::VaryMiss,
        }
    }
}

impl StoredMeta {
    /// Adds the form in which it outlives the process: postcard's, in which numbers are as long as they are large.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(self, out);
    }

    /// Reads what [`StoredMeta::encode`] wrote from the beginning of `bytes`, and gives what follows.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (meta, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        StatusCode::from_u16(meta.status).ok()?;
        Some((meta, rest))
    }

    /// Reads a response that [`crate::storable`] has accepted.
    pub(crate) fn new(
        status: StatusCode,
        directives: &ResponseDirectives,
        headers: &HeaderMap,
        rule: &CacheRule,
        times: FetchTimes,
    ) -> Self {
        let lifetime = freshness::lifetime(directives, status, headers, rule, times.received);
        let window = |own: Option<u64>, route: Option<Duration>| {
            Millis::of(own.map(Duration::from_secs).or(route).unwrap_or_default())
        };
        Self {
            born: times.received.minus(freshness::initial_age(headers, times)),
            lifetime: Millis::of(lifetime.map_or(Duration::ZERO, |lifetime| lifetime.duration)),
            while_revalidate: window(directives.stale_while_revalidate, rule.stale_while_revalidate),
            if_error: window(directives.stale_if_error, rule.stale_if_error),
            status: status.as_u16(),
            ttl_rule: lifetime.and_then(|lifetime| lifetime.rule),
            immutable: directives.immutable,
            always_validate: directives.no_cache,
            // §4.2.4: a shared cache must not serve stale under these.
            never_stale: directives.must_revalidate || directives.proxy_revalidate || directives.no_cache,
            shared_lifetime: directives.s_maxage.is_some(),
        }
    }

    /// §4.2.3: the time since the origin made or confirmed the response.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.born)
    }

    /// Seconds until it is stale; negative since it is.
    #[must_use]
    pub fn ttl(&self, now: Timestamp) -> i64 {
        let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        whole(self.lifetime.get()).saturating_sub(whole(self.age(now)))
    }

    /// The name of the route's rule that made its lifetime what it is; `None` where the response's own counts.
    #[must_use]
    pub fn ttl_rule(&self) -> Option<&'static str> {
        self.ttl_rule.map(TtlRule::as_str)
    }

    /// §4: may this stored response answer the request at `now`? `soft_since` is when a soft purge made it stale.
    #[must_use]
    pub fn verdict(&self, request: &RequestDirectives, now: Timestamp, soft_since: Option<Timestamp>) -> Verdict {
        let age = self.age(now);
        if self.always_validate {
            return Verdict::Revalidate(StaleReason::NoCache);
        }
        let staleness = self.staleness(age, now, soft_since);
        // RFC 8246 §2: a fresh immutable response is not to be confirmed unless the client signals that it has to be,
        // for which `no-cache`, a forced reload, is the RFC's example. An ordinary reload sends `max-age=0`, and gets
        // what it would get anyhow: the origin has said that nothing else comes until then.
        let unchanging = self.immutable && staleness.is_none();
        let too_old = request.max_age.is_some_and(|most| age > Duration::from_secs(most)) && !unchanging;
        if request.no_cache || too_old {
            return Verdict::Revalidate(StaleReason::Request);
        }
        let Some((staleness, reason)) = staleness else {
            let needed = request.min_fresh.map_or(Duration::ZERO, Duration::from_secs);
            let enough = self.lifetime.get().saturating_sub(age) >= needed;
            return if enough { Verdict::Serve } else { Verdict::Revalidate(StaleReason::Request) };
        };
        // §5.2.1.1: who states a `max-age` without a `max-stale` wishes no stale response; nor does who wants it fresh.
        let wants_fresh = request.min_fresh.is_some() || (request.max_age.is_some() && request.max_stale.is_none());
        if !self.never_stale && staleness < self.while_revalidate.get() && !wants_fresh {
            return Verdict::ServeStale(StaleReason::WhileRevalidate);
        }
        let allowed = request.max_stale.is_some_and(|most| staleness <= Duration::from_secs(most));
        if allowed && !self.never_stale && !self.shared_lifetime && soft_since.is_none() {
            return Verdict::ServeStale(StaleReason::MaxStale);
        }
        Verdict::Revalidate(reason)
    }

    /// RFC 5861 §4: may it be served stale because the origin fails? `soft_since` is when a soft purge made it stale.
    /// A request may state a limit of its own, which then counts for it; but as with `max-stale`, what implies
    /// `proxy-revalidate` is not given to a client just because it would take it.
    #[must_use]
    pub fn usable_on_error(&self, request: &RequestDirectives, now: Timestamp, soft_since: Option<Timestamp>) -> bool {
        let past = self.staleness(self.age(now), now, soft_since).map_or(Duration::ZERO, |(past, _)| past);
        let limit = match request.stale_if_error.map(Duration::from_secs) {
            Some(asked) if self.shared_lifetime => asked.min(self.if_error.get()),
            Some(asked) => asked,
            None => self.if_error.get(),
        };
        !self.never_stale && past < limit
    }

    /// May it be served stale from now on, in the background's or an error's stead (RFC 5861)?
    pub(crate) fn bridges(&self, now: Timestamp) -> bool {
        let past = self.age(now).saturating_sub(self.lifetime.get());
        !self.never_stale && (past < self.while_revalidate.get() || past < self.if_error.get())
    }

    /// A 304 confirmed the response, or a HEAD told of it (§4.3.4, §4.3.5): `headers` (the stored ones) are brought up
    /// to date with the fresh ones, and freshness is counted anew. If they now say that the response is not to be kept,
    /// then it is not served again without being asked for.
    #[must_use]
    pub fn freshen(&self, headers: &mut HeaderMap, fresh: &HeaderMap, rule: &CacheRule, times: FetchTimes) -> Self {
        validate::update_stored(headers, fresh);
        // A 304 without Age is as young as it is: the stored Age is not its own.
        let mut combined = headers.clone();
        if !fresh.contains_key(http::header::AGE) {
            combined.remove(http::header::AGE);
        }
        let mut directives = ResponseDirectives::parse(&combined);
        let forbidden = directives.private || (directives.no_store && !directives.must_understand);
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        directives.no_cache |= forbidden || varies_by_anything(&combined);
        Self::new(status, &directives, &combined, rule, times)
    }

    /// How long it has been stale and why; `None` while it is fresh.
    fn staleness(
        &self,
        age: Duration,
        now: Timestamp,
        soft_since: Option<Timestamp>,
    ) -> Option<(Duration, StaleReason)> {
        let expired = age.checked_sub(self.lifetime.get()).map(|past| (past, StaleReason::Expired));
        let purged = soft_since.map(|since| (now.since(since), StaleReason::SoftPurged));
        longer(expired, purged)
    }
}

impl Millis {
    fn of(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    const fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

fn longer(a: Option<(Duration, StaleReason)>, b: Option<(Duration, StaleReason)>) -> Option<(Duration, StaleReason)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 > a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
