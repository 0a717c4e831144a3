//! Purge marks: what the entries of the purge log have left, by what they select.

use std::collections::HashMap;
use std::iter;

use holm_model::ids::Seq;
use holm_model::purge::{PurgeEntry, PurgeMode, Selector};
use holm_model::units::Timestamp;
use smallvec::SmallVec;

use super::Standing;
use crate::scope::{MarkId, Scope};

/// All purges that are still known.
#[derive(Debug, Default)]
pub(super) struct PurgeMarks {
    marks: HashMap<MarkId, Mark>,
    prefixes: usize,
}

/// All purges with one selector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) prefix: bool,
    pub(super) hard: Seq,
    pub(super) soft: Option<SoftMark>,
}

/// Soft purges with one selector: the latest counts, from the time of the first that is still kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SoftMark {
    pub(super) since: Timestamp,
    pub(super) last: Seq,
}

/// An entry of the log under the ids that it is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Purge {
    pub(super) seq: Seq,
    pub(super) mode: PurgeMode,
    pub(super) prefix: bool,
    pub(super) time: Timestamp,
    pub(super) ids: SmallVec<[MarkId; 4]>,
}

impl Purge {
    pub(super) fn of(entry: &PurgeEntry) -> Self {
        let own = MarkId::of(&entry.site, &entry.selector);
        Self {
            seq: entry.seq,
            mode: entry.mode,
            prefix: matches!(entry.selector, Selector::Prefix { .. }),
            time: entry.time,
            ids: iter::once(own).chain(MarkId::further(&entry.site, &entry.selector)).collect(),
        }
    }
}

impl PurgeMarks {
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (MarkId, Mark)> {
        self.marks.iter().map(|(id, mark)| (*id, *mark))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn note(&mut self, purge: &Purge) {
        for id in &purge.ids {
            let mark = self.marks.entry(*id).or_insert_with(|| Mark { prefix: purge.prefix, ..Mark::default() });
            self.prefixes += usize::from(purge.prefix && mark.last() == Seq::ZERO);
            match (purge.mode, &mut mark.soft) {
                (PurgeMode::Hard, _) => mark.hard = purge.seq,
                (PurgeMode::Soft, Some(soft)) => soft.last = purge.seq,
                (PurgeMode::Soft, none) => *none = Some(SoftMark { since: purge.time, last: purge.seq }),
            }
        }
    }

    /// Takes over a mark as it was.
    pub(super) fn restore(&mut self, id: MarkId, mark: Mark) {
        let before = self.marks.insert(id, mark);
        self.prefixes += usize::from(mark.prefix);
        self.prefixes -= usize::from(before.is_some_and(|before| before.prefix));
    }

    /// Forgets every mark up to `seq`.
    pub(super) fn drop_to(&mut self, seq: Seq) {
        self.marks.retain(|_, mark| mark.last() > seq);
        self.prefixes = self.marks.values().filter(|mark| mark.prefix).count();
    }

    /// How many marks are no newer than `seq`.
    pub(super) fn count_to(&self, seq: Seq) -> usize {
        self.marks.values().filter(|mark| mark.last() <= seq).count()
    }

    /// The least seq such that no more than `most` marks are newer.
    pub(super) fn leaving(&self, most: usize) -> Seq {
        let mut last: Vec<Seq> = self.marks.values().map(Mark::last).collect();
        match last.len().checked_sub(most + 1) {
            Some(at) => *last.select_nth_unstable(at).1,
            None => Seq::ZERO,
        }
    }

    /// What those after `as_of` leave of content of this scope.
    pub(super) fn standing(&self, scope: &Scope, as_of: Seq) -> Standing {
        let mut standing = Standing::Live;
        let own = [scope.site(), scope.path_only(), scope.with_query()];
        for id in own.into_iter().chain(scope.tags()) {
            standing = standing.and(self.mark(id, as_of));
        }
        if self.prefixes > 0 {
            for id in scope.prefixes() {
                standing = standing.and(self.mark(id, as_of));
            }
        }
        standing
    }

    fn mark(&self, id: MarkId, as_of: Seq) -> Standing {
        match self.marks.get(&id) {
            Some(mark) if mark.hard > as_of => Standing::Hard,
            Some(Mark { soft: Some(soft), .. }) if soft.last > as_of => Standing::Soft { since: soft.since },
            _ => Standing::Live,
        }
    }
}

impl Mark {
    fn last(&self) -> Seq {
        self.soft.map_or(self.hard, |soft| soft.last.max(self.hard))
    }
}

impl Standing {
    /// The graver of two.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Hard, _) | (_, Self::Hard) => Self::Hard,
            (Self::Soft { since: a }, Self::Soft { since: b }) => Self::Soft { since: a.min(b) },
            (Self::Live, other) => other,
            (soft, Self::Live) => soft,
        }
    }
}
