//! Shutting down without losing a request: stop accepting, let what runs end, count what is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// One shutdown, shared by every listener and connection of a process.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// For those who look at it often: no lock.
    begun: AtomicBool,
    draining: watch::Sender<bool>,
    open: AtomicUsize,
    closed: Notify,
}

/// An open connection, counted until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Arc<Inner>);

impl Shutdown {
    /// Not begun.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            begun: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            open: AtomicUsize::new(0),
            closed: Notify::new(),
        }))
    }

    /// Begins: listeners take what is queued and close, connections end with their last request.
    pub fn begin(&self) {
        self.0.begun.store(true, Ordering::Release);
        self.0.draining.send_replace(true);
    }

    /// Has it begun?
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.begun.load(Ordering::Acquire)
    }

    /// Completes once it has begun.
    pub async fn draining(&self) {
        let _ = self.0.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Counts a connection.
    #[must_use]
    pub fn open(&self) -> OpenConnection {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        OpenConnection(Arc::clone(&self.0))
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Waits until no connection is open, at most `grace`. Returns how many were left.
    pub async fn drained(&self, grace: Duration) -> usize {
        let empty = async {
            loop {
                let closed = self.0.closed.notified();
                if self.connections() == 0 {
                    return;
                }
                closed.await;
            }
        };
        let _ = tokio::time::timeout(grace, empty).await;
        self.connections()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn counts_what_is_left() {
        let shutdown = Shutdown::new();
        let (one, other) = (shutdown.open(), shutdown.open());
        shutdown.begin();
        shutdown.draining().await;
        drop(one);
        assert_eq!(shutdown.drained(Duration::from_millis(10)).await, 1);
        drop(other);
        assert_eq!(shutdown.drained(Duration::from_secs(10)).await, 0);
    }
}
