//! The I/O wrapper between a socket and hyper that lets whole, sound heads through and nothing after a bad one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::scan::{Framing, Refusal, Scanned, scan};

/// A connection whose request heads are looked at before hyper sees them.
pub(crate) struct Guard<S> {
    inner: S,
    place: Place,
    /// Bytes that are read and not yet passed on: an unfinished head, or what did not fit.
    held: Vec<u8>,
    /// How many of the held bytes may be passed on.
    cleared: usize,
    /// The reader that waits for the answer to an upgrade.
    reader: Option<Waker>,
    refusal: Option<Answer>,
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
    /// The client asked to leave HTTP: nothing is read until the answer is written.
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

/// An error response while it is written.
struct Answer {
    bytes: Vec<u8>,
    written: usize,
}

impl<S> Guard<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, place: Place::Head, held: Vec::new(), cleared: 0, reader: None, refusal: None }
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
                        at += length;
                    }
                    Scanned::Refused(refusal) => {
                        self.place = Place::Refused;
                        self.refusal = Some(Answer::to(refusal));
                    }
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
        self.held.drain(..count);
        self.cleared -= count;
    }

    /// hyper begins to answer a request that asked for an upgrade: it is granted, or HTTP goes on.
    fn answered_upgrade(&mut self, answer: &[u8]) {
        let granted = answer.get(9..12) == Some(b"101");
        self.place = if granted { Place::Transparent } else { Place::Head };
        self.clear_held();
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Reads once. What may be passed on is in `buf` or held and cleared; false if nothing came of it yet.
    fn poll_fresh(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
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
            match this.place {
                // For hyper the stream ends here: it finishes what runs and shuts down, and then the refusal is written.
                Place::Refused => return Poll::Ready(Ok(())),
                Place::AwaitingUpgrade => {
                    this.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                _ => {
                    if ready!(this.poll_fresh(cx, buf))? {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.place == Place::AwaitingUpgrade && !bytes.is_empty() {
            self.answered_upgrade(bytes);
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.place == Place::AwaitingUpgrade
            && let Some(first) = slices.iter().find(|slice| !slice.is_empty())
        {
            self.answered_upgrade(first);
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(answer) = &mut this.refusal {
            while answer.written < answer.bytes.len() {
                let rest = &answer.bytes[answer.written..];
                answer.written += ready!(Pin::new(&mut this.inner).poll_write(cx, rest))?;
            }
            ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
            this.discard(cx);
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Reads what the client has sent beside a refused head: a socket that is closed with unread bytes resets the
    /// connection, and the client may never see the answer.
    fn discard(&mut self, cx: &mut Context<'_>) {
        let mut scratch = [0; 4096];
        for _ in 0..MOST_DISCARDED / scratch.len() {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                _ => return,
            }
        }
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

impl Answer {
    fn to(refusal: Refusal) -> Self {
        let Refusal { status, reason } = refusal;
        let phrase = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let text = format!("{status} {}: {reason}\n", phrase.unwrap_or("error"));
        let head = format!(
            "HTTP/1.1 {status} {}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
             cache-control: no-store\r\ncache-status: holm-edge; detail={reason}\r\nconnection: close\r\n\r\n",
            phrase.unwrap_or("error"),
            text.len(),
        );
        tracing::debug!(status, reason, "a request head was refused");
        Self { bytes: (head + &text).into_bytes(), written: 0 }
    }
}

fn after_body(left: u64) -> Place {
    if left == 0 { Place::Head } else { Place::Body(left) }
}

/// How much of what follows a refused head is read before the connection is closed, in bytes.
const MOST_DISCARDED: usize = 1 << 20;
