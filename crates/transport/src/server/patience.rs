//! Patience: how long a connection may wait for what it waits for. The clock is read when what it waits for changes, and
//! a timer is set only as early as it can be needed: a busy connection sets none.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::gate::Waiting;
use super::limits::ServerLimits;

/// The timer of one connection. It may live in one task only.
pub(super) struct Patience {
    limits: ServerLimits,
    /// The connection is to end.
    leaving: bool,
    waiting: Waiting,
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// The timer knows this task.
    armed: bool,
}

impl Patience {
    pub(super) fn new(limits: &ServerLimits) -> Self {
        Self {
            limits: limits.clone(),
            leaving: false,
            waiting: Waiting::Head(0),
            since: Instant::now(),
            timer: None,
            armed: false,
        }
    }

    /// From now on it waits for requests that were promised at most.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        self.since = Instant::now();
    }

    /// Completes when what the connection waits for has taken too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, waiting: Waiting) -> Poll<Waiting> {
        if waiting != self.waiting {
            self.waiting = waiting;
            self.since = Instant::now();
        }
        let Some(limit) = self.limit(waiting) else { return Poll::Pending };
        let deadline = self.since + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        } else if self.armed && !timer.is_elapsed() {
            return Poll::Pending;
        }
        self.armed = true;
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(waiting);
            }
            timer.as_mut().reset(deadline);
        }
    }

    fn limit(&self, waiting: Waiting) -> Option<Duration> {
        match waiting {
            Waiting::Answer => None,
            Waiting::Client(_) => Some(self.limits.stall),
            Waiting::Head(0) if self.leaving => Some(FIRST_REQUEST.min(self.limits.head)),
            Waiting::Request(_) if self.leaving => Some(self.limits.linger),
            Waiting::Head(_) => Some(self.limits.head),
            Waiting::Request(_) => Some(self.limits.idle),
        }
    }
}

/// How long, once the server is to end, a new connection may take for its first request: a round trip or two.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
