//! Times of answers: how long they took, in a histogram with three figures.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The histogram, in microseconds.
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        Self(Histogram::new(3).expect("invariant: three figures are possible"))
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts, and percentiles in milliseconds.
    pub(crate) fn json(&self) -> Value {
        let at = |share| self.0.value_at_quantile(share) as f64 / 1e3;
        json!({
            "answers": self.0.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999), "max_ms": at(1.0),
        })
    }
}
