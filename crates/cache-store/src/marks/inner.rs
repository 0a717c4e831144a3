//! What the marks know, under one lock.

use std::collections::BTreeMap;

use holm_model::ids::{LogId, Seq};

use super::local::{Local, LocalMarks};
use super::purges::PurgeMarks;
use super::{Followed, Moment, Standing};
use crate::scope::Scope;
use crate::stamp::Stamp;

/// Everything that the marks know.
#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) purges: PurgeMarks,
    pub(super) local: LocalMarks,
    pub(super) scalars: Scalars,
    /// Nothing older is stored: a sweep is about to drop the marks up to here.
    pub(super) floor: Seq,
    /// Marks up to here were dropped although fills under way are older: what those bring counts as purged.
    cut: Seq,
    /// How many fills began at each seq and are still under way.
    pub(super) fills: BTreeMap<Seq, usize>,
    /// Something was noted since a sweep was last asked for.
    pub(super) noted: bool,
}

/// What of it is a number, and outlives the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scalars {
    pub(super) log: Option<LogId>,
    pub(super) applied: Seq,
    /// Marks up to here were dropped: all that was stored then was held against them.
    pub(super) dropped: Seq,
    /// What is on disk was all stored under these marks.
    pub(super) vouched: bool,
}

impl Inner {
    /// Number of marks.
    pub(super) fn len(&self) -> usize {
        self.purges.len() + self.local.len()
    }

    pub(super) fn moment(&self) -> Moment {
        let Scalars { log, applied, .. } = self.scalars;
        Moment { log, applied, local: Local(self.local.count()) }
    }

    pub(super) fn follow(&mut self, log: LogId, head: Seq, oldest: Seq) -> Followed {
        let Scalars { applied, log: known, .. } = self.scalars;
        let reached = applied == head || (applied < head && applied.next() >= oldest);
        match known {
            Some(known) if known == log && reached => return Followed::From(applied),
            Some(_) => {
                self.purges.clear();
                self.local.renounce();
            }
            None => {}
        }
        self.scalars = Scalars { log: Some(log), applied: head, dropped: head, ..self.scalars };
        (self.floor, self.cut) = (head, head);
        if known.is_some() { Followed::Anew(head) } else { Followed::From(head) }
    }

    pub(super) fn standing(&self, scope: &Scope, as_of: Seq, local: Local) -> Standing {
        if self.local.concern(scope, local) {
            return Standing::Hard;
        }
        // No purge is newer: prefixes of long paths need not be looked for after each invalidation.
        if as_of >= self.scalars.applied {
            return Standing::Live;
        }
        if as_of < self.cut {
            return Standing::Hard;
        }
        self.purges.standing(scope, as_of)
    }

    /// Is every mark still known that may concern what was stored then?
    pub(super) fn remembers(&self, as_of: Seq, local: Local) -> bool {
        as_of >= self.scalars.dropped && local.0 >= self.local.dropped()
    }

    pub(super) fn admits(&self, as_of: Seq, local: Local) -> bool {
        as_of >= self.floor && local.0 >= self.local.floor()
    }

    /// How many marks a sweep would drop.
    pub(super) fn droppable(&self) -> usize {
        self.purges.count_to(self.next_floor()) + self.local.droppable()
    }

    pub(super) fn begin_sweep(&mut self) -> Stamp {
        self.floor = self.next_floor();
        if self.oldest_fill() < self.floor {
            self.cut = self.floor;
        }
        Stamp { seq: self.floor, local: Local(self.local.begin_sweep()) }
    }

    fn next_floor(&self) -> Seq {
        let least = self.purges.leaving(MAX_HELD_BACK).min(self.scalars.applied);
        self.oldest_fill().max(least).max(self.floor)
    }

    fn oldest_fill(&self) -> Seq {
        self.fills.keys().next().copied().unwrap_or(self.scalars.applied).min(self.scalars.applied)
    }

    pub(super) fn end_sweep(&mut self, floor: Stamp) {
        self.local.end_sweep(floor.local.0);
        self.purges.drop_to(floor.seq);
        self.scalars.dropped = floor.seq.max(self.scalars.dropped);
    }
}

/// How many purge marks fills under way may hold back from being dropped: some 5 MB. What began before stores nothing
/// then: a download of ten hours costs no memory on a site that is purged every second.
pub(super) const MAX_HELD_BACK: usize = if cfg!(test) { 500 } else { 50_000 };
