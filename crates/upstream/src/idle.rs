//! Idle connections of one endpoint, kept apart by thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holm_transport::client::{Http1, Http2};
use parking_lot::Mutex;

use crate::worker::PerWorker;

/// The connections of one endpoint.
#[derive(Debug)]
pub(crate) struct Idle {
    shards: PerWorker<Mutex<Shard>>,
}

#[derive(Debug, Default)]
struct Shard {
    /// The one used last is at the end, and is used first: the rest can time out.
    http1: Vec<(Http1, Instant)>,
    http2: Option<Http2>,
}

/// A connection to use.
pub(crate) enum Reused {
    Http1(Http1),
    Http2(Http2),
}

impl Idle {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { shards: PerWorker::new() })
    }

    /// A connection that can take a request now.
    pub(crate) async fn take(&self) -> Option<Reused> {
        for _ in 0..YIELDS {
            let pending = {
                let mut shard = self.shards.own().lock();
                if let Some(reused) = shard.take() {
                    return Some(reused);
                }
                !shard.http1.is_empty()
            };
            if !pending {
                return None;
            }
            // A connection whose response has just been read is ready once its task has run.
            tokio::task::yield_now().await;
        }
        None
    }

    /// Shares an HTTP/2 connection with later requests, unless there is one.
    pub(crate) fn share(&self, connection: &Http2) {
        let mut shard = self.shards.own().lock();
        if shard.http2.as_ref().is_none_or(Http2::is_closed) {
            shard.http2 = Some(connection.clone());
        }
    }
}

impl Shard {
    fn take(&mut self) -> Option<Reused> {
        self.http2.take_if(|connection| connection.is_closed());
        if let Some(connection) = &self.http2 {
            return Some(Reused::Http2(connection.clone()));
        }
        self.http1.retain(|(connection, since)| !connection.is_closed() && since.elapsed() < IDLE_FOR);
        let ready = self.http1.iter().rposition(|(connection, _)| connection.is_ready())?;
        Some(Reused::Http1(self.http1.remove(ready).0))
    }
}

/// An HTTP/1.1 connection whose response is being read.
pub(crate) struct Lease {
    pub(crate) connection: Http1,
    pub(crate) idle: Arc<Idle>,
}

impl Lease {
    /// The response was read to its end: the connection may carry another request.
    pub(crate) fn give_back(self) {
        if self.connection.is_closed() {
            return;
        }
        let mut shard = self.idle.shards.own().lock();
        if shard.http1.len() >= MAX_IDLE {
            shard.http1.remove(0);
        }
        shard.http1.push((self.connection, Instant::now()));
    }
}

/// The most idle connections of one endpoint and thread.
const MAX_IDLE: usize = 64;

/// How long a connection may be idle. Many servers close after 60 s or 75 s, some after 5 s, which the retry on a fresh
/// connection makes good.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// How often other tasks are let run while a connection becomes ready.
const YIELDS: usize = 3;
