//! Throttles: log lines that anyone on the network can cause, kept to so many a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lets so many lines a second through and counts the rest.
#[derive(Debug)]
pub struct Throttle {
    started: Instant,
    per_second: u64,
    /// The second that is counted, and how many lines it had.
    second: AtomicU64,
    lines: AtomicU64,
}

impl Throttle {
    /// At most this many lines a second.
    #[must_use]
    pub fn new(per_second: u64) -> Self {
        Self { started: Instant::now(), per_second, second: AtomicU64::new(0), lines: AtomicU64::new(0) }
    }

    /// May a line be written now? If so, how many were kept back since the last one of an earlier second.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(self.started.elapsed().as_secs())
    }

    fn admit_at(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Ordering::Relaxed) != second {
            let before = self.lines.swap(1, Ordering::Relaxed);
            return Some(before.saturating_sub(self.per_second));
        }
        (self.lines.fetch_add(1, Ordering::Relaxed) < self.per_second).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second() {
        let throttle = Throttle::new(2);
        let said: Vec<_> = [1, 1, 1, 1, 1, 2, 2, 2, 9].into_iter().map(|second| throttle.admit_at(second)).collect();
        assert_eq!(said, [Some(0), Some(0), None, None, None, Some(3), Some(0), None, Some(1)]);
    }
}
