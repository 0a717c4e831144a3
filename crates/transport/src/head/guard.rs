//! The I/O wrapper between a socket and hyper that lets whole, sound heads through and nothing after a bad one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use holm_model::limits::MAX_HEAD_BYTES;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::refusal::Refusal;
use super::scan::{Framing, Scanned, scan};
use crate::server::Gate;

/// A connection whose request heads are looked at before hyper sees them.
pub(crate) struct Guard<S> {
    inner: S,
    gate: Arc<Gate>,
    place: Place,
    /// Heads that were passed on.
    heads: usize,
    /// Bytes that are read and not yet passed on: an unfinished head, or what did not fit.
    held: Vec<u8>,
    /// How many of the held bytes may be passed on.
    cleared: usize,
    refusal: Option<Answer>,
    /// Interim responses that go before hyper's next byte.
    interims: Option<Answer>,
}

/// Where in the stream of requests the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning of, or within, a head.
    Head,
    /// Within a body: so many bytes are left.
    Body(u64),
    /// Within a chunked body.
    Chunks(Chunk),
    /// The client asked to leave HTTP: nothing is passed on until that is answered.
    AwaitingUpgrade,
    /// No longer HTTP.
    Transparent,
    /// A head was refused: nothing more is passed on.
    Refused,
}

/// Where in a chunked body (RFC 9112 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// In the line with the size; so far it is this.
    Size(u64),
    /// After the size, up to the line's end.
    Extension(u64),
    /// So many bytes are left of the data and the line end after it.
    Data(u64),
    /// In the trailer section; whether the line is empty so far.
    Trailer { empty: bool },
}

/// A response of our own while it is written.
struct Answer {
    bytes: Vec<u8>,
    written: usize,
}

impl<S> Guard<S> {
    /// Guards `inner`; what is under way on the connection is known to `gate`.
    pub(crate) fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate, place: Place::Head, heads: 0, held: Vec::new(), cleared: 0, refusal: None, interims: None }
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Takes back what was passed on and not used.
    pub(crate) fn unread(&mut self, bytes: &Bytes) {
        self.cleared += bytes.len();
        self.held.splice(..0, bytes.iter().copied());
    }

    /// May the client be about to send more, without having seen that nobody wants it?
    pub(crate) fn is_cut_short(&self) -> bool {
        self.place != Place::Head || !self.held.is_empty()
    }

    /// Follows `bytes` and says how many of them may be passed on now.
    fn clear(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.place {
                Place::Transparent => return bytes.len(),
                Place::AwaitingUpgrade | Place::Refused => return at,
                Place::Body(left) => {
                    let taken = left.min(rest.len() as u64);
                    self.place = after_body(left - taken);
                    at += usize::try_from(taken).unwrap_or(rest.len());
                }
                Place::Chunks(chunk) => {
                    let (taken, next) = chunk.follow(rest);
                    self.place = next;
                    at += taken;
                }
                Place::Head => match scan(rest) {
                    Scanned::Partial => return at,
                    Scanned::Complete(length, framing) => {
                        self.place = match framing {
                            Framing::Length(length) => after_body(length),
                            Framing::Chunked => Place::Chunks(Chunk::Size(0)),
                            Framing::Upgrade => Place::AwaitingUpgrade,
                        };
                        self.heads += 1;
                        at += length;
                    }
                    Scanned::Refused(refusal) => self.refuse(refusal),
                },
            }
        }
        at
    }

    /// Looks at the held bytes again, after more came or the place changed.
    fn clear_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.cleared += self.clear(&held[self.cleared..]);
        self.held = held;
    }

    /// Passes cleared bytes on.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.cleared.min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.cleared -= count;
        if count == self.held.len() {
            // Memory for a head that came in pieces is not kept: most never do.
            self.held = Vec::new();
        } else {
            self.held.drain(..count);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.place = Place::Refused;
        self.refusal = Some(Answer { bytes: refusal.to_bytes(), written: 0 });
    }

    /// Moves on where the answer that the place waits for has come.
    fn follow_answers(&mut self) {
        match self.place {
            Place::AwaitingUpgrade if self.gate.is_upgrade_granted() => self.place = Place::Transparent,
            Place::AwaitingUpgrade if self.gate.has_answered(self.heads) => self.place = Place::Head,
            Place::Head if self.gate.is_head_late() => {
                return self.refuse(Refusal { status: 408, reason: "head-timeout" });
            }
            _ => return,
        }
        self.clear_held();
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Throws away what the client goes on sending, until it ends: a socket that is closed with unread bytes resets the
    /// connection, and the client may never see the answer.
    pub(crate) async fn discard_rest(&mut self) {
        let mut scratch = [0; 4096];
        for _ in 0..MOST_DISCARDED / scratch.len() {
            match self.inner.read(&mut scratch).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Reads once. What may be passed on is in `buf` or held and cleared; false if nothing came of it yet.
    fn poll_fresh(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.inner).poll_read(cx, buf) else {
            self.gate.read(matches!(self.place, Place::Body(_) | Place::Chunks(_)));
            self.gate.head_begun(self.place == Place::Head && !self.held.is_empty());
            return Poll::Pending;
        };
        read?;
        self.gate.moved();
        if buf.filled().len() == before {
            return Poll::Ready(Ok(true));
        }
        if self.held.is_empty() {
            let cleared = self.clear(&buf.filled()[before..]);
            self.held.extend_from_slice(&buf.filled()[before + cleared..]);
            buf.set_filled(before + cleared);
            return Poll::Ready(Ok(cleared > 0));
        }
        // An unfinished head is held: the new bytes join it.
        self.held.extend_from_slice(&buf.filled()[before..]);
        buf.set_filled(before);
        self.clear_held();
        Poll::Ready(Ok(false))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.cleared > 0 {
                this.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            this.follow_answers();
            if matches!(this.place, Place::Refused | Place::AwaitingUpgrade) {
                this.gate.park(cx.waker());
            }
            match this.place {
                _ if this.cleared > 0 => {}
                Place::Refused if this.gate.is_answering() => return Poll::Pending,
                // For hyper the stream ends here: it shuts down, and then the refusal is written.
                Place::Refused => return Poll::Ready(Ok(())),
                // The client may send ahead, so that its leaving is seen; within bounds.
                Place::AwaitingUpgrade if this.held.len() >= MAX_HEAD_BYTES => return Poll::Pending,
                _ => {
                    if ready!(this.poll_fresh(cx, buf))? {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    /// Takes the interim responses that wait. Only between heads: where hyper has nothing left to write.
    fn take_interims(&mut self, cx: &mut Context<'_>) {
        let heads = self.gate.take_interims(cx.waker());
        if heads.is_empty() {
            return;
        }
        let answer = self.interims.get_or_insert_with(|| Answer { bytes: Vec::new(), written: 0 });
        heads.iter().for_each(|head| head.write_http1(&mut answer.bytes));
    }

    /// Writes what goes before hyper's next byte.
    fn poll_interims(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(answer) = &mut self.interims else { return Poll::Ready(Ok(())) };
        let written = answer.poll_write(&mut self.inner, cx);
        self.gate.wrote(written.is_pending());
        ready!(written)?;
        self.interims = None;
        Poll::Ready(Ok(()))
    }
}

impl Answer {
    fn poll_write(&mut self, io: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            match ready!(Pin::new(&mut *io).poll_write(cx, &self.bytes[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_interims(cx))?;
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.gate.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interims(cx))?;
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.gate.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gate.carries_interims() {
            self.take_interims(cx);
        }
        ready!(self.poll_interims(cx))?;
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.gate.flushed(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_interims(cx))?;
        if let Some(answer) = &mut this.refusal {
            ready!(answer.poll_write(&mut this.inner, cx))?;
            ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl Chunk {
    /// Follows `bytes`, which are not empty: how many it took, and where that ends.
    fn follow(self, bytes: &[u8]) -> (usize, Place) {
        if let Self::Data(left) = self {
            let taken = left.min(bytes.len() as u64);
            let next = if taken == left { Self::Size(0) } else { Self::Data(left - taken) };
            return (usize::try_from(taken).unwrap_or(bytes.len()), Place::Chunks(next));
        }
        let byte = bytes[0];
        let next = match (self, byte) {
            (Self::Size(0) | Self::Extension(0), b'\n') => Self::Trailer { empty: true },
            (Self::Size(size) | Self::Extension(size), b'\n') => Self::Data(size.saturating_add(2)),
            // A size that no u64 holds, like any other fault of the framing, is for hyper to refuse.
            (Self::Size(size), _) => match char::from(byte).to_digit(16) {
                Some(digit) => Self::Size(size.saturating_mul(16).saturating_add(u64::from(digit))),
                None => Self::Extension(size),
            },
            (Self::Trailer { empty: true }, b'\n') => return (1, Place::Head),
            (Self::Trailer { .. }, b'\n') => Self::Trailer { empty: true },
            (Self::Trailer { empty }, _) => Self::Trailer { empty: empty && byte == b'\r' },
            (other, _) => other,
        };
        (1, Place::Chunks(next))
    }
}

fn after_body(left: u64) -> Place {
    if left == 0 { Place::Head } else { Place::Body(left) }
}

/// How much of what nobody wants is read before the connection is closed all the same, in bytes.
const MOST_DISCARDED: usize = 16 << 20;
