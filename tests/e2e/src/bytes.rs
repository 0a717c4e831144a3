//! Bytes: content in which every byte tells its place, made as it is sent and checked as it arrives.

use std::io::{self, Read};

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
            let (line, place) = (self.at / LINE, usize::try_from(self.at % LINE).expect("invariant: a short line"));
            // Each line is the number of its place: 15 digits, and a line feed.
            let text = format!("{line:015}\n");
            let part = &text.as_bytes()[place..];
            let part = &part[..part.len().min(length - filled)];
            buffer[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
            self.at += part.len() as u64;
        }
        Ok(length)
    }
}

/// The digest of `content`, in lower-case hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of a line of the pattern.
const LINE: u64 = 16;
/// Bytes that are checked at a time.
const PIECE: usize = 64 << 10;
