//! Driving a connection: polled until it ends, within what it may take, and told when the server is to end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_util::future::poll_fn;

use super::gate::{Gate, Waiting};
use super::limits::ServerLimits;
use super::patience::Patience;
use crate::shutdown::Shutdown;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End<E> {
    /// As it should.
    Closed,
    /// With an error of the protocol, of the client or of a body.
    Failed(E),
    /// The client was waited for in vain.
    Late,
    /// The service panicked.
    Panicked,
}

/// When a connection is told that the server is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// At once: it may still take requests that are on their way.
    AtOnce,
    /// Not before its first request, nor while another one arrives: told then, it would close.
    BetweenRequests,
}

impl Notice {
    fn is_due(self, gate: &Gate) -> bool {
        self == Self::AtOnce || (gate.was_used() && !gate.has_begun_head())
    }
}

/// Polls `connection` to its end; `wind_down` makes it end by itself as soon as it can.
pub(super) async fn drive<C, E>(
    connection: &mut C,
    wind_down: impl Fn(Pin<&mut C>),
    gate: &Gate,
    limits: &ServerLimits,
    (shutdown, notice): (&Shutdown, Notice),
) -> End<E>
where
    C: Future<Output = Result<(), E>> + Unpin,
{
    let mut patience = Patience::new(limits);
    let mut told = false;
    let mut begin = Begin { told: pin!(shutdown.draining()), shutdown, listening: false, begun: false };
    poll_fn(|cx| {
        loop {
            match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *connection).poll(cx))) {
                Ok(Poll::Ready(Ok(()))) => return Poll::Ready(End::Closed),
                Ok(Poll::Ready(Err(error))) => return Poll::Ready(End::Failed(error)),
                Ok(Poll::Pending) => {}
                Err(_) => return Poll::Ready(End::Panicked),
            }
            if begin.poll_just_begun(cx) {
                patience.leave();
            }
            if begin.begun && !told && notice.is_due(gate) {
                told = true;
                wind_down(Pin::new(connection));
                continue;
            }
            let Poll::Ready(late) = patience.poll(cx, gate.waiting()) else { return Poll::Pending };
            match late {
                Waiting::Head(_) if gate.has_begun_head() && !gate.is_head_late() => gate.head_is_late(),
                Waiting::Head(_) | Waiting::Request(_) if !told => {
                    told = true;
                    patience.leave();
                    wind_down(Pin::new(connection));
                }
                _ => return Poll::Ready(End::Late),
            }
        }
    })
    .await
}

/// The shutdown's beginning. It is waited for once; after that, a look at a flag tells whether a wake-up was for it.
struct Begin<'a, F> {
    told: Pin<&'a mut F>,
    shutdown: &'a Shutdown,
    listening: bool,
    begun: bool,
}

impl<F: Future<Output = ()>> Begin<'_, F> {
    fn poll_just_begun(&mut self, cx: &mut Context<'_>) -> bool {
        if self.begun || (self.listening && !self.shutdown.is_draining()) {
            return false;
        }
        self.listening = true;
        self.begun = self.told.as_mut().poll(cx).is_ready();
        self.begun
    }
}
