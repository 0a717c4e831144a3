//! Bytes: content in which every byte tells its place, made as it is sent and checked as it arrives.

use std::io::{self, Read};
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};

/// So many bytes of the pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    at: u64,
    end: u64,
}

impl Pattern {
    /// The first `size` bytes of the pattern.
    pub fn new(size: u64) -> Self {
        Self { at: 0, end: size }
    }

    /// The same from this byte on.
    #[must_use]
    pub fn from(self, at: u64) -> Self {
        Self { at, ..self }
    }

    /// All of it.
    ///
    /// # Panics
    /// Never: memory is read.
    pub fn bytes(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.read_to_end(&mut all).expect("invariant: a pattern can be read");
        all
    }

    /// How many of the bytes that `from` yields until its end, or an error, are those of the pattern from its beginning; fails
    /// at the first that is not.
    ///
    /// # Panics
    /// A byte is not the pattern's.
    pub fn check(mut from: impl Read) -> (u64, io::Result<()>) {
        let (mut got, mut expected) = (vec![0; PIECE], vec![0; PIECE]);
        let mut pattern = Self::new(u64::MAX);
        loop {
            match from.read(&mut got) {
                Ok(0) => return (pattern.at, Ok(())),
                Ok(length) => {
                    let begin = pattern.at;
                    pattern.read_exact(&mut expected[..length]).expect("invariant: a pattern can be read");
                    assert!(got[..length] == expected[..length], "wrong bytes after the first {begin}");
                }
                Err(error) => return (pattern.at, Err(error)),
            }
        }
    }
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let mut filled = 0;
        while filled < length {
            let from = usize::try_from(self.at % PERIOD as u64).expect("invariant: below the period");
            let part = &PERIODIC[from..PERIODIC.len().min(from + length - filled)];
            buffer[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
            self.at += part.len() as u64;
        }
        Ok(length)
    }
}

/// One period: bytes that look like chance (xorshift64, Marsaglia 2003), so that none can stand for another.
static PERIODIC: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(PERIOD).collect()
});

/// The digest of `content`, in lower-case hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A prime, so that pieces that are lost or swapped are seen whatever their size.
const PERIOD: usize = 1_000_003;
/// Bytes that are checked at a time.
const PIECE: usize = 64 << 10;
