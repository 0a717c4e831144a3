//! Bodies that a guest writes, watched: one that is cut short ends in an error, whatever cut it.
//!
//! The runtime ends a body cleanly when its writer vanishes with the guest's store. So the call keeps a guard of each
//! body and closes it before the store goes: what the guest has written and how it ended is settled by then.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, TE, TRAILER, TRANSFER_ENCODING,
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::Sleep;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::body::{GuestBody, GuestBodyError};
use crate::call::Leave;

/// The call's hold on a body.
pub(crate) struct BodyGuard(Arc<Mutex<State>>);

impl BodyGuard {
    /// Settles the body before the guest's store goes: what is written is kept for the reader, and if the guest has not
    /// finished it, it ends in `cause`.
    pub(crate) fn close(&self, cause: GuestBodyError) {
        let mut state = self.0.lock();
        if !matches!(state.source, Source::Guest(_)) {
            return;
        }
        let Source::Guest(mut body) = std::mem::replace(&mut state.source, Source::Over) else { return };
        let mut frames = VecDeque::new();
        // No task's budget may make a written frame look like none.
        let end = loop {
            match tokio::task::unconstrained(body.frame()).now_or_never() {
                Some(Some(Ok(frame))) => frames.push_back(frame),
                Some(Some(Err(_))) => break Some(GuestBodyError::Unfinished),
                Some(None) => break None,
                None => break Some(cause),
            }
        };
        state.source = Source::Kept { frames, end };
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Has the reader had all of it, or lost interest?
    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().is_over()
    }

    /// Waits until it is known whether the body has any content; its reader then knows it from the start.
    pub(crate) async fn settled(&self) {
        poll_fn(|cx| self.0.lock().poll_peek(cx)).await;
    }
}

/// Watches a response's body. It must have `declared` bytes, if that is known. `leave` is told when the reader drops it
/// early.
pub(crate) fn response(body: WasiBody, declared: Option<u64>, leave: Arc<Leave>) -> (BodyGuard, GuestBody) {
    track(body, declared, AtDrop::Leave(leave))
}

/// Watches a request's body. A reader that drops it early, as a cache does that has the answer, does not fail the
/// guest's writing: what is still written goes nowhere. Called on the handler's runtime.
pub(crate) fn upload(body: WasiBody, declared: Option<u64>) -> (BodyGuard, GuestBody) {
    track(body, declared, AtDrop::Drain(Handle::current()))
}

fn track(body: WasiBody, declared: Option<u64>, at_drop: AtDrop) -> (BodyGuard, GuestBody) {
    let state = State { source: Source::Guest(body), peeked: None, declared, passed: 0, waker: None };
    let state = Arc::new(Mutex::new(state));
    (BodyGuard(Arc::clone(&state)), TrackedBody { state, at_drop }.boxed_unsync())
}

struct TrackedBody {
    state: Arc<Mutex<State>>,
    at_drop: AtDrop,
}

/// What follows when the reader drops a body before its end.
enum AtDrop {
    Leave(Arc<Leave>),
    Drain(Handle),
}

type Polled = Option<Result<Frame<Bytes>, GuestBodyError>>;

struct State {
    source: Source,
    /// What was read to see whether there is content.
    peeked: Option<Polled>,
    declared: Option<u64>,
    passed: u64,
    waker: Option<Waker>,
}

/// Where the next frame comes from.
enum Source {
    /// The guest's store.
    Guest(WasiBody),
    /// What was left when the store went.
    Kept { frames: VecDeque<Frame<Bytes>>, end: Option<GuestBodyError> },
    /// Nowhere: it has ended.
    Over,
}

impl State {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        match self.peeked.take() {
            Some(peeked) => Poll::Ready(peeked),
            None => self.poll_source(cx),
        }
    }

    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.peeked.is_none() {
            self.peeked = Some(ready!(self.poll_source(cx)));
        }
        Poll::Ready(())
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        loop {
            let frame = match &mut self.source {
                Source::Guest(body) => match Pin::new(body).poll_frame(cx) {
                    Poll::Ready(frame) => frame.map(|frame| frame.map_err(|_| GuestBodyError::Unfinished)),
                    Poll::Pending => {
                        self.waker = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                },
                Source::Kept { frames, end } => frames.pop_front().map(Ok).or_else(|| end.take().map(Err)),
                Source::Over => return Poll::Ready(None),
            };
            // Guests write nothing for a body without content; on the wire that would be one.
            if let Some(Ok(frame)) = &frame
                && frame.data_ref().is_some_and(Bytes::is_empty)
            {
                continue;
            }
            let checked = self.check(frame);
            if !matches!(checked, Some(Ok(_))) {
                self.source = Source::Over;
            }
            return Poll::Ready(checked);
        }
    }

    /// Holds the body to its declared length, and its trailers to what trailers may say.
    fn check(&mut self, frame: Polled) -> Polled {
        let short = self.declared.filter(|declared| self.passed < *declared);
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.passed = self.passed.saturating_add(data.len() as u64);
                    match self.declared.filter(|declared| self.passed > *declared) {
                        Some(declared) => Some(Err(GuestBodyError::Length { declared })),
                        None => Some(Ok(Frame::data(data))),
                    }
                }
                Err(frame) => match (short, frame.into_trailers()) {
                    (Some(declared), _) => Some(Err(GuestBodyError::Length { declared })),
                    (None, Ok(trailers)) => Some(Ok(Frame::trailers(allowed_trailers(trailers)))),
                    (None, Err(_)) => None,
                },
            },
            Some(Err(GuestBodyError::Unfinished)) | None if short.is_some() => {
                short.map(|declared| Err(GuestBodyError::Length { declared }))
            }
            other => other,
        }
    }

    /// A reader that knows the length stops reading at the last byte and never sees the end.
    fn is_over(&self) -> bool {
        match &self.source {
            _ if self.peeked.as_ref().is_some_and(Option::is_some) => false,
            Source::Over => true,
            Source::Guest(body) if body.is_end_stream() => self.declared.is_none_or(|declared| declared == self.passed),
            Source::Guest(_) | Source::Kept { .. } => self.declared == Some(self.passed),
        }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = GuestBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, GuestBodyError>>> {
        self.state.lock().poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state.lock();
        match (&state.peeked, &state.source) {
            (Some(peeked), _) => peeked.is_none(),
            (None, Source::Over) => true,
            (None, Source::Guest(body)) => body.is_end_stream() || state.declared == Some(0),
            (None, Source::Kept { .. }) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            return SizeHint::with_exact(0);
        }
        let state = self.state.lock();
        match (&state.source, state.declared) {
            (_, Some(declared)) => SizeHint::with_exact(declared.saturating_sub(state.passed)),
            (Source::Guest(body), None) if state.peeked.is_none() => body.size_hint(),
            (_, None) => SizeHint::default(),
        }
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        let early = !state.is_over();
        match &self.at_drop {
            AtDrop::Leave(leave) => {
                // The guest learns it at its next write.
                state.source = Source::Over;
                if early {
                    leave.reader_left();
                }
            }
            AtDrop::Drain(runtime) => {
                if matches!(state.source, Source::Guest(_)) {
                    runtime.spawn(drain(Arc::clone(&self.state)));
                }
            }
        }
    }
}

/// Reads a body to its end, for nobody. The end comes with the call's at the latest.
async fn drain(state: Arc<Mutex<State>>) {
    while let Some(Ok(_)) = poll_fn(|cx| state.lock().poll(cx)).await {}
}

/// RFC 9110 §6.5.1: no framing, routing or content fields in trailers.
fn allowed_trailers(mut trailers: HeaderMap) -> HeaderMap {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, TE, TRAILER, TRANSFER_ENCODING] {
        trailers.remove(name);
    }
    trailers
}

/// Ends `body` in an error when it makes no progress for `limit`.
pub(crate) fn with_idle_limit(body: WasiBody, limit: Option<Duration>) -> WasiBody {
    match limit {
        Some(limit) => IdleLimited { body, limit, timer: Box::pin(tokio::time::sleep(limit)) }.boxed_unsync(),
        None => body,
    }
}

struct IdleLimited {
    body: WasiBody,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Body for IdleLimited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let next = tokio::time::Instant::now() + self.limit;
            self.timer.as_mut().reset(next);
            return Poll::Ready(frame);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
