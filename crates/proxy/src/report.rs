//! Reports: what is to be said of a response in `Cache-Status`, the access log and the metrics.

use holm_cache_policy::{CacheStatus, Outcome, StoredMeta};
use holm_model::units::Timestamp;
use http::StatusCode;

/// What happened to one request at this node.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    pub(crate) ttl: Option<i64>,
    pub(crate) stored: bool,
    pub(crate) collapsed: bool,
    pub(crate) fwd_status: Option<StatusCode>,
    /// The named reason.
    pub(crate) detail: Option<&'static str>,
}

impl Report {
    /// A fresh hit. Where the route has changed its lifetime, the detail says so.
    pub(crate) fn hit(meta: &StoredMeta, now: Timestamp) -> Self {
        Self { ttl: Some(meta.ttl(now)), detail: meta.ttl_rule(), ..Self::forward_plain(Outcome::Hit) }
    }

    /// A stale hit.
    pub(crate) fn stale_hit(meta: &StoredMeta, now: Timestamp, reason: &'static str) -> Self {
        Self { ttl: Some(meta.ttl(now)), detail: Some(reason), ..Self::forward_plain(Outcome::HitStale) }
    }

    /// The request went, or will go, to the next hop.
    pub(crate) fn forward(outcome: Outcome, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..Self::forward_plain(outcome) }
    }

    /// Answered here, without the cache.
    pub(crate) fn local(outcome: Outcome, detail: &'static str) -> Self {
        Self::forward(outcome, detail)
    }

    fn forward_plain(outcome: Outcome) -> Self {
        Self { outcome, ttl: None, stored: false, collapsed: false, fwd_status: None, detail: None }
    }

    /// The more precise reason.
    pub(crate) fn with_cause(self, cause: &'static str) -> Self {
        Self { detail: Some(cause), ..self }
    }

    pub(crate) fn fwd_status(self, status: StatusCode) -> Self {
        Self { fwd_status: Some(status), ..self }
    }

    pub(crate) fn with_ttl(self, ttl: Option<i64>) -> Self {
        Self { ttl, ..self }
    }

    /// What was forwarded is stored. Where the route has changed its lifetime, the detail says so.
    pub(crate) fn stored(self, meta: &StoredMeta) -> Self {
        Self { stored: true, detail: meta.ttl_rule().or(self.detail), ..self }
    }

    pub(crate) fn collapsed(self, collapsed: bool) -> Self {
        Self { collapsed, ..self }
    }

    /// As the RFC 9211 member.
    pub(crate) fn cache_status(&self) -> CacheStatus {
        CacheStatus {
            outcome: self.outcome,
            ttl: self.ttl,
            stored: self.stored,
            collapsed: self.collapsed,
            fwd_status: self.fwd_status.map(|status| status.as_u16()),
            detail: self.detail,
        }
    }
}
