//! Pieces: a body of bytes that are here, but not in one place; and the body of several ranges.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use holm_cache_policy::ByteRange;
use holm_transport::body::{Body, BodyError};
use http::header::HeaderValue;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::random::random_u128;

/// A body that gives these pieces one after the other.
pub(crate) fn body_of(pieces: impl IntoIterator<Item = Bytes>) -> Body {
    let mut pieces: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    if pieces.len() <= 1 {
        return pieces.pop_front().map_or_else(Body::empty, Body::full);
    }
    Body::stream(PieceBody { pieces })
}

/// A body that gives these pieces and then another body.
pub(crate) fn before(pieces: impl IntoIterator<Item = Bytes>, rest: Body) -> Body {
    Body::stream(Before { pieces: pieces.into_iter().collect(), rest })
}

/// A piece of a body that is made of another one's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// Bytes of its own.
    Held(Bytes),
    /// These bytes of the other one.
    Of(ByteRange),
}

impl Piece {
    /// Its bytes, where the other body is this one.
    pub(crate) fn of(self, whole: &Bytes) -> Bytes {
        match self {
            Self::Held(bytes) => bytes,
            Self::Of(range) => slice(whole, range),
        }
    }

    /// How many bytes it has.
    pub(crate) const fn length(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::Of(range) => range.len(),
        }
    }
}

/// `multipart/byteranges` (RFC 9110 §14.6): several ranges of one body.
pub(crate) struct Multipart {
    pub(crate) content_type: HeaderValue,
    pub(crate) pieces: Vec<Piece>,
}

impl Multipart {
    /// The parts of a body of this length that these ranges name, each under the media type of the whole.
    pub(crate) fn new(complete: u64, ranges: &[ByteRange], media_type: Option<&HeaderValue>) -> Self {
        // No body can have been made to hold it.
        let boundary = format!("{:032x}", random_u128());
        let mut pieces = Vec::with_capacity(ranges.len() * 2 + 1);
        for range in ranges {
            pieces.push(Piece::Held(part_head(&boundary, *range, complete, media_type)));
            pieces.push(Piece::Of(*range));
        }
        pieces.push(Piece::Held(format!("\r\n--{boundary}--\r\n").into()));
        let content_type = HeaderValue::from_str(&format!("multipart/byteranges; boundary={boundary}"));
        let content_type = content_type.unwrap_or(HeaderValue::from_static("multipart/byteranges"));
        Self { content_type, pieces }
    }
}

/// These bytes of a body.
pub(crate) fn slice(whole: &Bytes, range: ByteRange) -> Bytes {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
    whole.slice(place(range.first)..place(range.last.saturating_add(1)))
}

fn part_head(boundary: &str, range: ByteRange, length: u64, media_type: Option<&HeaderValue>) -> Bytes {
    let mut head = format!("\r\n--{boundary}\r\n").into_bytes();
    if let Some(media_type) = media_type {
        head.extend_from_slice(b"content-type: ");
        head.extend_from_slice(media_type.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(format!("content-range: bytes {}-{}/{length}\r\n\r\n", range.first, range.last).as_bytes());
    head.into()
}

struct PieceBody {
    pieces: VecDeque<Bytes>,
}

impl HttpBody for PieceBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(held(&self.pieces))
    }
}

struct Before {
    pieces: VecDeque<Bytes>,
    rest: Body,
}

impl HttpBody for Before {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = held(&self.pieces);
        self.rest.exact_len().map_or_else(SizeHint::default, |rest| SizeHint::with_exact(held + rest))
    }
}

fn held(pieces: &VecDeque<Bytes>) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rfc9110_14_6_several_ranges() {
        let whole = Bytes::from_static(b"0123456789");
        let ranges = [ByteRange { first: 0, last: 1 }, ByteRange { first: 8, last: 9 }];
        let multipart = Multipart::new(10, &ranges, Some(&HeaderValue::from_static("text/plain")));
        let named = multipart.content_type.to_str().expect("text");
        let boundary = named.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
        let length = multipart.pieces.iter().map(Piece::length).sum();
        let body = body_of(multipart.pieces.iter().map(|piece| piece.clone().of(&whole)));
        assert_eq!(body.exact_len(), Some(length));
        let body = body.collect(1000).await.expect("bytes");
        assert_eq!(body.len() as u64, length);
        let expected = format!(
            "\r\n--{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/10\r\n\r\n01\
             \r\n--{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 8-9/10\r\n\r\n89\r\n--{boundary}--\r\n"
        );
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn pieces_come_in_order() {
        let pieces = || ["a", "", "bc"].map(|piece| Bytes::from_static(piece.as_bytes()));
        assert_eq!(body_of(pieces()).collect(9).await.expect("bytes"), "abc");
        let body = before(pieces(), Body::full("de"));
        assert_eq!(body.exact_len(), Some(5));
        assert_eq!(body.collect(9).await.expect("bytes"), "abcde");
    }
}
