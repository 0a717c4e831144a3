//! Patience: how long a node waits for its disk tier before it goes on without it.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holm_model::limits::DISK_WAIT;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// One node's patience with its disk. A device that hangs costs each request little once it has cost one a lot.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Since then nothing has come in time.
    hanging: Mutex<Option<Instant>>,
    /// How often the wait was given up.
    given_up: AtomicU64,
}

impl Patience {
    /// What the disk has to say, unless that takes too long.
    pub(crate) async fn wait<T>(&self, disk: impl Future<Output = T>) -> Option<T> {
        let hangs = self.hanging.lock().is_some_and(|since| since.elapsed() < RETRY);
        let limit = if hangs { DISK_WAIT / 20 } else { DISK_WAIT };
        match timeout(limit, disk).await {
            Ok(said) => {
                if hangs {
                    *self.hanging.lock() = None;
                }
                Some(said)
            }
            Err(_) => {
                self.given_up.fetch_add(1, Ordering::Relaxed);
                if !hangs {
                    *self.hanging.lock() = Some(Instant::now());
                }
                None
            }
        }
    }

    /// How often a wait was given up.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }
}

/// How long little is expected of a disk that did not answer.
const RETRY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_waited_for_once() {
        let (patience, begun) = (Patience::default(), Instant::now());
        let check = async |comes: bool, after: Duration| {
            let before = begun.elapsed();
            let said = if comes { patience.wait(ready(())).await } else { patience.wait(pending()).await };
            assert_eq!((said.is_some(), begun.elapsed() - before), (comes, after));
        };
        check(true, Duration::ZERO).await;
        check(false, DISK_WAIT).await;
        check(false, DISK_WAIT / 20).await;
        check(true, Duration::ZERO).await;
        check(false, DISK_WAIT).await;
        tokio::time::advance(RETRY).await;
        check(false, DISK_WAIT).await;
        assert_eq!(patience.given_up(), 4);
    }
}
