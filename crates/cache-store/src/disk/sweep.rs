//! Sweeping: everything stored is held against the purges up to a stamp, once, so that their marks can be forgotten.

use std::sync::mpsc::{SyncSender, sync_channel};

use super::format::{Position, SegmentId};
use super::index::tag;
use super::place::{Place, Slot, Stage};
use super::queue::Command;
use super::reclaim::location;
use super::record::Kind;
use super::shape::position;
use super::superblock::Swept;
use super::tier::Tier;
use crate::disk::{Disk, SweepEntry};
use crate::stamp::Stamp;

/// Says whether a record is kept.
type Keep<'a> = dyn FnMut(&SweepEntry<'_>) -> bool + 'a;

impl Disk {
    /// Holds every record whose stamp does not cover `upto` against `keep`, and removes, durably, those that it does not
    /// want. What it keeps counts as held against everything up to `upto` from then on: no purge up to there, hard or
    /// soft, concerns it. What is accepted meanwhile may escape it, and keeps its own stamp. Blocks, for reading the
    /// footers of all segments. Returns false where a place has failed and may be back with what it holds after a restart:
    /// then `upto` must not be relied on.
    pub fn sweep(&self, upto: Stamp, keep: &mut Keep<'_>) -> bool {
        let _one = self.sweeping.lock();
        let sweep = |place: &Place, keep: &mut Keep<'_>| Sweep { tier: &self.tier, place, upto }.run(keep).is_some();
        let mut done = true;
        for place in &self.tier.places {
            done &= place.is_healthy() && sweep(place, keep) || place.is_settled();
        }
        done
    }

    /// Has a place failed in such a way that what it holds may come back at the next start, though sweeps and removals have
    /// not reached it? Whoever opens it then clears it first.
    pub fn has_lost(&self) -> bool {
        self.tier.places.iter().any(|place| place.is_lost())
    }
}

struct Sweep<'a> {
    tier: &'a Tier,
    place: &'a Place,
    upto: Stamp,
}

/// Lets reclaiming go on, however a sweep ends.
struct Opening<'a>(&'a Place);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.gate.open();
    }
}

impl Sweep<'_> {
    /// `None`: the place has failed, or was closed.
    fn run(mut self, keep: &mut Keep<'_>) -> Option<()> {
        let _opening = Opening(self.place);
        self.place.gate.set(Stage::Preparing);
        let end = self.ask(Command::Flush)?;
        // Records before the last sweep's end count as held against that as well.
        self.upto = self.upto.max(self.place.swept.read().stamp);
        self.judged(0);
        for (number, slot) in self.segments(end) {
            if !slot.oldest.is_none_or(|oldest| oldest.covers(self.upto)) {
                self.judge(number, slot.id, keep);
            }
            self.judged(slot.id.number + 1);
        }
        self.judged(u64::MAX);
        // The tombstones first.
        self.ask(Command::Flush)?;
        self.ask(|answer| Command::Swept(Swept { stamp: self.upto, upto: end }, answer))?;
        Some(())
    }

    /// Where they lie, oldest first: in the order in which they are reclaimed.
    fn segments(&self, end: Position) -> Vec<(u32, Slot)> {
        let slots = self.place.slots.read();
        let used = (0..).zip(slots.iter().copied()).filter(|(_, slot)| (1..=end.segment).contains(&slot.id.number));
        let mut segments: Vec<_> = used.collect();
        segments.sort_unstable_by_key(|(_, slot)| slot.id.number);
        segments
    }

    fn judge(&self, slot: u32, id: SegmentId, keep: &mut Keep<'_>) {
        let Some(entries) = self.place.footer(slot, id) else { return self.drop_all(slot, id) };
        let swept = *self.place.swept.read();
        for entry in entries.iter().filter(|entry| entry.kind == Kind::Stored) {
            let at = location(self.place, slot, &entry);
            let stamp = swept.effective(entry.stamp, position(id, entry.unit));
            let concerned = !stamp.covers(self.upto) && self.tier.index.used_at(tag(entry.key), at).is_some();
            if concerned && !keep(&SweepEntry { key: entry.key, stamp, scope: entry.scope }) {
                self.tier.remove_at(self.place, entry.key, at, id);
            }
        }
    }

    /// Its footer is damaged: nobody can tell what is in it.
    fn drop_all(&self, slot: u32, id: SegmentId) {
        let mut found = Vec::new();
        self.tier.index.retain(|tag, at| {
            if at.place == self.place.number && at.slot == slot {
                found.push((tag, at));
            }
            true
        });
        for (tag, at) in found {
            self.tier.remove_at(self.place, tag.into(), at, id);
        }
    }

    fn judged(&self, below: u64) {
        self.place.gate.set(Stage::Judged { below, upto: self.upto });
    }

    fn ask(&self, command: impl FnOnce(SyncSender<Position>) -> Command) -> Option<Position> {
        let (answer, answered) = sync_channel(1);
        self.place.queue.command(command(answer));
        answered.recv().ok()
    }
}
