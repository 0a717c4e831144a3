//! Times of answers: how long they took, in a histogram with three figures.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The histogram, in microseconds.
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MOST_MICROS, 3).expect("invariant: these bounds are possible"))
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

/// Five minutes: what takes longer counts as that.
const MOST_MICROS: u64 = 300_000_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Times;

    #[test]
    fn percentiles() {
        let mut times = Times::new();
        (1..=1000).for_each(|millis| times.add(Duration::from_millis(millis)));
        times.add(Duration::from_secs(1000));
        let json = times.json();
        let near = |name: &str, expected: f64| {
            let found = json[name].as_f64().unwrap_or_default();
            assert!((found / expected - 1.0).abs() < 0.01, "{name}: {found}");
        };
        near("p50_ms", 501.0);
        near("p99_ms", 991.0);
        near("max_ms", 300_000.0);
        assert_eq!(json["answers"], 1001);
    }
}
