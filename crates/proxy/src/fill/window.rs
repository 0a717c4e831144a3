//! The window: the chunks of a body that are held while it arrives, and how many readers stand at each. Pure.
//!
//! Places are counted in bytes of the whole body, so chunks may be cut anew under a reader's feet. Each chunk knows its
//! readers: to learn that a chunk has been passed by all costs nothing, however many they are.

use std::collections::VecDeque;

use bytes::Bytes;

/// Chunks of a body, one after the other without a gap, up to the last byte that came.
#[derive(Debug, Default)]
pub(super) struct Window {
    chunks: VecDeque<Chunk>,
    /// Bytes that came.
    total: u64,
    /// What the chunks hold of memory, in bytes.
    held: u64,
    /// Readers that are before the first chunk.
    behind: usize,
    /// Readers that have everything that came.
    ahead: usize,
}

#[derive(Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
    /// Those whose next byte is one of these.
    readers: usize,
}

/// What a reader finds at its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These bytes; it now stands after them.
    Bytes(Bytes),
    /// The place is no longer in the window.
    Behind,
    /// Nothing has come yet beyond it.
    Nothing,
}

impl Window {
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    /// The place of the first byte that is held, or of the next to come.
    pub(super) fn first(&self) -> u64 {
        self.chunks.front().map_or(self.total, |chunk| chunk.start)
    }

    /// What a chunk of this many bytes holds of memory.
    pub(super) const fn cost(length: usize) -> u64 {
        length as u64 + CHUNK_BYTES
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        let (start, readers) = (self.total, std::mem::take(&mut self.ahead));
        self.total += bytes.len() as u64;
        self.held += Self::cost(bytes.len());
        self.chunks.push_back(Chunk { start, bytes, readers });
    }

    /// A reader begins, or has come by another way, at this place.
    pub(super) fn enter(&mut self, at: u64) {
        *self.readers(at) += 1;
    }

    /// A reader at this place goes.
    pub(super) fn leave(&mut self, at: u64) {
        *self.readers(at) -= 1;
    }

    /// What the reader at this place reads next.
    pub(super) fn next(&mut self, at: u64) -> Next {
        if at < self.first() {
            return Next::Behind;
        }
        let Some(chunk) = self.index(at).and_then(|index| self.chunks.get_mut(index)) else { return Next::Nothing };
        let bytes = chunk.bytes.slice(place(at - chunk.start)..);
        chunk.readers -= 1;
        self.enter(at + bytes.len() as u64);
        Next::Bytes(bytes)
    }

    /// The held chunks from one place up to another; both are where chunks begin or end.
    pub(super) fn chunks(&self, from: u64, to: u64) -> Vec<Bytes> {
        let between = self.chunks.iter().filter(|chunk| chunk.start >= from && chunk.end() <= to);
        between.map(|chunk| chunk.bytes.clone()).collect()
    }

    /// Puts one chunk of the same bytes in the place of several that are held.
    pub(super) fn replace(&mut self, from: u64, bytes: Bytes) {
        let to = from + bytes.len() as u64;
        let first = self.chunks.partition_point(|chunk| chunk.start < from);
        let end = self.chunks.partition_point(|chunk| chunk.end() <= to).max(first);
        let old: Vec<Chunk> = self.chunks.drain(first..end).collect();
        if old.is_empty() {
            return;
        }
        self.held -= old.iter().map(|chunk| Self::cost(chunk.bytes.len())).sum::<u64>();
        self.held += Self::cost(bytes.len());
        let readers = old.iter().map(|chunk| chunk.readers).sum();
        self.chunks.insert(first, Chunk { start: from, bytes, readers });
    }

    /// Drops chunks from the first on, as long as `may_go` says so of their ends and of whether all readers have passed them.
    pub(super) fn drop_while(&mut self, may_go: impl Fn(u64, Passed) -> bool) {
        while let Some(front) = self.chunks.front() {
            let passed = match (front.readers, self.behind) {
                (0, 0) => Passed::ByAll,
                (0, _) => Passed::ByAllWithin,
                _ => Passed::No,
            };
            if !may_go(front.end(), passed) {
                return;
            }
            if let Some(front) = self.chunks.pop_front() {
                self.held -= Self::cost(front.bytes.len());
                self.behind += front.readers;
            }
        }
    }

    fn readers(&mut self, at: u64) -> &mut usize {
        if at < self.first() {
            return &mut self.behind;
        }
        match self.index(at) {
            Some(index) => &mut self.chunks[index].readers,
            None => &mut self.ahead,
        }
    }

    /// The chunk that this place is in.
    fn index(&self, at: u64) -> Option<usize> {
        let index = self.chunks.partition_point(|chunk| chunk.end() <= at);
        (index < self.chunks.len()).then_some(index)
    }
}

/// Have the readers passed the first chunk?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    /// One stands at it.
    No,
    /// None stands at it, but there are some before it.
    ByAllWithin,
    /// None will ask for it.
    ByAll,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

fn place(within: u64) -> usize {
    usize::try_from(within).unwrap_or(usize::MAX)
}

/// What a chunk costs beside its bytes: its place in the window, and the counter that its bytes are shared by.
const CHUNK_BYTES: u64 = 80;
