//! Workers: which share of a pool's connections belongs to the current thread. A connection is driven by the runtime that
//! dialled it, and using it from there costs no wake-up across threads.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One value for each worker.
#[derive(Debug)]
pub(crate) struct PerWorker<T>(Vec<T>);

impl<T: Default> PerWorker<T> {
    pub(crate) fn new() -> Self {
        Self((0..WORKERS).map(|_| T::default()).collect())
    }
}

impl<T> PerWorker<T> {
    /// The current thread's.
    pub(crate) fn own(&self) -> &T {
        &self.0[WORKER.with(|worker| *worker) % WORKERS]
    }
}

thread_local! {
    /// Numbers the threads in the order in which they first ask for a connection.
    static WORKER: usize = NEXT_WORKER.fetch_add(1, Ordering::Relaxed);
}

static NEXT_WORKER: AtomicUsize = AtomicUsize::new(0);

/// More threads than this share.
const WORKERS: usize = 16;
