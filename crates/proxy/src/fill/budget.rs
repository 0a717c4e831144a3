//! The budget of a node's fills: what all bodies that arrive may hold in memory at once.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What all fills of a node may hold at once, in bytes; shared by their buffers.
#[derive(Debug)]
pub(crate) struct FillBudget {
    limit: u64,
    used: AtomicU64,
    /// Holders that wait for room.
    waiting: AtomicU64,
    /// Something was given back.
    room: Notify,
}

impl FillBudget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), waiting: AtomicU64::new(0), room: Notify::new() })
    }

    /// Bytes that are held now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Others give back as long as this is held: see [`FillBudget::freed`].
    pub(super) fn waiting(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(self)
    }

    /// Until something is given back, told to those who are [waiting](FillBudget::waiting).
    pub(super) fn freed(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Takes `bytes` from the budget; `false` (and nothing taken) where they do not fit.
    fn charge(&self, bytes: u64) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::SeqCst);
        let fits = before.saturating_add(bytes) <= self.limit;
        if !fits {
            self.used.fetch_sub(bytes, Ordering::SeqCst);
        }
        fits
    }

    fn refund(&self, bytes: u64) {
        if bytes > 0 {
            self.used.fetch_sub(bytes, Ordering::SeqCst);
            if self.waiting.load(Ordering::SeqCst) > 0 {
                self.room.notify_waiters();
            }
        }
    }
}

/// What one holder takes of the budget; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<FillBudget>,
    held: u64,
}

impl Charge {
    pub(crate) fn new(budget: &Arc<FillBudget>) -> Self {
        Self { budget: Arc::clone(budget), held: 0 }
    }

    pub(super) const fn budget(&self) -> &Arc<FillBudget> {
        &self.budget
    }

    /// Bytes taken.
    pub(crate) const fn held(&self) -> u64 {
        self.held
    }

    /// Takes more; `false` (and nothing taken) where they do not fit.
    pub(crate) fn add(&mut self, bytes: u64) -> bool {
        let fits = self.budget.charge(bytes);
        if fits {
            self.held += bytes;
        }
        fits
    }

    /// Takes more as soon as it fits; `false` where it does not in time.
    pub(crate) async fn wait(&mut self, bytes: u64, limit: Duration) -> bool {
        let budget = Arc::clone(&self.budget);
        let _waiting = budget.waiting();
        let fits = async {
            loop {
                let mut room = pin!(budget.freed());
                room.as_mut().enable();
                if self.add(bytes) {
                    return;
                }
                room.await;
            }
        };
        tokio::time::timeout(limit, fits).await.is_ok()
    }

    /// Takes more for what could wait: only while half of the budget is free.
    pub(crate) fn add_ahead(&mut self, bytes: u64) -> bool {
        self.budget.used() + bytes <= self.budget.limit / 2 && self.add(bytes)
    }

    /// Takes more whether it fits or not: for one who holds nothing, and has it in memory already.
    pub(super) fn overdraw(&mut self, bytes: u64) {
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.held += bytes;
    }

    /// Gives back what is held beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let given_back = self.held.saturating_sub(bytes);
        self.held -= given_back;
        self.budget.refund(given_back);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.refund(self.held);
    }
}

/// One that waits for room.
pub(super) struct Waiting<'a>(&'a FillBudget);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
