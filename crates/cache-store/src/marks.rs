//! Purge marks: a purge costs one entry here, however many objects it hits; a look-up holds the object against them.
//!
//! An object is rejected if a matching purge is newer than the object's `as_of`. Marks are dropped once every object
//! and every fill under way is newer (the floor), and an insert below the floor is refused.

use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holm_model::ids::{LogId, Seq};
use holm_model::purge::{PurgeEntry, PurgeMode, Selector};
use holm_model::units::Timestamp;
use parking_lot::RwLock;

mod local;

use self::local::LocalMarks;
pub use self::local::{Changed, Local};
use crate::object::Object;
use crate::scope::{MarkId, Scope};

/// What the purges leave of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No purge concerns it.
    Live,
    /// Stale as of this instant.
    Soft {
        /// The purge's time.
        since: Timestamp,
    },
    /// Not to be served in any way.
    Hard,
}

/// The purges that a node has applied.
#[derive(Debug, Default)]
pub struct Marks {
    /// The highest seq applied, readable without the lock: a look-up of an object that was checked against it is done.
    applied: AtomicU64,
    /// The count of local invalidations, likewise.
    local: AtomicU64,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    marks: HashMap<MarkId, Mark>,
    prefixes: usize,
    applied: Seq,
    /// Marks up to here may have been dropped.
    floor: Seq,
    /// How many fills began at each seq and are still under way.
    fills: BTreeMap<Seq, usize>,
    log: Option<LogId>,
    local: LocalMarks,
    /// Grows when another log replaces this one: fills that began before store nothing.
    epoch: u64,
}

/// All purges with one selector.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    prefix: bool,
    hard: Seq,
    soft: Option<SoftMark>,
}

/// Soft purges with one selector: the latest counts, from the time of the first that is still kept.
#[derive(Debug, Clone, Copy)]
struct SoftMark {
    since: Timestamp,
    last: Seq,
}

impl Marks {
    /// No purges yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The highest seq whose effect look-ups see.
    pub fn applied(&self) -> Seq {
        Seq::new(self.applied.load(Ordering::Acquire))
    }

    /// How many marks are kept.
    pub fn len(&self) -> usize {
        let inner = self.inner.read();
        inner.marks.len() + inner.local.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Applies the next entry of the log. Once this returns no look-up misses it. One that was applied before changes
    /// nothing.
    pub fn apply(&self, entry: &PurgeEntry) {
        let mut inner = self.inner.write();
        if entry.seq <= inner.applied {
            return;
        }
        inner.note(entry);
        inner.applied = entry.seq;
        self.applied.store(entry.seq.get(), Ordering::Release);
    }

    /// Begins to follow a log from `applied` on. Returns whether everything held is to be dropped, because the log is
    /// another one than before; fills under way then store nothing.
    pub fn follow(&self, log: LogId, applied: Seq) -> bool {
        let mut inner = self.inner.write();
        let other = inner.log.is_some_and(|known| known != log);
        if other {
            inner.epoch += 1;
            inner.marks.clear();
            inner.prefixes = 0;
        }
        if other || inner.log.is_none() {
            inner.log = Some(log);
            inner.applied = applied;
            inner.floor = applied;
            self.applied.store(applied.get(), Ordering::Release);
        }
        other
    }

    /// The count of local invalidations.
    pub fn local(&self) -> Local {
        Local(self.local.load(Ordering::Acquire))
    }

    /// Something has changed at its origin: what was fetched of it before is not served any more. Gives the count of the
    /// change.
    pub fn invalidate(&self, changed: &[Changed<'_>]) -> Local {
        let mut inner = self.inner.write();
        self.note(&mut inner, changed)
    }

    /// The same for one who brings something of this scope, fetched as of `since`, that its own change is not to reject.
    /// `None` where something else has changed it since.
    pub fn invalidate_but(&self, changed: &[Changed<'_>], scope: &Scope, since: Local) -> Option<Local> {
        let mut inner = self.inner.write();
        let untouched = !inner.local.concern(scope, since);
        let local = self.note(&mut inner, changed);
        untouched.then_some(local)
    }

    fn note(&self, inner: &mut Inner, changed: &[Changed<'_>]) -> Local {
        let count = inner.local.note(changed);
        self.local.store(count, Ordering::Release);
        Local(count)
    }

    /// What the purges, and local invalidations, leave of content of this scope, fetched as of `as_of` and `local`.
    pub fn standing(&self, scope: &Scope, as_of: Seq, local: Local) -> Standing {
        if as_of.get() >= self.applied.load(Ordering::Acquire) && local.0 >= self.local.load(Ordering::Acquire) {
            return Standing::Live;
        }
        self.inner.read().standing(scope, as_of, local)
    }

    /// What the purges leave of an object. Two atomic loads where nothing was purged since the last look-up of it.
    pub fn standing_of<M>(&self, object: &Object<M>) -> Standing {
        let (checked, local) = object.checked();
        if checked.get() < self.applied.load(Ordering::Acquire) || local.0 < self.local.load(Ordering::Acquire) {
            let inner = self.inner.read();
            let checked_now = (inner.applied, Local(inner.local.count()));
            match inner.standing(object.scope(), checked, local) {
                Standing::Hard => return Standing::Hard,
                Standing::Soft { since } => object.mark_checked(checked_now, Some(since)),
                Standing::Live => object.mark_checked(checked_now, None),
            }
        }
        object.soft_since().map_or(Standing::Live, |since| Standing::Soft { since })
    }

    /// Is it a local invalidation, rather than a purge, that rejects the object?
    pub fn is_invalidated<M>(&self, object: &Object<M>) -> bool {
        self.inner.read().local.concern(object.scope(), object.checked().1)
    }

    /// A fetch begins: marks newer than now are kept until the guard is dropped.
    pub fn begin_fill(self: &Arc<Self>) -> FillGuard {
        let mut inner = self.inner.write();
        let (begun_at, epoch) = (inner.applied, inner.epoch);
        *inner.fills.entry(begun_at).or_default() += 1;
        let begun_local = inner.local.begin_fill();
        FillGuard { marks: Arc::clone(self), begun_at, begun_local, epoch }
    }

    /// Raises the floor to what every fill under way is newer than: from now on nothing older is stored. The caller then
    /// holds what is stored already against the marks, and calls [`Marks::end_sweep`].
    pub(crate) fn begin_sweep(&self) -> SweepFloor {
        let mut inner = self.inner.write();
        let oldest_fill = inner.fills.keys().next().copied().unwrap_or(inner.applied);
        inner.floor = oldest_fill.min(inner.applied).max(inner.floor);
        SweepFloor { seq: inner.floor, local: inner.local.begin_sweep() }
    }

    /// Drops the marks up to `floor`: every stored object is newer or was held against them.
    pub(crate) fn end_sweep(&self, floor: SweepFloor) {
        let mut inner = self.inner.write();
        inner.local.end_sweep(floor.local);
        inner.marks.retain(|_, mark| mark.last() > floor.seq);
        inner.prefixes = inner.marks.values().filter(|mark| mark.prefix).count();
    }
}

impl Inner {
    fn note(&mut self, entry: &PurgeEntry) {
        let own = MarkId::of(&entry.site, &entry.selector);
        for id in iter::once(own).chain(MarkId::further(&entry.site, &entry.selector)) {
            self.note_under(id, entry);
        }
    }

    fn note_under(&mut self, id: MarkId, entry: &PurgeEntry) {
        let prefix = matches!(entry.selector, Selector::Prefix { .. });
        let mark = self.marks.entry(id).or_insert_with(|| Mark { prefix, ..Mark::default() });
        self.prefixes += usize::from(prefix && mark.last() == Seq::ZERO);
        match (entry.mode, &mut mark.soft) {
            (PurgeMode::Hard, _) => mark.hard = entry.seq,
            (PurgeMode::Soft, Some(soft)) => soft.last = entry.seq,
            (PurgeMode::Soft, none) => *none = Some(SoftMark { since: entry.time, last: entry.seq }),
        }
    }

    fn standing(&self, scope: &Scope, as_of: Seq, local: Local) -> Standing {
        if self.local.concern(scope, local) {
            return Standing::Hard;
        }
        // No purge is newer: prefixes of long paths need not be looked for after each invalidation.
        if as_of >= self.applied {
            return Standing::Live;
        }
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

/// A fetch under way, as the marks see it.
#[derive(Debug)]
pub struct FillGuard {
    marks: Arc<Marks>,
    begun_at: Seq,
    begun_local: Local,
    epoch: u64,
}

/// What a sweep is done up to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SweepFloor {
    seq: Seq,
    local: u64,
}

impl FillGuard {
    /// The count of local invalidations when the fetch began.
    #[must_use]
    pub const fn begun_local(&self) -> Local {
        self.begun_local
    }

    /// Calls `insert` if an object of this fetch with this `as_of` may be stored. The floor does not move meanwhile.
    pub(crate) fn admit<T>(&self, as_of: Seq, insert: impl FnOnce() -> T) -> Option<T> {
        let inner = self.marks.inner.read();
        let above = as_of >= inner.floor && self.begun_local.0 >= inner.local.floor();
        (inner.epoch == self.epoch && above).then(insert)
    }
}

impl Drop for FillGuard {
    fn drop(&mut self) {
        let mut inner = self.marks.inner.write();
        inner.local.end_fill(self.begun_local);
        if let Some(count) = inner.fills.get_mut(&self.begun_at) {
            *count -= 1;
            if *count == 0 {
                inner.fills.remove(&self.begun_at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
