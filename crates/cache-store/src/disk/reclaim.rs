//! Reclaiming: the oldest segment makes room. What was used since it was written is moved to the log's end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::footer::{Entries, Entry};
use super::format::{SegmentId, UNIT};
use super::index::{Location, tag};
use super::io::ALIGN;
use super::place::{Place, Stage};
use super::queue::Pending;
use super::record::{self, Head, Kind};
use super::shape::position;
use super::writer::Writer;
use crate::disk::Record;
use crate::stamp::Stamp;

/// What is to become of the segment in a slot.
pub(super) struct Reclaim {
    id: SegmentId,
    /// `None`: its footer is damaged.
    entries: Option<Entries>,
    /// What is kept of it.
    kept: Vec<(Location, Record)>,
}

impl Writer {
    /// Chooses, and reads, what is kept of the segment in a slot: at most half a segment, and so much that `head` has room
    /// beside it; nothing without. Waits for a sweep under way to have judged it.
    pub(super) fn reclaim(&self, slot: u32, head: Option<&Head>) -> Reclaim {
        let id = self.place.slot(slot).id;
        if id.number == 0 {
            return Reclaim { id, entries: None, kept: Vec::new() };
        }
        let stage = self.place.gate.pass(id.number);
        let entries = self.place.footer(slot, id);
        let mut kept = Vec::new();
        let mut budget = head.map_or(0, |head| self.budget(head));
        for entry in entries.iter().flat_map(Entries::iter).filter(|_| stage != Stage::Preparing) {
            let at = location(&self.place, slot, &entry);
            let cost = cost(&entry);
            if cost <= budget
                && self.is_wanted(&entry, at)
                && let Some(mut record) = read(&self.place, at, id)
            {
                record.stamp = self.judged(record.stamp, stage, id, entry.unit);
                kept.push((at, record));
                budget -= cost;
            }
        }
        Reclaim { id, entries, kept }
    }

    /// Removes from the index what lay in the slot. What is kept is found as pending until it is written anew.
    pub(super) fn forget(&self, slot: u32, reclaim: Reclaim) -> Vec<(Head, Pending)> {
        let moved = reclaim.kept.into_iter().filter_map(|(at, record)| self.move_on(at, record)).collect();
        let index = &self.tier.index;
        let mut dropped = 0;
        match reclaim.entries {
            _ if reclaim.id.number == 0 => {}
            Some(entries) => {
                for entry in entries.iter() {
                    dropped += u64::from(index.remove_at(tag(entry.key), location(&self.place, slot, &entry)));
                }
            }
            None => index.retain(|_, at| {
                let here = at.place == self.place.number && at.slot == slot;
                dropped += u64::from(here);
                !here
            }),
        }
        self.place.counts.reclaimed.fetch_add(dropped, Ordering::Relaxed);
        moved
    }

    /// From the index to the pending ones, unless it was removed or replaced meanwhile.
    fn move_on(&self, at: Location, record: Record) -> Option<(Head, Pending)> {
        let lengths = record::Lengths::of(&record)?;
        let serial = self.tier.next_serial();
        let head = Head::stored(&record, lengths, serial, &self.place.secret);
        let pending = Pending { record: Arc::new(record), serial };
        let tag = tag(head.key);
        let mut queue = self.place.queue.lock();
        if queue.holds(tag) || !self.tier.index.remove_at(tag, at) {
            return None;
        }
        queue.moves(pending.clone(), lengths.units());
        Some((head, pending))
    }

    /// Bytes that may be kept, with what they take in the footer.
    fn budget(&self, head: &Head) -> usize {
        let size = self.place.shape.segment_size;
        let needed = usize::from(head.lengths.units()) * UNIT + head.lengths.scope as usize + MARGIN;
        (size / 2).min(size.saturating_sub(needed))
    }

    /// Was it used, and is it at home here? What is not would be looked for elsewhere while it is pending.
    fn is_wanted(&self, entry: &Entry<'_>, at: Location) -> bool {
        let is_used = |used| used || (self.tier.in_use)(entry.key);
        let at_home = || self.tier.home(entry.key).is_some_and(|home| home.number == self.place.number);
        entry.kind == Kind::Stored && self.tier.index.used_at(tag(entry.key), at).is_some_and(is_used) && at_home()
    }

    /// What a record of the segment has been held against.
    fn judged(&self, stamp: Stamp, stage: Stage, id: SegmentId, unit: u32) -> Stamp {
        let swept = self.place.swept.read().effective(stamp, position(id, unit));
        match stage {
            Stage::Judged { upto, .. } => swept.max(upto),
            Stage::Idle | Stage::Preparing => swept,
        }
    }
}

pub(super) fn location(place: &Place, slot: u32, entry: &Entry<'_>) -> Location {
    Location { place: place.number, slot, unit: entry.unit, units: entry.units }
}

fn read(place: &Place, at: Location, id: SegmentId) -> Option<Record> {
    let from = place.shape.unit_at(at.slot, at.unit);
    let skip = usize::try_from(from % ALIGN as u64).ok()?;
    let len = usize::from(at.units) * UNIT;
    let blocks = place.file.read_blocking(from - skip as u64, (skip + len).next_multiple_of(ALIGN)).ok()?;
    let bytes = Bytes::from_owner(blocks).slice(skip..skip + len);
    record::read(&bytes, id, at.unit, &place.secret).map(|(record, _)| record)
}

fn cost(entry: &Entry<'_>) -> usize {
    usize::from(entry.units) * UNIT + entry.scope.len() + ENTRY
}

/// More than an entry takes in a footer besides its scope.
const ENTRY: usize = 64;
/// The header, the footer's last block, and what is lost to whole blocks.
const MARGIN: usize = 8 * ALIGN;
