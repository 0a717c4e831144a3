//! Serving: workers and the shutdown that they obey, as one thing that can fail and that can be drained.

use std::io;
use std::time::Duration;

use crate::shutdown::Shutdown;
use crate::workers::Workers;

/// Workers that answer on their sockets until they are drained.
#[derive(Debug)]
pub struct Serving {
    workers: Workers,
    shutdown: Shutdown,
}

impl Serving {
    /// These workers, whose listeners obey this shutdown.
    #[must_use]
    pub const fn new(workers: Workers, shutdown: Shutdown) -> Self {
        Self { workers, shutdown }
    }

    /// Completes if a worker fails; [`Serving::drain`] then says why.
    pub async fn failed(&self) {
        self.workers.stopped().await;
    }

    /// Ends: requests under way may take `grace`. Gives how many connections were left then.
    ///
    /// # Errors
    /// A worker had failed.
    pub async fn drain(self, grace: Duration) -> io::Result<usize> {
        self.shutdown.begin();
        let left = self.shutdown.drained(grace).await;
        let workers = self.workers;
        workers.stop();
        // Threads are waited for on one that may block.
        let joined = tokio::task::spawn_blocking(move || workers.join()).await;
        joined.map_err(io::Error::other)?.map(|()| left)
    }
}
