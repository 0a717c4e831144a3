//! The text that a key is the hash of: parts with their kinds and lengths, so that no two lists of parts give the same
//! bytes. Short texts, which nearly all are, stay on the stack.

use super::{CacheKey, Part};

pub(super) struct KeyText {
    buffer: [u8; STACK_BYTES],
    used: usize,
    hasher: Option<blake3::Hasher>,
}

impl KeyText {
    pub(super) fn new() -> Self {
        Self { buffer: [0; STACK_BYTES], used: 0, hasher: None }
    }

    pub(super) fn part(&mut self, part: Part<'_>) {
        let (kind, bytes) = part.tagged();
        self.bytes(&[kind]);
        self.bytes(&(bytes.len() as u64).to_le_bytes());
        self.bytes(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        if let Some(room) = self.buffer.get_mut(self.used..end) {
            room.copy_from_slice(bytes);
            self.used = end;
            return;
        }
        let hasher = self.hasher.get_or_insert_default();
        hasher.update(&self.buffer[..self.used]);
        hasher.update(bytes);
        self.used = 0;
    }

    pub(super) fn finish(mut self) -> CacheKey {
        let hash = match &mut self.hasher {
            None => blake3::hash(&self.buffer[..self.used]),
            Some(hasher) => hasher.update(&self.buffer[..self.used]).finalize(),
        };
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        CacheKey(u128::from_le_bytes(half))
    }
}

/// Covers a URL of usual length.
const STACK_BYTES: usize = 256;
