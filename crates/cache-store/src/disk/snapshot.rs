//! The index on the device: written at a clean stop, read at the next start, void as soon as anything is written.

use std::io;

use super::format::{SegmentId, put_segment, put_stamp};
use super::index::Index;
use super::io::{ALIGN, AlignedBuf, BlockFile};
use super::place::{Place, Slot};
use super::recover::{Rivals, serial_at};
use super::shape::{SNAPSHOT_AT, SNAPSHOT_SLOT};
use super::superblock::{Snapshot, Superblock};
use super::tier::Tier;
use crate::fields::Fields;
use crate::stamp::Stamp;
use holm_model::ids::Seq;

use crate::marks::Local;

/// Writes what the index knows of a place: the table of segments, then its entries. `None`: it is too long.
///
/// # Errors
/// Of the device.
pub(super) fn write(tier: &Tier, place: &Place) -> io::Result<Option<Snapshot>> {
    let (objects, _) = tier.index.live(place.number);
    let length = u64::from(place.shape.segments) * SNAPSHOT_SLOT + objects * ENTRY as u64;
    if length > place.shape.snapshot_len {
        return Ok(None);
    }
    let mut out = Output::new(&place.file, place.secret.hasher(), place.shape.snapshot_len);
    let mut bytes = Vec::new();
    for slot in place.slots.read().iter() {
        put_slot(&mut bytes, *slot);
    }
    out.put(&bytes)?;
    let mut outcome = Ok(());
    tier.index.dump(place.number, |entries| {
        bytes.clear();
        for (tag, packed) in entries {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&packed.to_le_bytes());
        }
        if outcome.is_ok() {
            outcome = out.put(&bytes);
        }
    });
    outcome?;
    out.end().map(Some)
}

/// Brings the stored index of a place into the tier's. Returns false where it is damaged; then something of it may be in
/// the tier's.
pub(super) fn load(tier: &Tier, place: &Place, state: &Superblock, stored: Snapshot, rivals: &mut Rivals) -> bool {
    let table = u64::from(place.shape.segments) * SNAPSHOT_SLOT;
    let entries = stored.length.checked_sub(table).filter(|_| stored.length <= place.shape.snapshot_len);
    let Some(entries) = entries.filter(|entries| entries.is_multiple_of(ENTRY as u64)) else { return false };
    tier.index.reserve(usize::try_from(entries / ENTRY as u64).unwrap_or(0));
    let mut hasher = place.secret.hasher();
    let mut loading = Loading { tier, place, state, rivals, slots: Vec::new() };
    let mut at = 0;
    while at < stored.length {
        let wanted = CHUNK.min(usize::try_from(stored.length - at).unwrap_or(CHUNK));
        let Ok(blocks) = place.file.read_blocking(SNAPSHOT_AT + at, wanted.next_multiple_of(ALIGN)) else {
            return false;
        };
        let bytes = &blocks[..wanted];
        hasher.update(bytes);
        let sound = loading.take(bytes);
        if sound.is_none() {
            return false;
        }
        at += wanted as u64;
    }
    let sound = *hasher.finalize().as_bytes() == stored.hash;
    if sound {
        *place.slots.write() = loading.slots;
    }
    sound
}

/// A snapshot on its way into the index. What it says is checked before it is believed: its hash is known only at the end.
struct Loading<'a> {
    tier: &'a Tier,
    place: &'a Place,
    state: &'a Superblock,
    rivals: &'a mut Rivals,
    slots: Vec<Slot>,
}

impl Loading<'_> {
    /// Takes some bytes: whole slots and entries, for both lengths divide a chunk's.
    fn take(&mut self, bytes: &[u8]) -> Option<()> {
        let mut fields = Fields(bytes);
        while self.slots.len() < self.place.shape.segments as usize && !fields.0.is_empty() {
            let slot = slot(&mut fields)?;
            self.slots.push(slot);
        }
        while !fields.0.is_empty() {
            let (tag, packed) = (fields.u64()?, fields.u64()?);
            let at = Index::restored(packed, self.place.number);
            let slot = self.slots.get(at.slot as usize)?;
            let known = (self.state.first..=self.state.opened).contains(&slot.id.number);
            if !known || !self.place.shape.holds(at.unit, at.units) {
                return None;
            }
            let is_rival = self.tier.index.get(tag).is_some_and(|held| held.place != at.place);
            let serial = if is_rival { serial_at(self.tier, at).unwrap_or(0) } else { 0 };
            if self.rivals.wins(self.tier, tag, at, serial) {
                self.tier.index.restore(tag, packed, self.place.number);
            }
        }
        Some(())
    }
}

/// Bytes on their way to the device.
struct Output<'a> {
    file: &'a BlockFile,
    hasher: blake3::Hasher,
    buffer: AlignedBuf,
    fill: usize,
    /// Bytes that are written.
    length: u64,
    limit: u64,
}

impl<'a> Output<'a> {
    fn new(file: &'a BlockFile, hasher: blake3::Hasher, limit: u64) -> Self {
        Self { file, hasher, buffer: AlignedBuf::zeroed(CHUNK), fill: 0, length: 0, limit }
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.fill));
            self.buffer[self.fill..self.fill + now.len()].copy_from_slice(now);
            self.fill += now.len();
            bytes = later;
            if self.fill == CHUNK {
                self.write_out()?;
            }
        }
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        let len = self.fill.next_multiple_of(ALIGN);
        self.buffer[self.fill..len].fill(0);
        if self.length + len as u64 > self.limit {
            return Err(io::Error::other("the index does not fit its room"));
        }
        self.file.write_at(&self.buffer[..len], SNAPSHOT_AT + self.length)?;
        self.length += self.fill as u64;
        self.fill = 0;
        Ok(())
    }

    fn end(mut self) -> io::Result<Snapshot> {
        if self.fill > 0 {
            self.write_out()?;
        }
        Ok(Snapshot { length: self.length, hash: *self.hasher.finalize().as_bytes() })
    }
}

fn put_slot(out: &mut Vec<u8>, slot: Slot) {
    put_segment(out, slot.id);
    put_stamp(out, slot.oldest.unwrap_or(NO_STAMP));
}

fn slot(fields: &mut Fields<'_>) -> Option<Slot> {
    let (id, stamp): (SegmentId, Stamp) = (fields.segment()?, fields.stamp()?);
    Some(Slot { oldest: (stamp != NO_STAMP).then_some(stamp), ..Slot::empty(id) })
}

const NO_STAMP: Stamp = Stamp { seq: Seq::new(u64::MAX), local: Local(u64::MAX) };
const ENTRY: usize = 16;
const CHUNK: usize = 1 << 20;
