//! Interim responses: heads with a 1xx status that come before the final one (RFC 9110 §15.2), such as 103 Early Hints
//! (RFC 8297). A server passes them on as they come and never waits for them; a client takes a bounded number.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use holm_model::limits::MAX_HEAD_BYTES;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Response, StatusCode};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::body::Body;
use crate::fields;

/// One interim response. 100 and 101 are none: they are about a connection, and are dealt with where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interim {
    /// 102 to 199.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
}

impl Interim {
    /// 103 (Early Hints).
    #[must_use]
    pub const fn early_hints(headers: HeaderMap) -> Self {
        Self { status: StatusCode::EARLY_HINTS, headers }
    }

    /// Appends it as the bytes of an HTTP/1.1 head.
    pub(crate) fn write_http1(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(b"HTTP/1.1 ");
        bytes.extend_from_slice(self.status.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(self.status.canonical_reason().unwrap_or("Interim Response").as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
    }

    /// As a head without a body, for the crates below.
    pub(crate) fn into_response(self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    fn size(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD).sum()
    }
}

/// The way for interim responses to the one who sent a request. It costs nothing until someone wants to send one.
#[derive(Debug, Default)]
pub struct Interims {
    nowhere: bool,
    queue: OnceLock<Arc<Queue>>,
}

impl Interims {
    /// For a request whose sender takes none: HTTP/1.0 (RFC 9110 §15.2), or ourselves.
    #[must_use]
    pub const fn nowhere() -> Self {
        Self { nowhere: true, queue: OnceLock::new() }
    }

    /// For a request whose sender takes them.
    #[must_use]
    pub const fn new() -> Self {
        Self { nowhere: false, queue: OnceLock::new() }
    }

    /// Sends, also after the service's future is gone, when it does nothing.
    #[must_use]
    pub fn sender(&self) -> InterimSender {
        InterimSender((!self.nowhere).then(|| Arc::clone(self.queue.get_or_init(Arc::default))))
    }

    /// For whoever serves the request: what was sent since the last time, and `None` once there can be no more.
    pub fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<Option<Vec<Interim>>> {
        let Some(queue) = self.queue() else { return Poll::Pending };
        let heads = queue.take(cx.waker());
        match heads.is_empty() {
            false => Poll::Ready(Some(heads)),
            true if queue.is_closed() => Poll::Ready(None),
            true => Poll::Pending,
        }
    }

    /// The queue, if anyone ever wanted to send something.
    pub(crate) fn queue(&self) -> Option<&Arc<Queue>> {
        self.queue.get()
    }

    /// The final response is next: nothing more is taken. What was sent before still goes out.
    pub(crate) fn close(&self) {
        if let Some(queue) = self.queue() {
            queue.close();
        }
    }
}

impl Drop for Interims {
    fn drop(&mut self) {
        self.close();
    }
}

/// Sends interim responses to the one who sent a request, until the final response's head is there.
#[derive(Debug, Clone)]
pub struct InterimSender(Option<Arc<Queue>>);

impl InterimSender {
    /// Sends it as soon as the connection takes it. Dropped in silence: what comes after the final head, more than
    /// [`MAX_INTERIMS`] or [`MAX_HEAD_BYTES`] in all, and what is no interim response for peers (100, 101).
    pub fn send(&self, interim: Interim) {
        if let Some(queue) = self.0.as_deref().filter(|_| is_for_peers(interim.status)) {
            queue.push(interim);
        }
    }

    /// Does anything that is sent have a chance to arrive?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.as_deref().is_some_and(|queue| queue.state.lock().open)
    }
}

/// What was sent and is not yet on its way.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<Waiting>,
    /// The connection, which passes them on.
    writer: AtomicWaker,
    /// The response that goes behind them.
    response: AtomicWaker,
}

#[derive(Debug)]
struct Waiting {
    open: bool,
    heads: Vec<Interim>,
    /// How many more are taken.
    count: usize,
    /// How many more bytes are taken.
    bytes: usize,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { open: true, heads: Vec::new(), count: MAX_INTERIMS, bytes: MAX_HEAD_BYTES }
    }
}

impl Queue {
    fn push(&self, mut interim: Interim) {
        // RFC 9110 §8.6, RFC 9112 §6.1: nothing is framed by an interim response.
        fields::strip_connection(&mut interim.headers);
        interim.headers.remove(CONTENT_LENGTH);
        let size = interim.size();
        {
            let mut state = self.state.lock();
            let (Some(count), Some(bytes)) = (state.count.checked_sub(1), state.bytes.checked_sub(size)) else {
                return;
            };
            if !state.open {
                return;
            }
            (state.count, state.bytes) = (count, bytes);
            state.heads.push(interim);
        }
        self.writer.wake();
    }

    fn close(&self) {
        self.state.lock().open = false;
        self.writer.wake();
    }

    /// Takes what waits; whoever writes is woken when there is more.
    pub(crate) fn take(&self, writer: &Waker) -> Vec<Interim> {
        self.writer.register(writer);
        let heads = std::mem::take(&mut self.state.lock().heads);
        self.response.wake();
        heads
    }

    /// Is everything taken that went before the response? If not, `response` is woken once it is.
    pub(crate) fn is_drained(&self, response: &Waker) -> bool {
        self.response.register(response);
        self.state.lock().heads.is_empty()
    }

    /// Can nothing more come?
    fn is_closed(&self) -> bool {
        !self.state.lock().open
    }
}

/// The extension of a request to a peer that tells of the interim responses to it.
#[derive(Clone)]
pub struct OnInterim(Arc<dyn Fn(Interim) + Send + Sync>);

impl OnInterim {
    /// Calls `hear` for each, but for 100 and 101; it must not block.
    pub fn new(hear: impl Fn(Interim) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    /// Tells of one.
    pub fn tell(&self, interim: Interim) {
        (self.0)(interim);
    }
}

impl fmt::Debug for OnInterim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnInterim")
    }
}

/// What a client hears before a final response.
#[derive(Debug)]
pub(crate) struct Hearing {
    on: Option<OnInterim>,
    heard: AtomicUsize,
    too_many: Notify,
}

/// A peer that sends interim responses without end.
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_INTERIMS} interim responses")]
pub(crate) struct TooMany;

impl Hearing {
    /// For a request that may have an [`OnInterim`]; it stays in place, for another try.
    pub(crate) fn of(request: &Request<Body>) -> Self {
        let on = request.extensions().get::<OnInterim>().cloned();
        Self { on, heard: AtomicUsize::new(0), too_many: Notify::new() }
    }

    /// Takes an interim response.
    pub(crate) fn hear(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), TooMany> {
        if self.heard.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIMS {
            self.too_many.notify_one();
            return Err(TooMany);
        }
        if let Some(on) = self.on.as_ref().filter(|_| is_for_peers(status)) {
            on.tell(Interim { status, headers: headers.clone() });
        }
        Ok(())
    }

    /// Completes once there were too many.
    pub(crate) async fn overrun(&self) -> TooMany {
        self.too_many.notified().await;
        TooMany
    }
}

fn is_for_peers(status: StatusCode) -> bool {
    (102..200).contains(&status.as_u16())
}

/// The most interim responses to one request. More from a server are an error; more to a client are not sent.
pub const MAX_INTERIMS: usize = 16;

/// What a field counts beside its bytes: at least what any protocol adds.
const FIELD_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests;
