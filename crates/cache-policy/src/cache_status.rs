//! `Cache-Status` (RFC 9211): the one published list of what can happen to a request, as clients, logs and metrics see it.

use std::io::Write as _;

use http::HeaderValue;
use smallvec::SmallVec;

/// What happened to a request at a cache. The names are those of RFC 9211 §2.2 where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered from a fresh stored response.
    Hit,
    /// Answered from a stale one.
    HitStale,
    /// Nothing was stored for the URL.
    UriMiss,
    /// Something was, for other values of the fields in `Vary`.
    VaryMiss,
    /// There was no saying which of the two (a URL whose responses can't be stored).
    Miss,
    /// A stored response had to be confirmed or replaced.
    Stale,
    /// Parts of the response were stored, and not what the request wants.
    Partial,
    /// The request's method asks to be passed on.
    Method,
    /// The cache is not used for such a request (body, route, preconditions).
    Bypass,
    /// The request's own directives forbade the stored response.
    Request,
    /// A handler answered.
    Handler,
    /// The request was refused or could not be routed.
    Refused,
}

/// Every outcome, in the order of the documentation.
pub const OUTCOMES: [Outcome; 12] = [
    Outcome::Hit,
    Outcome::HitStale,
    Outcome::UriMiss,
    Outcome::VaryMiss,
    Outcome::Miss,
    Outcome::Stale,
    Outcome::Partial,
    Outcome::Method,
    Outcome::Bypass,
    Outcome::Request,
    Outcome::Handler,
    Outcome::Refused,
];

impl Outcome {
    /// The label of `cache` in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::HitStale => "hit-stale",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Partial => "partial",
            Self::Method => "method",
            Self::Bypass => "bypass",
            Self::Request => "request",
            Self::Handler => "handler",
            Self::Refused => "refused",
        }
    }

    /// Was it answered from the cache?
    #[must_use]
    pub const fn is_hit(self) -> bool {
        matches!(self, Self::Hit | Self::HitStale)
    }

    /// The `fwd` token; `None` where nothing was forwarded.
    const fn fwd(self) -> Option<&'static str> {
        match self {
            Self::Hit | Self::HitStale | Self::Handler | Self::Refused => None,
            other => Some(other.as_str()),
        }
    }
}

/// One member of the list, this cache's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheStatus {
    /// What happened.
    pub outcome: Outcome,
    /// Seconds of freshness left; negative when stale.
    pub ttl: Option<i64>,
    /// The forwarded response was, or is being, stored.
    pub stored: bool,
    /// The request shared someone else's forwarded request.
    pub collapsed: bool,
    /// The status that the forwarded request got.
    pub fwd_status: Option<u16>,
    /// The named reason.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// The field's value: `holm-edge; hit; ttl=60`.
    #[must_use]
    pub fn value(&self) -> HeaderValue {
        let mut text: SmallVec<[u8; 128]> = SmallVec::from_slice(CACHE_NAME.as_bytes());
        match self.outcome.fwd() {
            None if self.outcome.is_hit() => text.extend_from_slice(b"; hit"),
            None => {}
            Some(fwd) => {
                text.extend_from_slice(b"; fwd=");
                text.extend_from_slice(fwd.as_bytes());
            }
        }
        if let Some(status) = self.fwd_status {
            let _ = write!(text, "; fwd-status={status}");
        }
        if let Some(ttl) = self.ttl {
            let _ = write!(text, "; ttl={ttl}");
        }
        for (set, name) in [(self.stored, "; stored"), (self.collapsed, "; collapsed")] {
            if set {
                text.extend_from_slice(name.as_bytes());
            }
        }
        if let Some(detail) = self.detail {
            text.extend_from_slice(b"; detail=");
            text.extend_from_slice(detail.as_bytes());
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(CACHE_NAME))
    }
}

/// The name of this cache as clients see it.
const CACHE_NAME: &str = "holm-edge";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let plain = |outcome| CacheStatus {
            outcome,
            ttl: None,
            stored: false,
            collapsed: false,
            fwd_status: None,
            detail: None,
        };
        let check = |status: CacheStatus, expected: &str| assert_eq!(status.value(), expected);
        check(CacheStatus { ttl: Some(60), ..plain(Outcome::Hit) }, "holm-edge; hit; ttl=60");
        check(
            CacheStatus { fwd_status: Some(200), stored: true, detail: Some("uri-miss"), ..plain(Outcome::UriMiss) },
            "holm-edge; fwd=uri-miss; fwd-status=200; stored; detail=uri-miss",
        );
        check(
            CacheStatus { detail: Some("no-such-site"), ..plain(Outcome::Refused) },
            "holm-edge; detail=no-such-site",
        );
    }

    #[test]
    fn every_outcome_has_a_token_of_its_own() {
        let mut names: Vec<_> = OUTCOMES.iter().map(|outcome| outcome.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OUTCOMES.len());
    }
}
