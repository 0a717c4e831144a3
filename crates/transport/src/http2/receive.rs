//! Receiving: a [`Body`] made of what a peer sends on an HTTP/2 stream.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::DropGuard;

use super::stall::Stall;
use crate::body::{Body, BodyError, BodyErrorKind, Side};

/// What a received body keeps alive until it has ended.
#[derive(Default)]
pub(crate) struct Hold {
    /// Cancels the upload that belongs to this body if the body is dropped before its end.
    pub(crate) upload: Option<DropGuard>,
    pub(crate) _request: Option<Box<dyn Any + Send + Sync>>,
}

/// Makes a body of a stream; `length` is what the head said of it. h2 sees to it that it is no shorter.
pub(crate) fn received_body(stream: RecvStream, length: Option<u64>, side: Side, mut hold: Hold, stall: Stall) -> Body {
    if stream.is_end_stream() {
        if let Some(upload) = hold.upload.take() {
            // It may go on after the response's end, until the server stops it.
            upload.disarm();
        }
        return Body::empty();
    }
    Body::stream(Received { source: Some((stream, hold)), phase: Phase::Data, left: length, side, stall })
}

struct Received {
    /// Let go at the end, whichever it is.
    source: Option<(RecvStream, Hold)>,
    phase: Phase,
    /// Bytes that must still arrive, if the head said so.
    left: Option<u64>,
    side: Side,
    stall: Stall,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Data,
    Trailers,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl Received {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some((stream, _)) = &mut self.source else { return Poll::Ready(None) };
        let data = match ready!(stream.poll_data(cx)) {
            Some(Ok(data)) => data,
            Some(Err(error)) => return Poll::Ready(self.fail(&error).map(Err)),
            None => return Poll::Ready(None),
        };
        // It fails only for more than has come.
        let _ = stream.flow_control().release_capacity(data.len());
        self.stall.moved();
        if let Some(left) = &mut self.left {
            // Of a response that can't have a body, h2 does not look.
            let Some(rest) = left.checked_sub(data.len() as u64) else {
                self.source = None;
                return Poll::Ready(Some(Err(BodyError::new(BodyErrorKind::TooLong, self.side))));
            };
            *left = rest;
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    /// Even a reset without an error (RFC 9113 §8.1) is one in mid-body: had the end come before, h2 would have kept it. Only
    /// where all that the head promised is here, nothing of it is missing but the end.
    fn fail(&mut self, error: &h2::Error) -> Option<BodyError> {
        self.source = None;
        let is_whole = error.reason() == Some(Reason::NO_ERROR) && self.left == Some(0);
        (!is_whole).then(|| BodyError::from_h2(error, self.side))
    }

    /// What comes next, unless it does not come.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.phase == Phase::Data {
            let data = ready!(self.poll_data(cx));
            if data.is_some() || self.source.is_none() {
                return Poll::Ready(data);
            }
            self.phase = Phase::Trailers;
        }
        let Some((stream, _)) = &mut self.source else { return Poll::Ready(None) };
        match ready!(stream.poll_trailers(cx)) {
            Ok(trailers) => {
                self.end();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Err(error) => Poll::Ready(self.fail(&error).map(Err)),
        }
    }

    fn end(&mut self) {
        if let Some((_, Hold { upload: Some(upload), .. })) = self.source.take() {
            upload.disarm();
        }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if let Poll::Ready(next) = self.poll_next(cx) {
            return Poll::Ready(next);
        }
        ready!(self.stall.poll(cx));
        self.source = None;
        Poll::Ready(Some(Err(BodyError::new(BodyErrorKind::Timeout, self.side))))
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(|(stream, _)| stream.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl BodyError {
    /// What h2 says of a body that it read.
    fn from_h2(error: &h2::Error, side: Side) -> Self {
        let kind = if error.is_reset() {
            BodyErrorKind::Reset
        } else if error.is_library() {
            BodyErrorKind::Protocol
        } else {
            BodyErrorKind::Io
        };
        Self::with_detail(kind, side, error)
    }
}
