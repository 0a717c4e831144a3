//! Stalls: how long a peer may let a stream wait for the rest of a message while nothing of any message moves on its
//! connection. A peer that serves its streams in turns, as slowly as its link is, stalls none of them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// What moves on a connection: bytes of messages, either way.
#[derive(Debug, Clone)]
pub(crate) struct Moves {
    count: Arc<AtomicUsize>,
    limit: Duration,
}

impl Moves {
    /// For a connection whose peer has `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { count: Arc::default(), limit }
    }
}

/// One stream's patience.
#[derive(Debug)]
pub(crate) struct Stall {
    /// None: it waits as long as it takes.
    moves: Option<Moves>,
    /// What had moved when the timer was set.
    seen: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    pub(crate) fn on(moves: &Moves) -> Self {
        Self { moves: Some(moves.clone()), seen: 0, timer: None }
    }

    /// Whoever waits sees to it.
    pub(crate) fn never() -> Self {
        Self { moves: None, seen: 0, timer: None }
    }

    /// What was waited for has come.
    pub(crate) fn moved(&self) {
        if let Some(moves) = &self.moves {
            moves.count.fetch_add(1, Relaxed);
        }
    }

    /// Polled while the stream waits for its peer; completes when nothing has moved for as long as it may. The timer is set
    /// anew only when it has run out: what moves often pays nothing, what stalls may get twice the time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Moves { count, limit }) = &self.moves else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| {
            self.seen = count.load(Relaxed);
            Box::pin(sleep_until(Instant::now() + *limit))
        });
        loop {
            ready!(timer.as_mut().poll(cx));
            let moved = count.load(Relaxed);
            if moved == self.seen {
                return Poll::Ready(());
            }
            self.seen = moved;
            timer.as_mut().reset(Instant::now() + *limit);
        }
    }
}
