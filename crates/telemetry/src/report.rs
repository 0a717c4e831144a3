//! Reports: what happened within a window of time, as `holm stats` shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Traffic within a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatsReport {
    /// The window's length in seconds.
    pub window_seconds: u64,
    /// By tier: `edge`, `shield`.
    pub tiers: BTreeMap<String, TierReport>,
    /// Requests that reached an origin, since the start.
    pub origin_fetches: u64,
    /// The share of the edge's requests that no origin saw, since the start; 0 to 1.
    pub origin_offload: f64,
}

/// One tier's traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TierReport {
    /// Requests answered.
    pub requests: u64,
    /// Of these from the cache.
    pub hits: u64,
    /// The share of hits among the requests that were looked up in the cache (hits and misses); 0 to 1.
    pub hit_ratio: f64,
    /// The same by bytes.
    pub byte_hit_ratio: f64,
    /// Bytes of bodies sent.
    pub bytes: u64,
    /// Responses with a 5xx status.
    pub errors: u64,
    /// By class: `hit`, `miss`, `handler`.
    pub latency: BTreeMap<String, Latency>,
}

/// Quantiles of the time to the response's head, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// How many requests.
    pub count: u64,
    /// Median.
    pub p50_us: u64,
    /// 90 %.
    pub p90_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    pub p999_us: u64,
}
