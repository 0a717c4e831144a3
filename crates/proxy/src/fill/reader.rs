//! A reader of a fill: a body that yields the chunks as they arrive, and what it has missed from the store.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use holm_transport::body::{BodyError, BodyErrorKind, Side};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::buffer::{Shared, Taken};

/// One reader, from byte 0 on.
pub(crate) struct FillReader {
    shared: Arc<Shared>,
    /// Its place among those who wait.
    place: usize,
    /// The next byte.
    at: u64,
    /// Bytes that are on their way from the store.
    missed: Option<BoxFuture<'static, Option<Bytes>>>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The trailers were given.
    Told,
    /// An error was given: nothing comes after it.
    Failed,
}

impl FillReader {
    pub(super) const fn new(shared: Arc<Shared>, place: usize) -> Self {
        Self { shared, place, at: 0, missed: None, state: State::Reading }
    }

    /// What came from the store: some bytes, else it is gone, and nothing may look like its end.
    fn caught_up(&mut self, bytes: Option<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            return Err(BodyError::with_detail(BodyErrorKind::Incomplete, Side::Us, "spilled bytes are gone"));
        };
        let from = self.at;
        self.at += bytes.len() as u64;
        self.shared.pass(from, self.at);
        Ok(Frame::data(bytes))
    }
}

impl HttpBody for FillReader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.state == State::Failed {
            return Poll::Ready(None);
        }
        if this.missed.is_none() {
            match this.shared.take(this.at, this.place, this.state == State::Told, cx.waker()) {
                Taken::Stored(missed) => this.missed = Some(missed),
                Taken::Here(taken) => {
                    match &taken {
                        Poll::Ready(Some(Ok(frame))) => match frame.data_ref() {
                            Some(data) => this.at += data.len() as u64,
                            None => this.state = State::Told,
                        },
                        Poll::Ready(Some(Err(_))) => this.state = State::Failed,
                        Poll::Ready(None) | Poll::Pending => {}
                    }
                    return taken;
                }
            }
        }
        let Some(missed) = &mut this.missed else { return Poll::Pending };
        let bytes = ready!(missed.as_mut().poll(cx));
        this.missed = None;
        let caught_up = this.caught_up(bytes);
        if caught_up.is_err() {
            this.state = State::Failed;
        }
        Poll::Ready(Some(caught_up))
    }

    fn size_hint(&self) -> SizeHint {
        match self.shared.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.at)),
            None => SizeHint::default(),
        }
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.shared.leave(self.at, self.place);
    }
}

impl std::fmt::Debug for FillReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FillReader").field("at", &self.at).finish_non_exhaustive()
    }
}
