//! Pings: a peer of which nothing is heard for a while is asked for a sign of life (RFC 9113 §6.7).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// When something was last heard of a peer.
#[derive(Debug)]
pub(crate) struct Heard {
    begun: Instant,
    /// Milliseconds after the beginning.
    last: AtomicU64,
}

impl Heard {
    fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), last: AtomicU64::new(0) })
    }

    fn note(&self) {
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Relaxed);
    }

    fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Relaxed))
    }
}

/// A connection's bytes, whose arrival is noted.
#[derive(Debug)]
pub(crate) struct Listening<T> {
    io: T,
    heard: Arc<Heard>,
}

impl<T> Listening<T> {
    pub(crate) fn new(io: T) -> (Self, Arc<Heard>) {
        let heard = Heard::new();
        (Self { io, heard: Arc::clone(&heard) }, heard)
    }
}

/// Asks for signs of life.
pub(crate) struct Pings {
    pings: PingPong,
    heard: Arc<Heard>,
    interval: Duration,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody waits for the peer: the timer may have run out.
    Idle,
    /// The timer is set; false until it knows this task.
    Waiting { armed: bool },
    /// A ping is on its way.
    Asked,
}

/// The peer gave no sign of life.
#[derive(Debug, thiserror::Error)]
#[error("no answer to a ping")]
pub(crate) struct Silent;

impl Pings {
    pub(crate) fn new(pings: PingPong, heard: Arc<Heard>, interval: Duration, timeout: Duration) -> Self {
        let timer = Box::pin(sleep_until(heard.last() + interval));
        Self { pings, heard, interval, timeout, timer, state: State::Idle }
    }

    /// Completes when the peer has been silent for too long; while `idle`, no ping is sent. It may live in one task only.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, idle: bool) -> Poll<Silent> {
        loop {
            match self.state {
                State::Idle if idle => return Poll::Pending,
                State::Idle => self.wait(),
                // Most polls end here, without a look at the clock.
                State::Waiting { armed: true } if !self.timer.is_elapsed() => return Poll::Pending,
                State::Waiting { .. } => {
                    self.state = State::Waiting { armed: true };
                    if self.timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.waited(idle);
                }
                State::Asked => {
                    if self.pings.poll_pong(cx).is_ready() {
                        self.heard.note();
                        self.state = State::Idle;
                    } else if self.timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    } else if self.heard.last() + self.timeout <= Instant::now() {
                        return Poll::Ready(Silent);
                    } else {
                        // It is busy sending something else.
                        self.timer.as_mut().reset(self.heard.last() + self.timeout);
                    }
                }
            }
        }
    }

    fn wait(&mut self) {
        self.timer.as_mut().reset(self.heard.last() + self.interval);
        self.state = State::Waiting { armed: false };
    }

    fn waited(&mut self, idle: bool) {
        if idle || self.heard.last() + self.interval > Instant::now() {
            self.state = State::Idle;
        } else if self.pings.send_ping(Ping::opaque()).is_ok() {
            self.timer.as_mut().reset(Instant::now() + self.timeout);
            self.state = State::Asked;
        } else {
            // The connection is ending, which it will tell by itself.
            self.timer.as_mut().reset(Instant::now() + self.interval);
            self.state = State::Waiting { armed: false };
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Listening<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.heard.note();
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Listening<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
