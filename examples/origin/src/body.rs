//! The body of a size that was asked for: a pattern that tells each byte's place, made as it is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// `size` bytes of the pattern.
pub(crate) struct Pattern {
    chunk: Bytes,
    left: u64,
}

impl Pattern {
    pub(crate) fn new(size: u64) -> Self {
        let chunk = (0..CHUNK).step_by(LINE).flat_map(|at| format!("{at:015}\n").into_bytes());
        Self { chunk: chunk.collect(), left: size }
    }
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK);
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(self.chunk.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Bytes of one frame.
const CHUNK: usize = 64 * 1024;
/// Bytes of one line of the pattern: its place in 15 digits.
const LINE: usize = 16;

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::Pattern;

    #[tokio::test]
    async fn sizes() {
        for size in [0, 1, 17, 65_536, 65_537, 200_000] {
            let body = Pattern::new(size).collect().await.expect("infallible").to_bytes();
            assert_eq!(body.len() as u64, size);
            assert!(body.iter().enumerate().all(|(at, byte)| at % 16 != 15 || *byte == b'\n'));
        }
    }
}
