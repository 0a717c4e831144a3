//! Outcomes: how fills end, each counted once; and how many requests wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a fill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The whole body came; it was stored unless it was purged meanwhile.
    Stored,
    /// The same, though the next hop broke off once at least: the rest was asked for.
    Resumed,
    /// The stored response was confirmed.
    Refreshed,
    /// The response was for the one who asked alone.
    Released,
    /// The body outgrew what can be stored, and was passed on.
    TooLarge,
    /// The same, until nobody was left to read it.
    Abandoned,
    /// The body broke off.
    Broken,
    /// No usable response came.
    Failed,
}

/// A node's counters of its fills.
#[derive(Debug, Default)]
pub(crate) struct FillCounts {
    ended: [AtomicU64; Outcome::ALL.len()],
    waiters: AtomicU64,
}

/// A request that waits for the head of a fetch which another one began.
#[derive(Debug)]
pub(crate) struct Waiter(Arc<FillCounts>);

impl Outcome {
    pub(crate) const ALL: [Self; 8] = [
        Self::Stored,
        Self::Resumed,
        Self::Refreshed,
        Self::Released,
        Self::TooLarge,
        Self::Abandoned,
        Self::Broken,
        Self::Failed,
    ];

    /// The label of `outcome` in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Resumed => "resumed",
            Self::Refreshed => "refreshed",
            Self::Released => "released",
            Self::TooLarge => "too-large",
            Self::Abandoned => "abandoned",
            Self::Broken => "broken",
            Self::Failed => "failed",
        }
    }
}

impl FillCounts {
    pub(crate) fn count(&self, outcome: Outcome) {
        self.ended[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many fills ended so.
    pub(crate) fn ended(&self, outcome: Outcome) -> u64 {
        self.ended[outcome as usize].load(Ordering::Relaxed)
    }

    /// How many requests wait.
    pub(crate) fn waiters(&self) -> u64 {
        self.waiters.load(Ordering::Relaxed)
    }

    /// One more that waits, until the guard is dropped.
    pub(crate) fn wait(self: &Arc<Self>) -> Waiter {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        Waiter(Arc::clone(self))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}
