//! The shape of a place: two superblocks, room for the index, and segments of one size.

use super::format::{Position, SegmentId, UNIT};
use super::io::ALIGN;

/// Where what lies, in bytes from the place's beginning. Follows from two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of the whole place.
    pub(super) size: u64,
    /// Bytes of a segment.
    pub(super) segment_size: usize,
    /// How many segments there are.
    pub(super) segments: u32,
    /// Bytes for the index.
    pub(super) snapshot_len: u64,
}

impl Shape {
    /// Of a new place. `None`: it is too small.
    pub(super) fn new(size: u64, wanted: usize) -> Option<Self> {
        let size = size - size % ALIGN as u64;
        let eighth = size.checked_sub(SNAPSHOT_AT + snapshot_share(size) + TABLE)? / MIN_SEGMENTS;
        let eighth = usize::try_from(eighth).unwrap_or(MAX_SEGMENT) & !(ALIGN - 1);
        Self::of(size, wanted.next_multiple_of(ALIGN).clamp(MIN_SEGMENT, MAX_SEGMENT).min(eighth))
    }

    /// Of the numbers in a superblock. `None`: they make no sense.
    pub(super) fn of(size: u64, segment_size: usize) -> Option<Self> {
        let sound = size.is_multiple_of(ALIGN as u64)
            && segment_size.is_multiple_of(ALIGN)
            && (MIN_SEGMENT..=MAX_SEGMENT).contains(&segment_size);
        if !sound {
            return None;
        }
        let most = size / segment_size as u64;
        let table = most.checked_mul(SNAPSHOT_SLOT)?.next_multiple_of(ALIGN as u64);
        let snapshot_len = snapshot_share(size) + table;
        let segments = size.checked_sub(SNAPSHOT_AT + snapshot_len)? / segment_size as u64;
        let segments = u32::try_from(segments).ok().filter(|segments| (4..MAX_SEGMENTS).contains(segments))?;
        Some(Self { size, segment_size, segments, snapshot_len })
    }

    /// In which slot the segment of this number lies: they follow one another round and round.
    pub(super) fn slot_of(self, number: u64) -> u32 {
        u32::try_from(number % u64::from(self.segments)).expect("invariant: the remainder of a u32")
    }

    /// Where a slot begins.
    pub(super) fn slot_at(self, slot: u32) -> u64 {
        SNAPSHOT_AT + self.snapshot_len + u64::from(slot) * self.segment_size as u64
    }

    /// Where a unit of a slot begins.
    pub(super) fn unit_at(self, slot: u32, unit: u32) -> u64 {
        self.slot_at(slot) + u64::from(unit) * UNIT as u64
    }

    /// Can a record lie there?
    pub(super) fn holds(self, unit: u32, units: u16) -> bool {
        let end = (unit as usize).checked_add(units.into());
        units > 0 && unit as usize * UNIT >= ALIGN && end.is_some_and(|end| end * UNIT <= self.segment_size)
    }

    /// The number of the segment that lay in its slot before the one of this number.
    pub(super) fn before(self, number: u64) -> Option<u64> {
        number.checked_sub(u64::from(self.segments)).filter(|number| *number > 0)
    }

    /// Bytes that segments have in all.
    pub(super) fn capacity(self) -> u64 {
        u64::from(self.segments) * self.segment_size as u64
    }
}

/// Where `unit` of the segment is in the log.
pub(super) fn position(id: SegmentId, unit: u32) -> Position {
    Position { segment: id.number, unit }
}

/// Room for an index entry (16 bytes) for each 2 KiB of the place: what has more and smaller objects is recovered from its
/// footers.
fn snapshot_share(size: u64) -> u64 {
    (size / 128).next_multiple_of(ALIGN as u64)
}

/// Behind the two superblocks.
pub(super) const SNAPSHOT_AT: u64 = 2 * ALIGN as u64;
/// Bytes of the index's table of segments for each.
pub(super) const SNAPSHOT_SLOT: u64 = 32;
/// The index's table of so few segments.
const TABLE: u64 = ALIGN as u64;
/// A place has at least so many: reclaiming one is not to cost too much of what it holds.
const MIN_SEGMENTS: u64 = 8;
const MIN_SEGMENT: usize = 64 << 10;
/// A unit's number has 15 bits in an index entry.
pub(super) const MAX_SEGMENT: usize = UNIT << 15;
/// A slot's number has 29 bits in an index entry.
const MAX_SEGMENTS: u32 = 1 << 29;
