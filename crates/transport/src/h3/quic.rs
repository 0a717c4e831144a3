//! QUIC under h3: quinn's streams as h3 wants them, with what h3-quinn leaves out. A stream that is dropped before its end is
//! reset, never finished, so a truncated message can't look whole; frames are watched by [`Framing`]; and whoever accepts
//! a stream can learn that the peer does not want the answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use parking_lot::Mutex;
use quinn::{ReadError, VarInt, WriteError};

use super::framing::{FrameTooLarge, Framing, Piece};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + Sync>>;
type Pair = (quinn::SendStream, quinn::RecvStream);

/// Completes when a sent stream is of no more concern: `true` if the peer has all of it.
pub(super) type Settled = BoxFuture<bool>;

/// Where the accepting side finds the [`Settled`] of the stream accepted last.
#[derive(Clone, Default)]
pub(super) struct LastAccepted(Arc<Mutex<Option<Settled>>>);

impl LastAccepted {
    pub(super) fn take(&self) -> Option<Settled> {
        self.0.lock().take()
    }
}

/// A quinn connection.
pub(super) struct Connection {
    conn: quinn::Connection,
    codes: Codes,
    last_accepted: LastAccepted,
    accepting_bi: Option<BoxFuture<Result<Pair, quinn::ConnectionError>>>,
    accepting_uni: Option<BoxFuture<Result<quinn::RecvStream, quinn::ConnectionError>>>,
    opener: Opener,
}

impl Connection {
    pub(super) fn server(conn: quinn::Connection) -> (Self, LastAccepted) {
        let last_accepted = LastAccepted::default();
        (Self::new(conn, SERVER_CODES, last_accepted.clone()), last_accepted)
    }

    pub(super) fn client(conn: quinn::Connection) -> Self {
        Self::new(conn, CLIENT_CODES, LastAccepted::default())
    }

    fn new(conn: quinn::Connection, codes: Codes, last_accepted: LastAccepted) -> Self {
        let opener = Opener { conn: conn.clone(), codes, opening_bi: None, opening_uni: None };
        Self { conn, codes, last_accepted, accepting_bi: None, accepting_uni: None, opener }
    }
}

/// What a dropped stream tells the peer (§8.1).
#[derive(Debug, Clone, Copy)]
struct Codes {
    reset: Code,
    stop: Code,
}

/// An answer that broke off, and a request body that the answer did not need (§4.1).
const SERVER_CODES: Codes = Codes { reset: Code::H3_INTERNAL_ERROR, stop: Code::H3_NO_ERROR };
const CLIENT_CODES: Codes = Codes { reset: Code::H3_REQUEST_CANCELLED, stop: Code::H3_REQUEST_CANCELLED };

impl<B: Buf> quic::Connection<B> for Connection {
    type RecvStream = RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let conn = &self.conn;
        let accepting = self.accepting_uni.get_or_insert_with(|| {
            let conn = conn.clone();
            Box::pin(async move { conn.accept_uni().await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.accepting_uni = None;
        Poll::Ready(accepted.map(RecvStream::uni).map_err(connection_error))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream<B>, ConnectionErrorIncoming>> {
        let conn = &self.conn;
        let accepting = self.accepting_bi.get_or_insert_with(|| {
            let conn = conn.clone();
            Box::pin(async move { conn.accept_bi().await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.accepting_bi = None;
        let (send, recv) = accepted.map_err(connection_error)?;
        let stopped = send.stopped();
        *self.last_accepted.0.lock() = Some(Box::pin(async move { matches!(stopped.await, Ok(None)) }));
        Poll::Ready(Ok(BidiStream::new((send, recv), self.codes)))
    }

    fn opener(&self) -> Opener {
        self.opener.clone()
    }
}

impl<B: Buf> quic::OpenStreams<B> for Connection {
    type BidiStream = BidiStream<B>;
    type SendStream = SendStream<B>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream<B>, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream<B>, StreamErrorIncoming>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.conn.close(code_value(code), reason);
    }
}

/// Opens streams.
pub(super) struct Opener {
    conn: quinn::Connection,
    codes: Codes,
    opening_bi: Option<BoxFuture<Result<Pair, quinn::ConnectionError>>>,
    opening_uni: Option<BoxFuture<Result<quinn::SendStream, quinn::ConnectionError>>>,
}

impl Clone for Opener {
    fn clone(&self) -> Self {
        Self { conn: self.conn.clone(), codes: self.codes, opening_bi: None, opening_uni: None }
    }
}

impl<B: Buf> quic::OpenStreams<B> for Opener {
    type BidiStream = BidiStream<B>;
    type SendStream = SendStream<B>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream<B>, StreamErrorIncoming>> {
        let conn = &self.conn;
        let opening = self.opening_bi.get_or_insert_with(|| {
            let conn = conn.clone();
            Box::pin(async move { conn.open_bi().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening_bi = None;
        Poll::Ready(opened.map(|pair| BidiStream::new(pair, self.codes)).map_err(lost))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream<B>, StreamErrorIncoming>> {
        let conn = &self.conn;
        let opening = self.opening_uni.get_or_insert_with(|| {
            let conn = conn.clone();
            Box::pin(async move { conn.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening_uni = None;
        Poll::Ready(opened.map(|stream| SendStream::new(stream, None)).map_err(lost))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.conn.close(code_value(code), reason);
    }
}

/// A request stream, both directions.
pub(super) struct BidiStream<B: Buf> {
    send: SendStream<B>,
    recv: RecvStream,
}

impl<B: Buf> BidiStream<B> {
    fn new((send, recv): Pair, codes: Codes) -> Self {
        Self { send: SendStream::new(send, Some(codes.reset)), recv: RecvStream::request(recv, codes.stop) }
    }
}

impl<B: Buf> quic::BidiStream<B> for BidiStream<B> {
    type SendStream = SendStream<B>;
    type RecvStream = RecvStream;

    fn split(self) -> (SendStream<B>, RecvStream) {
        (self.send, self.recv)
    }
}

impl<B: Buf> quic::RecvStream for BidiStream<B> {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.recv.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

impl<B: Buf> quic::SendStream<B> for BidiStream<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, reset_code: u64) {
        self.send.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

/// A stream's sending side.
pub(super) struct SendStream<B: Buf> {
    stream: quinn::SendStream,
    writing: Option<WriteBuf<B>>,
    /// What a drop resets the stream with; `None` once it is finished or reset, and for a connection's own streams.
    reset_on_drop: Option<Code>,
}

impl<B: Buf> SendStream<B> {
    fn new(stream: quinn::SendStream, reset_on_drop: Option<Code>) -> Self {
        Self { stream, writing: None, reset_on_drop }
    }
}

impl<B: Buf> quic::SendStream<B> for SendStream<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(data) = self.writing.as_mut().filter(|data| data.has_remaining()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, data.chunk())).map_err(write_error)?;
            data.advance(written);
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::Unknown("a write is under way".into()));
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.reset_on_drop = None;
        Poll::Ready(self.stream.finish().map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, reset_code: u64) {
        self.reset_on_drop = None;
        // It fails only for a stream that is finished or reset already.
        let _ = self.stream.reset(VarInt::from_u64(reset_code).unwrap_or(VarInt::MAX));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl<B: Buf> Drop for SendStream<B> {
    fn drop(&mut self) {
        if let Some(code) = self.reset_on_drop.take() {
            let _ = self.stream.reset(code_value(code));
        }
    }
}

/// A stream's receiving side.
pub(super) struct RecvStream {
    stream: quinn::RecvStream,
    buffer: BytesMut,
    kind: RecvKind,
    next_read: usize,
    done: bool,
}

enum RecvKind {
    /// Control and QPACK streams: as they come, so many bytes more.
    Uni { left: u64 },
    /// A request stream.
    Request { framing: Framing, stop: Code },
}

impl RecvStream {
    fn uni(stream: quinn::RecvStream) -> Self {
        Self::new(stream, RecvKind::Uni { left: MAX_UNI_BYTES })
    }

    fn request(stream: quinn::RecvStream, stop: Code) -> Self {
        Self::new(stream, RecvKind::Request { framing: Framing::default(), stop })
    }

    fn new(stream: quinn::RecvStream, kind: RecvKind) -> Self {
        Self { stream, buffer: BytesMut::new(), kind, next_read: MIN_READ, done: false }
    }

    /// What of the buffer may be handed on.
    fn take_buffered(&mut self) -> Result<Option<Bytes>, StreamErrorIncoming> {
        match &mut self.kind {
            RecvKind::Uni { left } => {
                let piece = self.buffer.split().freeze();
                *left = left.checked_sub(piece.len() as u64).ok_or_else(|| terminated(Code::H3_EXCESSIVE_LOAD))?;
                Ok((!piece.is_empty()).then_some(piece))
            }
            RecvKind::Request { framing, .. } => match framing.take(&mut self.buffer) {
                Ok(Piece::Ready(piece)) => Ok(Some(piece)),
                Ok(Piece::NeedMore) => Ok(None),
                Err(FrameTooLarge) => Err(terminated(Code::H3_EXCESSIVE_LOAD)),
            },
        }
    }

    fn end(&mut self) -> Result<Option<Bytes>, StreamErrorIncoming> {
        self.done = true;
        match &self.kind {
            RecvKind::Request { framing, .. } if !framing.may_end(&self.buffer) => {
                Err(terminated(Code::H3_REQUEST_INCOMPLETE))
            }
            _ => Ok(None),
        }
    }
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        loop {
            if let Some(piece) = self.take_buffered()? {
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.done {
                return Poll::Ready(self.end());
            }
            self.buffer.reserve(self.next_read);
            let stream = Pin::new(&mut self.stream);
            let read = ready!(tokio_util::io::poll_read_buf(stream, cx, &mut self.buffer)).map_err(read_error)?;
            if read == 0 {
                return Poll::Ready(self.end());
            }
            // Small messages should not hold large buffers, large ones should not take many steps.
            if read >= self.next_read {
                self.next_read = (self.next_read * 4).min(MAX_READ);
            }
        }
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.done = true;
        let _ = self.stream.stop(VarInt::from_u64(error_code).unwrap_or(VarInt::MAX));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if let RecvKind::Request { stop, .. } = self.kind
            && !self.done
        {
            let _ = self.stream.stop(code_value(stop));
        }
    }
}

fn code_value(code: Code) -> VarInt {
    VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX)
}

fn stream_id(id: quinn::StreamId) -> StreamId {
    u64::from(id).try_into().expect("invariant: both are 62 bits")
}

fn terminated(code: Code) -> StreamErrorIncoming {
    StreamErrorIncoming::StreamTerminated { error_code: code.value() }
}

fn lost(error: quinn::ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(error) }
}

fn connection_error(error: quinn::ConnectionError) -> ConnectionErrorIncoming {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into() }
        }
        quinn::ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

fn read_error(error: std::io::Error) -> StreamErrorIncoming {
    match error.downcast::<ReadError>() {
        Ok(ReadError::Reset(code)) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        Ok(ReadError::ConnectionLost(error)) => lost(error),
        Ok(error) => StreamErrorIncoming::Unknown(Box::new(error)),
        Err(error) => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(error) => lost(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

/// The first read of a stream: a head usually fits.
const MIN_READ: usize = 2 << 10;
const MAX_READ: usize = 32 << 10;

/// The most bytes on one control or QPACK stream in a connection's life: h3 buffers a frame on them whole.
const MAX_UNI_BYTES: u64 = 16 << 20;
