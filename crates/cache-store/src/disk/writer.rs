//! A place's writer: the one thread that writes to it. Gathers records in a buffer and writes many at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::footer::{Entries, header};
use super::format::{Position, SegmentId, UNIT, random};
use super::index::{Location, tag};
use super::io::{ALIGN, AlignedBuf};
use super::place::{Failure, Open, Place, Slot};
use super::queue::{Command, Item, Pending};
use super::record::{self, Head, Kind, Lengths, MAX_UNITS};
use super::snapshot;
use super::superblock::{Distrust, Members, Superblock, Swept};
use super::tier::{Tier, Written};
use crate::disk::{DiskAlert, Record};

/// The thread's state.
pub(super) struct Writer {
    pub(super) tier: Arc<Tier>,
    pub(super) place: Arc<Place>,
    /// As it is on the device, but for what the next write of it will change.
    pub(super) state: Superblock,
    /// The segment that is being written.
    open: Option<Cursor>,
    /// The number of the next segment.
    next: u64,
    buffer: AlignedBuf,
    /// Bytes in the buffer.
    fill: usize,
    /// What is in the buffer.
    batch: Vec<Written>,
    /// When the buffer is to be written at the latest.
    deadline: Option<Instant>,
}

/// Where in the log the buffer's beginning belongs.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    id: SegmentId,
    slot: u32,
    unit: u32,
}

/// Does the writer go on?
enum Then {
    GoOn,
    End,
}

impl Writer {
    pub(super) fn new(tier: Arc<Tier>, place: Arc<Place>, state: Superblock, next: u64) -> Self {
        let buffer = AlignedBuf::zeroed(BUFFER);
        Self { tier, place, state, open: None, next, buffer, fill: 0, batch: Vec::new(), deadline: None }
    }

    /// Writes until the tier is closed or the place fails.
    pub(super) fn run(mut self) {
        if let Err(Failure { operation, error }) = self.serve() {
            self.place.fail(operation, error);
        }
        if let Some(failure) = self.place.take_failure() {
            self.give_up(failure);
        }
    }

    fn serve(&mut self) -> Result<(), Failure> {
        while self.place.is_healthy() {
            match self.place.queue.next(self.deadline) {
                Some(Item::Put(pending)) => self.put(pending)?,
                Some(Item::Tombstone { key, serial }) => self.append(Head::tombstone(key, serial), None, 0)?,
                Some(Item::Command(command)) => match self.obey(&command) {
                    Ok(Then::GoOn) => {}
                    Ok(Then::End) => break,
                    // Before the command is gone: whoever waits for its answer finds the place out then.
                    Err(Failure { operation, error }) => self.place.fail(operation, error),
                },
                None => self.write_out()?,
            }
        }
        Ok(())
    }

    fn put(&mut self, pending: Pending) -> Result<(), Failure> {
        let lengths = Lengths::of(&pending.record).unwrap_or_default();
        let mut queue = self.place.queue.lock();
        if !queue.is_latest(&pending) {
            queue.release(lengths.units());
            super::queue::wake(queue);
            return Ok(());
        }
        drop(queue);
        let head = Head::stored(&pending.record, lengths, pending.serial, &self.place.secret);
        self.place.counts.written.fetch_add(1, Ordering::Relaxed);
        self.append(head, Some(&pending.record), lengths.units())
    }

    fn append(&mut self, head: Head, record: Option<&Record>, charged: u16) -> Result<(), Failure> {
        if !self.has_room(&head) {
            self.next_segment(Some(&head))?;
        }
        // In an empty segment there is: that much was seen to when it was accepted.
        if !self.has_room(&head) {
            self.next_segment(None)?;
        }
        self.take(head, record, charged)
    }

    /// Is there room in the segment for a record of this head, and for the footer?
    fn has_room(&self, head: &Head) -> bool {
        let Some(open) = self.open else { return false };
        let end = self.fill + usize::from(head.lengths.units()) * UNIT;
        let end = open.unit as usize * UNIT + end.next_multiple_of(ALIGN);
        let footer = self.place.open.lock().entries.footer_len_with(head.lengths.scope as usize);
        end + footer <= self.place.shape.segment_size
    }

    /// Puts a record, for which there is room in the segment, into the buffer.
    fn take(&mut self, mut head: Head, record: Option<&Record>, charged: u16) -> Result<(), Failure> {
        let units = head.lengths.units();
        let len = usize::from(units) * UNIT;
        if self.fill + len > self.buffer.len() {
            self.write_out()?;
        }
        let Some(open) = self.open else { return Ok(()) };
        let unit = open.unit + u32::try_from(self.fill / UNIT).expect("invariant: within a segment");
        (head.segment, head.unit) = (open.id, unit);
        record::write(&mut self.buffer[self.fill..self.fill + len], &head, record, &self.place.secret);
        self.place.open.lock().entries.push(&head, record.map_or(&[], |record| &record.scope));
        let stored = head.kind == Kind::Stored;
        if stored && let Some(slot) = self.place.slots.write().get_mut(open.slot as usize) {
            slot.add(head.stamp);
            slot.end = unit + u32::from(units);
        }
        let at = stored.then_some(Location { place: self.place.number, slot: open.slot, unit, units });
        self.batch.push(Written { tag: tag(head.key), serial: head.serial, at, charged });
        self.fill += len;
        self.deadline.get_or_insert_with(|| Instant::now() + self.tier.delay);
        if self.fill >= WRITE { self.write_out() } else { Ok(()) }
    }

    /// Writes the buffer; what is in it is found on the device from now on.
    fn write_out(&mut self) -> Result<(), Failure> {
        self.deadline = None;
        let Some(open) = self.open.as_mut().filter(|_| self.fill > 0) else { return Ok(()) };
        let len = self.fill.next_multiple_of(ALIGN);
        self.buffer[self.fill..len].fill(0);
        // A file that was removed would take everything and keep nothing.
        self.place.path.metadata().map_err(|error| Failure { operation: "find", error })?;
        let at = self.place.shape.unit_at(open.slot, open.unit);
        self.place.file.write_at(&self.buffer[..len], at).map_err(writing)?;
        self.place.counts.written_bytes.fetch_add(len as u64, Ordering::Relaxed);
        open.unit += u32::try_from(len / UNIT).expect("invariant: within a segment");
        self.fill = 0;
        self.tier.written(&self.place, &mut self.batch);
        Ok(())
    }

    /// Ends the segment, if there is one, and begins the next, with what is kept of the one that lay there and leaves
    /// room for `head`; nothing is kept without.
    fn next_segment(&mut self, head: Option<&Head>) -> Result<(), Failure> {
        self.seal()?;
        let slot = self.place.shape.slot_of(self.next);
        let reclaim = self.reclaim(slot, head);
        let id = SegmentId { number: self.next, nonce: nonce()? };
        // From here on it is known that a segment was begun, should its header be lost; and an index that was stored at
        // the last stop is void.
        self.state.opened = id.number;
        self.store_state()?;
        let block = header(id, &self.place.secret);
        self.place.file.write_at(&block, self.place.shape.slot_at(slot)).map_err(writing)?;
        // What lay there is gone for recovery: now it may be forgotten here, and removals need no tombstones.
        let kept = self.forget(slot, reclaim);
        self.place.set_slot(slot, Slot::empty(id));
        *self.place.open.lock() = Open { id, entries: Entries::default() };
        let first_unit = u32::try_from(ALIGN / UNIT).expect("invariant: 8");
        self.open = Some(Cursor { id, slot, unit: first_unit });
        self.next += 1;
        for (head, pending) in kept {
            let units = head.lengths.units();
            if self.has_room(&head) {
                self.place.counts.reinserted.fetch_add(1, Ordering::Relaxed);
                self.take(head, Some(&pending.record), units)?;
            } else {
                let mut queue = self.place.queue.lock();
                queue.written(tag(head.key), head.serial);
                queue.release(units);
            }
        }
        Ok(())
    }

    /// Ends the segment with its footer.
    fn seal(&mut self) -> Result<(), Failure> {
        self.write_out()?;
        let Some(Cursor { id, slot, .. }) = self.open.take() else { return Ok(()) };
        // A footer vouches for everything before it.
        self.place.file.sync().map_err(syncing)?;
        let footer = self.place.open.lock().entries.footer(id, &self.place.secret);
        let end = self.place.shape.slot_at(slot) + self.place.shape.segment_size as u64;
        self.place.file.write_at(&footer, end - footer.len() as u64).map_err(writing)?;
        self.place.counts.written_bytes.fetch_add(footer.len() as u64, Ordering::Relaxed);
        *self.place.open.lock() = Open::default();
        Ok(())
    }

    fn obey(&mut self, command: &Command) -> Result<Then, Failure> {
        // Whoever asked may have gone.
        match command {
            Command::Flush(answer) => {
                self.write_out()?;
                self.place.file.sync().map_err(syncing)?;
                let _ = answer.send(self.end());
            }
            Command::Advance => {
                self.next_segment(Some(&Head::tombstone(0, 0)))?;
                self.place.queue.lock().advanced();
            }
            Command::Clear(answer) => {
                self.clear()?;
                let _ = answer.send(self.end());
            }
            Command::Swept(swept, answer) => {
                self.swept(*swept)?;
                let _ = answer.send(self.end());
            }
            Command::Members(members, answer) => {
                self.state.members = Members { epoch: members.epoch.max(self.state.members.epoch), ..*members };
                self.store_state()?;
                let _ = answer.send(self.end());
            }
            Command::Close(answer) => {
                self.close()?;
                let _ = answer.send(self.end());
                return Ok(Then::End);
            }
            #[cfg(test)]
            Command::Crash => return Ok(Then::End),
        }
        Ok(Then::GoOn)
    }

    /// Everything accepted so far lies before this.
    fn end(&self) -> Position {
        self.open.map_or(Position { segment: self.next, unit: 0 }, |open| super::shape::position(open.id, open.unit))
    }

    fn clear(&mut self) -> Result<(), Failure> {
        (self.fill, self.open, self.deadline) = (0, None, None);
        let mut queue = self.place.queue.lock();
        for written in self.batch.drain(..) {
            queue.release(written.charged);
            // One that was moved has become pending since the queue was emptied.
            queue.written(written.tag, written.serial);
        }
        super::queue::wake(queue);
        (self.state.first, self.state.distrust) = (self.next, Distrust::default());
        self.store_state()?;
        *self.place.open.lock() = Open::default();
        self.place.slots.write().fill(Slot::default());
        self.tier.index.retain(|_, at| at.place != self.place.number);
        Ok(())
    }

    fn swept(&mut self, swept: Swept) -> Result<(), Failure> {
        self.state.swept = swept;
        self.store_state()?;
        *self.place.swept.write() = swept;
        let mut slots = self.place.slots.write();
        for slot in slots.iter_mut().filter(|slot| super::shape::position(slot.id, slot.end) <= swept.upto) {
            slot.oldest = slot.oldest.map(|oldest| oldest.max(swept.stamp));
        }
        drop(slots);
        Ok(())
    }

    /// The index is on the device before the superblock says so.
    fn close(&mut self) -> Result<(), Failure> {
        self.seal()?;
        let snapshot = snapshot::write(&self.tier, &self.place).map_err(writing)?;
        self.place.file.sync().map_err(syncing)?;
        self.state.snapshot = snapshot;
        self.state.serial = self.tier.serial();
        self.state.store(&self.place.file).map_err(writing)
    }

    /// Writes the superblock. An index on the device is void from then on.
    fn store_state(&mut self) -> Result<(), Failure> {
        self.state.snapshot = None;
        self.state.serial = self.tier.serial();
        self.state.store(&self.place.file).map_err(writing)
    }

    /// The place is out: tells of it, and sees to it that what it holds does not come back.
    fn give_up(mut self, failure: Failure) {
        let Failure { operation, error } = failure;
        let (path, kind) = (self.place.path.clone(), error.kind());
        (self.tier.alert)(DiskAlert::Failed { path, operation, kind, error: error.to_string() });
        self.tier.index.retain(|_, at| at.place != self.place.number);
        // It, or the others, may remember.
        self.state.first = self.next;
        let voided = self.store_state().is_ok();
        if self.tier.exclude(&self.place) || voided {
            self.place.settle();
        } else {
            self.place.lose();
        }
    }
}

fn nonce() -> Result<u64, Failure> {
    random().map(u64::from_le_bytes).map_err(|error| Failure { operation: "find randomness", error })
}

pub(super) fn writing(error: std::io::Error) -> Failure {
    Failure { operation: "write", error }
}

fn syncing(error: std::io::Error) -> Failure {
    Failure { operation: "sync", error }
}

/// A buffer with so many bytes is written.
const WRITE: usize = 1 << 20;
/// It has room for a whole record more.
const BUFFER: usize = WRITE + (MAX_UNITS * UNIT).next_multiple_of(ALIGN);
/// Bytes of memory of a writer: its buffer, the footer to be, what it moves when it reclaims.
pub(super) const MEMORY: u64 = BUFFER as u64 + (1 << 20) + super::shape::MAX_SEGMENT as u64 / 2;
