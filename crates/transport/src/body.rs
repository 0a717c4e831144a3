//! Bodies: one type for every body that crosses Holm, whichever protocol it came by or leaves by.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::poll_fn;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// A request's or response's body. A stored body is held in place (no box, no channel), everything else streams.
pub struct Body(Repr);

enum Repr {
    Empty,
    Full(Bytes),
    Hyper(hyper::body::Incoming),
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>),
}

impl Body {
    /// No bytes, no trailers.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Repr::Empty)
    }

    /// These bytes.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() { Repr::Empty } else { Repr::Full(bytes) })
    }

    /// A stream of another kind.
    pub fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self(Repr::Stream(Box::pin(body)))
    }

    /// A body that hyper reads from a peer; `side` is whose fault a failure would be.
    #[must_use]
    pub fn incoming(incoming: hyper::body::Incoming, side: Side) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        match side {
            Side::Client => Self(Repr::Hyper(incoming)),
            side => Self::stream(IncomingBody { incoming: Some(incoming), side }),
        }
    }

    /// A body that is written by hand through the [`BodySender`]; `capacity` frames wait at most.
    #[must_use]
    pub fn channel(capacity: usize) -> (BodySender, Self) {
        Self::channel_with_length(capacity, None)
    }

    /// A channel whose length is known beforehand.
    #[must_use]
    pub fn channel_with_length(capacity: usize, length: Option<u64>) -> (BodySender, Self) {
        let (tx, rx) = mpsc::channel(capacity.max(1));
        let body = ChannelBody { rx, left: length, ended: false };
        (BodySender { tx: PollSender::new(tx) }, Self::stream(body))
    }

    /// The exact number of bytes to come, if known.
    #[must_use]
    pub fn exact_len(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// The number of bytes, if all of them are here already.
    #[must_use]
    pub fn held_len(&self) -> Option<u64> {
        match &self.0 {
            Repr::Empty => Some(0),
            Repr::Full(bytes) => Some(bytes.len() as u64),
            Repr::Hyper(_) | Repr::Stream(_) => None,
        }
    }

    /// The bytes, if all of them are here already.
    #[must_use]
    pub fn held(&self) -> Option<Bytes> {
        match &self.0 {
            Repr::Empty => Some(Bytes::new()),
            Repr::Full(bytes) => Some(bytes.clone()),
            Repr::Hyper(_) | Repr::Stream(_) => None,
        }
    }

    /// The next frame, or `None` at the end.
    pub async fn frame(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await
    }

    /// Everything, up to `limit` bytes; trailers are dropped.
    ///
    /// # Errors
    /// The body's own error, or [`BodyErrorKind::TooLarge`] past the limit.
    pub async fn collect(mut self, limit: u64) -> Result<Bytes, BodyError> {
        if let Repr::Full(bytes) = &mut self.0 {
            return Ok(std::mem::take(bytes));
        }
        let mut all = bytes::BytesMut::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if (all.len() + data.len()) as u64 > limit {
                return Err(BodyError::new(BodyErrorKind::TooLarge, Side::Upstream));
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Repr::Empty => "empty",
            Repr::Full(_) => "full",
            Repr::Hyper(_) | Repr::Stream(_) => "stream",
        };
        f.debug_struct("Body").field("kind", &kind).field("length", &self.exact_len()).finish()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Repr::Empty => Poll::Ready(None),
            Repr::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Repr::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Repr::Hyper(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx));
                if matches!(frame, Some(Err(_))) {
                    // hyper would say so again and again.
                    self.0 = Repr::Empty;
                }
                Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::from_hyper(&error, Side::Client))))
            }
            Repr::Stream(stream) => stream.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Repr::Empty => true,
            Repr::Full(_) => false,
            Repr::Hyper(incoming) => incoming.is_end_stream(),
            Repr::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Repr::Empty => SizeHint::with_exact(0),
            Repr::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Repr::Hyper(incoming) => incoming.size_hint(),
            Repr::Stream(stream) => stream.size_hint(),
        }
    }
}

/// Why a body ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} ({side}){}", detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default())]
pub struct BodyError {
    /// What happened.
    pub kind: BodyErrorKind,
    /// Whose doing it was.
    pub side: Side,
    detail: Option<Arc<str>>,
}

/// What ended a body early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyErrorKind {
    /// The stream ended, or its sender vanished, before the body was whole.
    #[error("body incomplete")]
    Incomplete,
    /// More bytes came than `Content-Length` said.
    #[error("body longer than its Content-Length")]
    TooLong,
    /// No bytes came for too long.
    #[error("body timed out")]
    Timeout,
    /// The peer or we reset the stream.
    #[error("stream reset")]
    Reset,
    /// A limit on the body's size was passed.
    #[error("body too large")]
    TooLarge,
    /// The framing or the protocol was broken.
    #[error("protocol error in body")]
    Protocol,
    /// The connection failed.
    #[error("connection failed in mid-body")]
    Io,
}

/// Whose doing a failure was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one who asks us.
    Client,
    /// The one whom we ask.
    Upstream,
    /// Ourselves.
    Us,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Us => "holm",
        })
    }
}

impl BodyError {
    /// An error without further detail.
    #[must_use]
    pub const fn new(kind: BodyErrorKind, side: Side) -> Self {
        Self { kind, side, detail: None }
    }

    /// An error with its cause in words.
    pub fn with_detail(kind: BodyErrorKind, side: Side, detail: impl fmt::Display) -> Self {
        Self { kind, side, detail: Some(detail.to_string().into()) }
    }

    /// The upstream's body ended before it was whole.
    #[must_use]
    pub const fn incomplete_upstream() -> Self {
        Self::new(BodyErrorKind::Incomplete, Side::Upstream)
    }

    /// What hyper says of a body that it read.
    #[must_use]
    pub fn from_hyper(error: &hyper::Error, side: Side) -> Self {
        let kind = if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            BodyErrorKind::Incomplete
        } else if error.is_timeout() {
            BodyErrorKind::Timeout
        } else if error.is_parse() {
            BodyErrorKind::Protocol
        } else {
            BodyErrorKind::Io
        };
        Self::with_detail(kind, side, error)
    }
}

/// The writing end of [`Body::channel`]. Dropping it before [`BodySender::finish`] ends the body with an error: a writer
/// that dies never looks like a clean end.
#[derive(Debug)]
pub struct BodySender {
    tx: PollSender<Item>,
}

#[derive(Debug)]
enum Item {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Failed(BodyError),
}

/// The reader of a body is gone: nobody wants the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body's reader is gone")]
pub struct ReaderGone;

impl BodySender {
    /// Waits for room, then passes bytes on.
    ///
    /// # Errors
    /// [`ReaderGone`] once nobody reads.
    pub async fn send_data(&mut self, data: Bytes) -> Result<(), ReaderGone> {
        if data.is_empty() {
            return Ok(());
        }
        self.send(Item::Data(data)).await
    }

    /// Passes trailers on and ends the body.
    ///
    /// # Errors
    /// [`ReaderGone`] once nobody reads.
    pub async fn send_trailers(mut self, trailers: HeaderMap) -> Result<(), ReaderGone> {
        self.send(Item::Trailers(trailers)).await?;
        self.send(Item::End).await
    }

    /// Ends the body cleanly.
    ///
    /// # Errors
    /// [`ReaderGone`] once nobody reads.
    pub async fn finish(mut self) -> Result<(), ReaderGone> {
        self.send(Item::End).await
    }

    /// Ends the body with an error.
    pub async fn abort(mut self, error: BodyError) {
        let _ = self.send(Item::Failed(error)).await;
    }

    /// Completes once nobody reads any more.
    pub async fn closed(&self) {
        if let Some(tx) = self.tx.get_ref() {
            tx.closed().await;
        }
    }

    async fn send(&mut self, item: Item) -> Result<(), ReaderGone> {
        poll_fn(|cx| self.tx.poll_reserve(cx)).await.map_err(|_| ReaderGone)?;
        self.tx.send_item(item).map_err(|_| ReaderGone)
    }
}

struct ChannelBody {
    rx: mpsc::Receiver<Item>,
    left: Option<u64>,
    ended: bool,
}

impl HttpBody for ChannelBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.rx.poll_recv(cx));
        Poll::Ready(match item {
            Some(Item::Data(data)) => {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Some(Ok(Frame::data(data)))
            }
            Some(Item::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Item::End) => {
                self.ended = true;
                None
            }
            Some(Item::Failed(error)) => {
                self.ended = true;
                Some(Err(error))
            }
            None => {
                self.ended = true;
                Some(Err(BodyError::new(BodyErrorKind::Incomplete, Side::Us)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// hyper's body from an upstream, until it fails.
struct IncomingBody {
    incoming: Option<hyper::body::Incoming>,
    side: Side,
}

impl HttpBody for IncomingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let side = self.side;
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(incoming).poll_frame(cx));
        if matches!(frame, Some(Err(_))) {
            self.incoming = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::from_hyper(&error, side))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sender_that_dies_is_an_error() {
        let (mut tx, mut body) = Body::channel(4);
        tx.send_data(Bytes::from_static(b"ab")).await.unwrap();
        drop(tx);
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind, BodyErrorKind::Incomplete);
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_finished_sender_is_a_clean_end() {
        let (mut tx, body) = Body::channel_with_length(4, Some(2));
        assert_eq!(body.exact_len(), Some(2));
        tx.send_data(Bytes::from_static(b"ab")).await.unwrap();
        tx.finish().await.unwrap();
        assert_eq!(body.collect(10).await.unwrap(), "ab");
    }

    #[tokio::test]
    async fn collect_keeps_its_limit() {
        let (mut tx, body) = Body::channel(4);
        tx.send_data(Bytes::from_static(b"abcdef")).await.unwrap();
        assert_eq!(body.collect(3).await.unwrap_err().kind, BodyErrorKind::TooLarge);
    }

    #[test]
    fn known_lengths() {
        let check = |body: Body, length: Option<u64>, ended: bool| {
            assert_eq!(body.exact_len(), length);
            assert_eq!(body.is_end_stream(), ended);
        };
        check(Body::empty(), Some(0), true);
        check(Body::full(""), Some(0), true);
        check(Body::full("abc"), Some(3), false);
        check(Body::channel(1).1, None, false);
    }
}
