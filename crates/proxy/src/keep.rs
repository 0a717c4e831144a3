//! Keeping: a response that goes to its client alone, and on its way is collected for the cache.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use holm_transport::body::{Body, BodyError};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::fill::Charge;
use crate::node::Node;

/// Called with the whole body, once it has come to its clean end.
type Store = Box<dyn FnOnce(&[Bytes]) + Send>;

/// A body that is collected while its client reads it, as long as it fits; `store` is given all of it at its clean end. A
/// client that leaves, or a body that breaks off or grows too large, leaves nothing.
pub(crate) fn collected(node: &Arc<Node>, body: Body, store: impl FnOnce(&[Bytes]) + Send + 'static) -> Body {
    let expected = body.exact_len();
    if expected.is_some_and(|length| length > node.max_held) {
        return body;
    }
    let collecting = Collecting {
        chunks: Vec::new(),
        charge: Charge::new(&node.budget),
        limit: node.max_held,
        expected,
        store: Box::new(store),
    };
    let mut kept = Kept { body, collecting: Some(collecting) };
    if expected == Some(0) {
        kept.end();
    }
    Body::stream(kept)
}

struct Kept {
    body: Body,
    /// `None` once it is stored or given up.
    collecting: Option<Collecting>,
}

struct Collecting {
    chunks: Vec<Bytes>,
    /// What the chunks take of the node's memory for fills.
    charge: Charge,
    limit: u64,
    /// The declared length: who reads the body stops there, and asks for no end.
    expected: Option<u64>,
    store: Store,
}

impl Kept {
    fn take(&mut self, data: &Bytes) {
        let Some(collecting) = self.collecting.as_mut().filter(|_| !data.is_empty()) else { return };
        let fits = collecting.charge.held() + data.len() as u64 <= collecting.limit;
        if !fits || !collecting.charge.add(data.len() as u64) {
            self.collecting = None;
            return;
        }
        collecting.chunks.push(data.clone());
        if collecting.expected == Some(collecting.charge.held()) {
            self.end();
        }
    }

    fn end(&mut self) {
        let Some(collecting) = self.collecting.take() else { return };
        if collecting.expected.is_none_or(|expected| expected == collecting.charge.held()) {
            (collecting.store)(&collecting.chunks);
        }
    }
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.take(data);
                }
            }
            Poll::Ready(Some(Err(_))) => self.collecting = None,
            Poll::Ready(None) => self.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
