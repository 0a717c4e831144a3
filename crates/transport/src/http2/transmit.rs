//! Transmitting: a body on its way into an HTTP/2 stream, as fast as the peer takes it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_util::future::poll_fn;
use h2::SendStream;
use http_body::{Body as HttpBody, Frame};

use super::stall::Stall;
use crate::body::{Body, BodyError, BodyErrorKind, Side};
use crate::fields::strip_connection;

/// Bytes on their way, and what is kept until h2 has written them, or has thrown them away.
#[derive(Debug)]
pub(crate) struct Piece<H> {
    data: Bytes,
    _hold: H,
}

/// Why a body could not be sent whole; the stream is then to be reset.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// The peer wants no more, or the connection is gone.
    Peer(h2::Error),
    /// The peer has let it wait for too long.
    Stalled,
    /// The body failed, or is not as long as its Content-Length says.
    Body(BodyError),
}

/// Sends a body of `length`, if that is known, and ends the stream. At its return the peer's window has had room for all
/// of it; each piece that is not yet written keeps `hold`.
pub(crate) async fn send_body<H: Clone>(
    stream: &mut SendStream<Piece<H>>,
    mut body: Body,
    length: Option<u64>,
    hold: H,
    mut stall: Stall,
) -> Result<(), SendFailure> {
    let mut left = length;
    loop {
        let frame = poll_fn(|cx| poll_frame(stream, &mut body, cx)).await?;
        let Some(frame) = frame else {
            check_end(left)?;
            return stream.send_data(Piece::new(Bytes::new(), hold), true).map_err(SendFailure::Peer);
        };
        match frame.into_data() {
            Ok(data) => {
                if let Some(left) = &mut left {
                    *left = left.checked_sub(data.len() as u64).ok_or(SendFailure::length(BodyErrorKind::TooLong))?;
                }
                let is_last = body.is_end_stream() && left.unwrap_or(0) == 0;
                send_data(stream, data, is_last, &hold, &mut stall).await?;
                if is_last {
                    return Ok(());
                }
            }
            Err(frame) => {
                let Ok(mut trailers) = frame.into_trailers() else { continue };
                check_end(left)?;
                strip_connection(&mut trailers);
                return stream.send_trailers(trailers).map_err(SendFailure::Peer);
            }
        }
    }
}

fn check_end(left: Option<u64>) -> Result<(), SendFailure> {
    if left.unwrap_or(0) > 0 { Err(SendFailure::length(BodyErrorKind::Incomplete)) } else { Ok(()) }
}

/// Gives h2 no more than the peer has room for: it would keep the rest, whatever its size. Nothing is sent of data that
/// is empty and not the last: flow control would not bound it.
async fn send_data<H: Clone>(
    stream: &mut SendStream<Piece<H>>,
    mut data: Bytes,
    is_last: bool,
    hold: &H,
    stall: &mut Stall,
) -> Result<(), SendFailure> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len().min(CLAIM));
        let room = poll_fn(|cx| poll_room(stream, stall, cx)).await?;
        let piece = data.split_to(room.min(data.len()));
        let is_end = is_last && data.is_empty();
        stream.send_data(Piece::new(piece, hold.clone()), is_end).map_err(SendFailure::Peer)?;
        stall.moved();
        if is_end {
            return Ok(());
        }
    }
    if !is_last {
        return Ok(());
    }
    stream.send_data(Piece::new(data, hold.clone()), true).map_err(SendFailure::Peer)
}

type Polled = Poll<Result<Option<Frame<Bytes>>, SendFailure>>;

/// The body's next frame, unless the peer resets the stream before.
fn poll_frame<H>(stream: &mut SendStream<Piece<H>>, body: &mut Body, cx: &mut Context<'_>) -> Polled {
    if let Poll::Ready(reset) = poll_reset(stream, cx) {
        return Poll::Ready(Err(SendFailure::Peer(reset)));
    }
    Pin::new(body).poll_frame(cx).map(|frame| frame.transpose().map_err(SendFailure::Body))
}

/// Waits for room, but not for ever.
fn poll_room<H>(
    stream: &mut SendStream<Piece<H>>,
    stall: &mut Stall,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, SendFailure>> {
    match poll_capacity(stream, cx) {
        Poll::Ready(room) => Poll::Ready(room.map_err(SendFailure::Peer)),
        Poll::Pending => stall.poll(cx).map(|()| Err(SendFailure::Stalled)),
    }
}

/// How many bytes may be sent, once it is one at least.
fn poll_capacity<H>(stream: &mut SendStream<Piece<H>>, cx: &mut Context<'_>) -> Poll<Result<usize, h2::Error>> {
    if let Poll::Ready(reset) = poll_reset(stream, cx) {
        return Poll::Ready(Err(reset));
    }
    while stream.capacity() == 0 {
        match stream.poll_capacity(cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            // The stream is no longer one that anything is sent on.
            Poll::Ready(None) => return Poll::Ready(Err(h2::Reason::CANCEL.into())),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(stream.capacity()))
}

fn poll_reset<H>(stream: &mut SendStream<Piece<H>>, cx: &mut Context<'_>) -> Poll<h2::Error> {
    stream.poll_reset(cx).map(|reset| match reset {
        Ok(reason) => reason.into(),
        Err(error) => error,
    })
}

impl SendFailure {
    fn length(kind: BodyErrorKind) -> Self {
        Self::Body(BodyError::new(kind, Side::Us))
    }
}

impl<H> Piece<H> {
    fn new(data: Bytes, hold: H) -> Self {
        Self { data, _hold: hold }
    }
}

impl<H> Buf for Piece<H> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
    }
}

/// The most bytes of the connection's window that are claimed at once for a stream that has them to send: what one stream
/// can't use for now is not withheld from the others (hyper #4003).
const CLAIM: usize = 64 << 10;
