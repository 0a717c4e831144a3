//! The pump: frames of an HTTP/3 stream to a [`Body`] and back, the same for server and client.

use std::any::Any;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::future::{Either, select};
use h3::error::StreamError;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::DropGuard;

use super::quic;
use crate::body::{Body, BodyError, BodyErrorKind, Side};
use crate::fields::strip_connection;

/// The receiving half of an h3 request stream.
pub(super) trait Receive: Send + Unpin + 'static {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>>;
    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, StreamError>>;
}

/// The sending half of an h3 request stream.
pub(super) trait Transmit: Send {
    fn data(&mut self, data: Bytes) -> impl Future<Output = Result<(), StreamError>> + Send;
    fn trailers(&mut self, trailers: HeaderMap) -> impl Future<Output = Result<(), StreamError>> + Send;
    fn finish(&mut self) -> impl Future<Output = Result<(), StreamError>> + Send;
}

/// What a received body keeps alive until it has ended.
#[derive(Default)]
pub(super) struct Hold {
    /// Cancels the upload that belongs to this body if the body is dropped before its end.
    pub(super) upload: Option<DropGuard>,
    /// The connection closes once nobody holds it.
    pub(super) _connection: Option<Arc<dyn Any + Send + Sync>>,
}

/// Makes a body of what the peer sends. What has arrived already is used to tell an empty or a short body at once.
pub(super) async fn receive_body<R: Receive>(stream: R, length: Option<u64>, side: Side, hold: Hold) -> Body {
    let mut body =
        ReceivedBody { source: Some((stream, hold)), phase: Phase::Data, left: length, side, ready: VecDeque::new() };
    poll_fn(|cx| {
        body.peek(cx);
        Poll::Ready(())
    })
    .await;
    body.into_body()
}

/// Why a body could not be sent whole; the stream is then to be dropped, hence reset.
#[derive(Debug)]
pub(super) enum SendFailure {
    /// The peer wants no more, or the connection is gone.
    Peer,
    /// The body failed.
    Body(BodyError),
    /// The body is not as long as its Content-Length says.
    Length,
}

/// Sends a body and ends the stream. `gone` completes once nobody wants the rest.
pub(super) async fn send_body<T: Transmit>(
    stream: &mut T,
    mut body: Body,
    length: Option<u64>,
    gone: impl Future<Output = ()>,
) -> Result<(), SendFailure> {
    let mut gone = pin!(gone);
    let mut left = length;
    if body.is_end_stream() {
        return finish(stream, left).await;
    }
    loop {
        let frame = match select(pin!(body.frame()), gone.as_mut()).await {
            Either::Left((frame, _)) => frame,
            Either::Right(_) => return Err(SendFailure::Peer),
        };
        let Some(frame) = frame else { return finish(stream, left).await };
        match frame.map_err(SendFailure::Body)?.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                if let Some(left) = &mut left {
                    *left = left.checked_sub(data.len() as u64).ok_or(SendFailure::Length)?;
                }
                match select(pin!(stream.data(data)), gone.as_mut()).await {
                    Either::Left((sent, _)) => sent.map_err(|_| SendFailure::Peer)?,
                    Either::Right(_) => return Err(SendFailure::Peer),
                }
            }
            Err(frame) => {
                let Ok(mut trailers) = frame.into_trailers() else { continue };
                strip_connection(&mut trailers);
                stream.trailers(trailers).await.map_err(|_| SendFailure::Peer)?;
                return finish(stream, left).await;
            }
        }
    }
}

async fn finish<T: Transmit>(stream: &mut T, left: Option<u64>) -> Result<(), SendFailure> {
    if left.is_some_and(|left| left > 0) {
        return Err(SendFailure::Length);
    }
    stream.finish().await.map_err(|_| SendFailure::Peer)
}

struct ReceivedBody<R> {
    /// Let go at the end, whichever it is.
    source: Option<(R, Hold)>,
    phase: Phase,
    /// Bytes that must still arrive, if the head said so.
    left: Option<u64>,
    side: Side,
    /// Arrived before anyone asked.
    ready: VecDeque<Result<Frame<Bytes>, BodyError>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Data,
    Trailers,
    Ended,
}

impl<R: Receive> ReceivedBody<R> {
    /// Takes what is there: the first piece, and the end if that was all.
    fn peek(&mut self, cx: &mut Context<'_>) {
        for _ in 0..2 {
            let Poll::Ready(Some(frame)) = self.poll_source(cx) else { return };
            self.ready.push_back(frame);
            if self.left != Some(0) {
                return;
            }
        }
    }

    fn into_body(mut self) -> Body {
        if self.phase != Phase::Ended || self.ready.len() > 1 {
            return Body::stream(self);
        }
        match self.ready.pop_front() {
            None => Body::empty(),
            Some(Ok(frame)) if frame.is_data() => Body::full(frame.into_data().unwrap_or_default()),
            Some(other) => {
                self.ready.push_back(other);
                Body::stream(self)
            }
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some((stream, _)) = &mut self.source else { return Poll::Ready(None) };
        if self.phase == Phase::Data {
            match ready!(stream.poll_data(cx)) {
                Ok(Some(data)) => {
                    let left = self.left.map(|left| left.checked_sub(data.len() as u64));
                    return Poll::Ready(Some(match left {
                        Some(None) => Err(self.fail(BodyError::new(BodyErrorKind::TooLong, self.side))),
                        left => {
                            self.left = left.flatten();
                            Ok(Frame::data(data))
                        }
                    }));
                }
                Ok(None) if self.left.is_some_and(|left| left > 0) => {
                    return Poll::Ready(Some(Err(self.fail(BodyError::new(BodyErrorKind::Incomplete, self.side)))));
                }
                Ok(None) => self.phase = Phase::Trailers,
                Err(error) => return Poll::Ready(Some(Err(self.fail(body_error(&error, self.side))))),
            }
        }
        let trailers = ready!(stream.poll_trailers(cx));
        Poll::Ready(match trailers {
            Ok(trailers) => {
                self.end();
                trailers.map(|trailers| Ok(Frame::trailers(trailers)))
            }
            Err(error) => Some(Err(self.fail(body_error(&error, self.side)))),
        })
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.phase = Phase::Ended;
        self.source = None;
        error
    }

    /// The upload may go on after the response's end, until the server stops it (§4.1).
    fn end(&mut self) {
        self.phase = Phase::Ended;
        if let Some((_, Hold { upload: Some(upload), .. })) = self.source.take() {
            upload.disarm();
        }
    }
}

impl<R: Receive> HttpBody for ReceivedBody<R> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.ready.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => self.poll_source(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.phase == Phase::Ended && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let ready = self.ready.iter().flatten().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum::<u64>();
        self.left.map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + ready))
    }
}

fn body_error(error: &StreamError, side: Side) -> BodyError {
    let kind = match error {
        StreamError::RemoteTerminate { .. } => BodyErrorKind::Reset,
        StreamError::ConnectionError(_) | StreamError::RemoteClosing => BodyErrorKind::Io,
        StreamError::HeaderTooBig { .. } => BodyErrorKind::TooLarge,
        _ => BodyErrorKind::Protocol,
    };
    BodyError::with_detail(kind, side, error)
}

impl Receive for h3::server::RequestStream<quic::RecvStream, Bytes> {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        self.poll_recv_data(cx).map_ok(|data| data.map(whole))
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, StreamError>> {
        self.poll_recv_trailers(cx)
    }
}

impl Receive for h3::client::RequestStream<quic::RecvStream, Bytes> {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        self.poll_recv_data(cx).map_ok(|data| data.map(whole))
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, StreamError>> {
        self.poll_recv_trailers(cx)
    }
}

impl Transmit for h3::server::RequestStream<quic::SendStream<Bytes>, Bytes> {
    async fn data(&mut self, data: Bytes) -> Result<(), StreamError> {
        self.send_data(data).await
    }

    async fn trailers(&mut self, trailers: HeaderMap) -> Result<(), StreamError> {
        self.send_trailers(trailers).await
    }

    async fn finish(&mut self) -> Result<(), StreamError> {
        self.finish().await
    }
}

impl Transmit for h3::client::RequestStream<quic::SendStream<Bytes>, Bytes> {
    async fn data(&mut self, data: Bytes) -> Result<(), StreamError> {
        self.send_data(data).await
    }

    async fn trailers(&mut self, trailers: HeaderMap) -> Result<(), StreamError> {
        self.send_trailers(trailers).await
    }

    async fn finish(&mut self) -> Result<(), StreamError> {
        self.finish().await
    }
}

fn whole(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}
