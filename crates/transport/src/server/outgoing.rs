//! A response's body on its way out through hyper: counted as under way until it is gone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::gate::Gate;
use crate::body::{Body, BodyError};

/// A body as hyper sends it: it frames it, and holds it to its length.
pub(super) struct Outgoing {
    body: Body,
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
    pub(super) fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
