//! Recovery: after a clean stop the index as it was stored, else what the segments' footers say, and a scan of the segment
//! that was being written.
//!
//! A removal is a tombstone, and a tombstone can be damaged like any record. So whatever is damaged may have been one: of
//! a full segment, which was on the device before its footer was, that voids everything before it; of the last one, where
//! a crash may well have left something torn, it voids what relies on a sweep's removals.

use std::io;

use super::footer::{Entries, Entry, decode_header, header};
use super::format::{SegmentId, random};
use super::index::{Location, tag};
use super::io::{ALIGN, AlignedBuf};
use super::place::{Place, Slot};
use super::reclaim::location;
use super::record::{HEAD, Head, Kind};
use super::scan::{Scan, scan};
use super::shape::position;
use super::snapshot;
use super::superblock::{Distrust, Superblock};
use super::tier::Tier;

/// What comes of it.
pub(super) struct Recovered {
    /// The number of the next segment.
    pub(super) next: u64,
    /// Something had to be dropped.
    pub(super) lost: bool,
}

/// Brings what a place holds into the index. The caller stores `state`, which is changed.
///
/// # Errors
/// The last segment's footer could not be written. What cannot be read is no error.
pub(super) fn recover(
    tier: &Tier,
    place: &Place,
    state: &mut Superblock,
    rivals: &mut Rivals,
) -> io::Result<Recovered> {
    if state.opened < state.first {
        (state.first, state.snapshot) = (state.opened + 1, None);
        return Ok(Recovered { next: state.first, lost: false });
    }
    if let Some(stored) = state.snapshot {
        if snapshot::load(tier, place, state, stored, rivals) {
            return Ok(Recovered { next: state.opened + 1, lost: false });
        }
        state.snapshot = None;
        drop_all(tier, place);
    }
    // Some were used that are not known of any more.
    tier.note_serial(state.serial.saturating_add(SERIALS));
    Recovery { tier, place, state, rivals, lost: false }.run()
}

/// Records of one key in two places: places that were not always used together, or failed in turn, may both have one. The
/// newer one counts; the other is buried, lest it come back once the newer one is gone.
#[derive(Default)]
pub(super) struct Rivals(Vec<(u64, u8)>);

impl Rivals {
    /// Does the record that lies there, with this serial, count?
    pub(super) fn wins(&mut self, tier: &Tier, tag: u64, at: Location, serial: u64) -> bool {
        let Some(held) = tier.index.get(tag).filter(|held| held.place != at.place) else { return true };
        let wins = serial_at(tier, held).is_none_or(|held| held < serial);
        self.0.push((tag, if wins { held.place } else { at.place }));
        wins
    }

    /// To be called when all places are recovered.
    pub(super) fn bury(self, tier: &Tier) {
        for (tag, number) in self.0 {
            // A still newer one may have come from there.
            let lives = tier.index.get(tag).is_some_and(|at| at.place == number);
            if let Some(place) = tier.places.get(usize::from(number)).filter(|_| !lives) {
                place.queue.bury(&mut place.queue.lock(), tag.into(), tier.next_serial());
            }
        }
    }
}

struct Recovery<'a> {
    tier: &'a Tier,
    place: &'a Place,
    state: &'a mut Superblock,
    rivals: &'a mut Rivals,
    lost: bool,
}

/// What is found of the last segment that was begun.
enum Newest {
    /// It was about to be: the one before it is still there.
    NotBegun,
    /// It is full.
    Sealed(SegmentId, Entries),
    /// It was being written.
    Open(SegmentId, Scan),
    /// It was begun, but cannot be told any more.
    Lost,
}

impl Recovery<'_> {
    fn run(mut self) -> io::Result<Recovered> {
        let opened = self.state.opened;
        let newest = self.newest();
        self.distrust_if_damaged(&newest);
        let next = if matches!(newest, Newest::NotBegun) { opened } else { opened + 1 };
        let oldest = next.saturating_sub(self.place.shape.segments.into()).max(self.state.first).max(1);
        for number in oldest..opened {
            match self.sealed(number) {
                Some((id, entries)) => self.add(id, &entries),
                None => self.void_up_to(number),
            }
        }
        match newest {
            // Its number is still to be used: segments follow one another without a gap.
            Newest::NotBegun => self.state.opened = opened - 1,
            Newest::Sealed(id, entries) => self.add(id, &entries),
            Newest::Open(id, scan) => {
                self.add(id, &scan.entries);
                self.seal(id, &scan.entries)?;
            }
            Newest::Lost => {
                let id = SegmentId { number: opened, nonce: u64::from_le_bytes(random()?) };
                let at = self.place.shape.slot_at(self.place.shape.slot_of(opened));
                self.place.file.write_at(&header(id, &self.place.secret), at)?;
                self.seal(id, &Entries::default())?;
            }
        }
        Ok(Recovered { next, lost: self.lost })
    }

    fn newest(&self) -> Newest {
        let opened = self.state.opened;
        let slot = self.place.shape.slot_of(opened);
        match self.header(slot) {
            Some(id) if id.number == opened => match self.place.footer(slot, id) {
                Some(entries) => Newest::Sealed(id, entries),
                None => {
                    let bytes = read_all(self.place, slot);
                    Newest::Open(id, scan(&bytes, id, &self.place.secret))
                }
            },
            Some(id) if self.place.shape.before(opened) == Some(id.number) => Newest::NotBegun,
            None if self.is_blank(slot) => Newest::NotBegun,
            _ => Newest::Lost,
        }
    }

    /// Nothing has ever lain there, nor was to.
    fn is_blank(&self, slot: u32) -> bool {
        let (shape, opened) = (self.place.shape, self.state.opened);
        let block = self.place.file.read_blocking(shape.slot_at(slot), ALIGN);
        shape.before(opened).is_none()
            && self.state.swept.upto.segment < opened
            && block.is_ok_and(|block| block.iter().all(|byte| *byte == 0))
    }

    /// A segment that was full before the last one was begun. `None`: it is damaged.
    fn sealed(&self, number: u64) -> Option<(SegmentId, Entries)> {
        let slot = self.place.shape.slot_of(number);
        let id = self.header(slot).filter(|id| id.number == number)?;
        Some((id, self.place.footer(slot, id)?))
    }

    fn header(&self, slot: u32) -> Option<SegmentId> {
        let block = self.place.file.read_blocking(self.place.shape.slot_at(slot), ALIGN).ok()?;
        decode_header(&block, &self.place.secret)
    }

    fn distrust_if_damaged(&mut self, newest: &Newest) {
        let swept = self.state.swept.upto;
        let damaged = match newest {
            Newest::NotBegun | Newest::Sealed(..) => false,
            Newest::Open(id, scan) => scan.gap || position(*id, scan.end) < swept,
            Newest::Lost => true,
        };
        if damaged {
            self.lost = true;
            let stamp = self.state.distrust.stamp.max(self.state.swept.stamp);
            self.state.distrust = Distrust { before: self.state.opened + 1, stamp };
        }
    }

    /// Nothing up to this segment counts.
    fn void_up_to(&mut self, number: u64) {
        self.lost = true;
        self.state.first = number + 1;
        drop_all(self.tier, self.place);
    }

    fn add(&mut self, id: SegmentId, entries: &Entries) {
        let slot_number = self.place.shape.slot_of(id.number);
        let mut slot = Slot::empty(id);
        for entry in entries.iter().filter(|entry| self.place.shape.holds(entry.unit, entry.units)) {
            self.tier.note_serial(entry.serial);
            let at = location(self.place, slot_number, &entry);
            let stamp = self.state.swept.effective(entry.stamp, position(id, entry.unit));
            if entry.kind == Kind::Stored && self.is_trusted(id, &entry) {
                slot.add(stamp);
                self.insert(at, &entry);
            } else if self.tier.index.get(tag(entry.key)).is_some_and(|held| held.place == self.place.number) {
                self.tier.index.remove(tag(entry.key));
            }
        }
        self.place.set_slot(slot_number, slot);
    }

    /// Puts a record into the index, unless another place has a newer one of its key.
    fn insert(&mut self, at: Location, entry: &Entry<'_>) {
        let tag = tag(entry.key);
        if self.rivals.wins(self.tier, tag, at, entry.serial) {
            self.tier.index.insert(tag, at);
        }
    }

    fn is_trusted(&self, id: SegmentId, entry: &Entry<'_>) -> bool {
        let distrust = self.state.distrust;
        id.number >= distrust.before || entry.stamp.covers(distrust.stamp)
    }

    /// The writer always left room for the footer.
    fn seal(&self, id: SegmentId, entries: &Entries) -> io::Result<()> {
        let footer = entries.footer(id, &self.place.secret);
        let slot = self.place.shape.slot_of(id.number);
        let end = self.place.shape.slot_at(slot) + self.place.shape.segment_size as u64;
        self.place.set_slot(slot, Slot { id, ..self.place.slot(slot) });
        self.place.file.sync()?;
        self.place.file.write_at(&footer, end - footer.len() as u64)
    }
}

/// The serial of the record that lies there.
pub(super) fn serial_at(tier: &Tier, at: Location) -> Option<u64> {
    let place = tier.place(at)?;
    let from = place.shape.unit_at(at.slot, at.unit);
    let skip = usize::try_from(from % ALIGN as u64).ok()?;
    let block = place.file.read_blocking(from - skip as u64, ALIGN).ok()?;
    Head::decode(block.get(skip..skip + HEAD)?, &place.secret).map(|head| head.serial)
}

fn drop_all(tier: &Tier, place: &Place) {
    tier.index.retain(|_, at| at.place != place.number);
    place.slots.write().fill(Slot::default());
}

/// A whole segment; zeros where it cannot be read.
fn read_all(place: &Place, slot: u32) -> AlignedBuf {
    let (at, size) = (place.shape.slot_at(slot), place.shape.segment_size);
    place.file.read_blocking(at, size).unwrap_or_else(|_| {
        let mut all = AlignedBuf::zeroed(size);
        for from in (0..size).step_by(ALIGN) {
            if let Ok(block) = place.file.read_blocking(at + from as u64, ALIGN) {
                all[from..from + ALIGN].copy_from_slice(&block);
            }
        }
        all
    })
}

/// More serials than are given out between two writes of the superblock.
const SERIALS: u64 = 1 << 32;
