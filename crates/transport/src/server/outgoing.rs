//! A response's body on its way out: counted as under way until it is gone, and, where nothing below checks it, held to
//! its Content-Length.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::gate::Gate;
use crate::body::{Body, BodyError, BodyErrorKind, Side};
use crate::fields::strip_connection;

/// A body as hyper sends it.
pub(super) struct Outgoing {
    body: Body,
    /// Nothing below checks it.
    strict: bool,
    /// Bytes that must still come, if the head said so and that is to be checked.
    left: Option<u64>,
    _busy: Busy,
}

/// A request under way, from when it was taken to when its response is passed on.
pub(super) struct Busy(Arc<Gate>);

impl Busy {
    pub(super) fn new(gate: &Arc<Gate>) -> Self {
        gate.enter();
        Self(Arc::clone(gate))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Outgoing {
    /// As it is: hyper frames it, and holds it to its length.
    pub(super) fn http1(body: Body, busy: Busy) -> Self {
        Self { body, strict: false, left: None, _busy: busy }
    }

    /// Held to `length`, and its trailers to what HTTP/2 allows.
    pub(super) fn http2(body: Body, length: Option<u64>, busy: Busy) -> Self {
        Self { body, strict: true, left: length, _busy: busy }
    }

    fn check(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let Some(trailers) = frame.trailers_mut().filter(|_| self.strict) {
            strip_connection(trailers);
        }
        if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
            *left = left.checked_sub(data.len() as u64).ok_or(BodyError::new(BodyErrorKind::TooLong, Side::Us))?;
        }
        Ok(frame)
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(self.check(frame))),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None if self.left.is_some_and(|left| left > 0) => {
                self.left = None;
                Poll::Ready(Some(Err(BodyError::new(BodyErrorKind::Incomplete, Side::Us))))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.left.unwrap_or(0) == 0
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
