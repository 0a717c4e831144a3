//! Carrying: an HTTP/1.1 exchange's interim responses on their way to the guard, which writes them where hyper can't.

use std::pin::pin;
use std::task::Poll;

use futures_util::future::poll_fn;

use super::gate::Gate;
use crate::interim::Interims;

/// Waits for the answer, and until every interim response that was sent before it is passed on. The guard takes them when
/// hyper flushes, which it does whenever it has polled this.
pub(super) async fn carry<T>(gate: &Gate, interims: &Interims, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    let answered = poll_fn(|cx| {
        let polled = answer.as_mut().poll(cx);
        if polled.is_pending() && interims.queue().is_some() && !gate.carries_interims() {
            gate.carry_interims(interims.queue());
        }
        polled
    })
    .await;
    if let Some(queue) = interims.queue() {
        interims.close();
        gate.carry_interims(Some(queue));
        poll_fn(|cx| if queue.is_drained(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
        gate.carry_interims(None);
    }
    answered
}
