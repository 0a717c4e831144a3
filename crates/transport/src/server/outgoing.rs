//! A response's body on its way out: counted as under way until it is gone, and, where nothing below checks it, held to
//! its Content-Length.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::gate::Gate;
use crate::body::{Body, BodyError, BodyErrorKind, Side};

/// A body as hyper sends it.
pub(super) struct Outgoing {
    body: Body,
    /// Bytes that must still come, if that is to be checked.
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
    /// `length` is what the body is held to.
    pub(super) fn new(body: Body, length: Option<u64>, busy: Busy) -> Self {
        Self { body, left: length, _busy: busy }
    }

    fn check(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) else { return Ok(()) };
        *left = left.checked_sub(data.len() as u64).ok_or(BodyError::new(BodyErrorKind::TooLong, Side::Us))?;
        Ok(())
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(self.check(&frame).map(|()| frame))),
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
