//! Purge marks: a purge costs one entry here, however many objects it hits; a look-up holds the object against them.
//!
//! An object is rejected if a matching purge is newer than the object's `as_of`. Marks are dropped once every object
//! and every fill under way is newer (the floor), and an insert below the floor is refused. Where a disk tier outlives the
//! process the marks do too, in a journal beside it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holm_model::ids::{LogId, Seq};
use holm_model::purge::PurgeEntry;
use holm_model::units::Timestamp;
use parking_lot::RwLock;
use smallvec::SmallVec;

mod inner;
mod journal;
mod local;
mod purges;
mod sweep;

use self::inner::Inner;
use self::journal::{Journal, Turn, format};
pub use self::journal::{JournalAlert, JournalError, OnAlert};
use self::local::Change;
pub use self::local::{Changed, Local};
use self::purges::Purge;
#[cfg(test)]
pub(crate) use self::sweep::DISK_SWEEP_MARKS;
pub use self::sweep::{FillGuard, SweepNeed};
use crate::object::Object;
use crate::scope::Scope;
use crate::stamp::Stamp;

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
    inner: Arc<RwLock<Inner>>,
    /// Where they outlive the process.
    journal: Option<Journal>,
}

/// Marks that were opened beside a disk tier.
#[derive(Debug)]
pub struct Opened {
    /// The marks.
    pub marks: Arc<Marks>,
    /// Is it known what purges concern what the disk holds? Where not, the caller drops all of it, durably, and then calls
    /// [`Marks::vouch`].
    pub known: bool,
}

/// A moment, as the marks count: what is fetched from then on is newer than every purge and invalidation up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The log that `applied` counts in.
    pub log: Option<LogId>,
    /// Purges.
    pub applied: Seq,
    /// Local invalidations.
    pub local: Local,
}

/// Where a node that begins to follow a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// The entries after this one are still to be applied: what is held was held against those before, or is newer.
    From(Seq),
    /// Everything held is purged, and what comes after this entry is to be applied: the log is another one than before, or
    /// no longer reaches back to what was applied. No look-up finds what was held any more, on disk neither, nor does a
    /// restart bring it back; the caller drops it for its space.
    Anew(Seq),
}

impl Marks {
    /// No purges yet, and none that outlive the process.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let marks = Self::default();
        marks.inner.write().scalars.vouched = true;
        Arc::new(marks)
    }

    /// The marks whose journal is in this folder, or new ones. `alert` is told when the journal fails. Blocks.
    ///
    /// # Errors
    /// The folder can't be used, or another process uses it.
    pub fn open(folder: &Path, alert: OnAlert) -> Result<Opened, JournalError> {
        let (journal, inner, known) = Journal::open(folder, alert)?;
        let (applied, local) = {
            let inner = inner.read();
            (AtomicU64::new(inner.scalars.applied.get()), AtomicU64::new(inner.local.count()))
        };
        Ok(Opened { marks: Arc::new(Self { applied, local, inner, journal: Some(journal) }), known })
    }

    /// Nothing is on disk but what is stored from now on: a restart may believe the journal.
    pub fn vouch(&self) {
        self.change(|inner| inner.scalars.vouched = true);
    }

    /// What is on disk is not to be believed after a restart. Returns whether the next start is sure to know. Blocks.
    pub(crate) fn disavow(&self) -> bool {
        if self.inner.read().scalars.vouched {
            self.change(|inner| inner.scalars.vouched = false);
        }
        self.flush()
    }

    /// As if the journal could be neither written nor erased.
    #[cfg(test)]
    pub(crate) fn go_astray(&self) {
        self.journal.iter().for_each(Journal::go_astray);
    }

    /// Would a restart believe a journal that does not have everything? Then nothing is to be on disk that outlives us.
    pub(crate) fn is_astray(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_astray)
    }

    /// Has the journal what the marks know on the device when this returns? It is written behind within 100 ms otherwise.
    /// `true` where there is none. Blocks.
    pub fn flush(&self) -> bool {
        self.journal.as_ref().is_none_or(Journal::flush)
    }

    /// The highest seq whose effect look-ups see.
    pub fn applied(&self) -> Seq {
        Seq::new(self.applied.load(Ordering::Acquire))
    }

    /// The log that is followed. [`Marks::applied`] counts in no other.
    pub fn log(&self) -> Option<LogId> {
        self.inner.read().scalars.log
    }

    /// This moment.
    pub fn moment(&self) -> Moment {
        self.inner.read().moment()
    }

    /// How many marks are kept.
    pub fn len(&self) -> usize {
        self.inner.read().len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Applies the next entry of the log. Once this returns no look-up misses it, and the journal has it. One that was
    /// applied before changes nothing.
    pub fn apply(&self, entry: &PurgeEntry) {
        self.apply_all(std::slice::from_ref(entry));
    }

    /// Applies the next entries of the log, in their order: the journal is written once for [`AT_ONCE`] of them.
    pub fn apply_all(&self, entries: &[PurgeEntry]) {
        for entries in entries.chunks(AT_ONCE) {
            let purges: Vec<Purge> = entries.iter().map(Purge::of).collect();
            let mut turn = self.turn();
            let newer = purges.partition_point(|purge| purge.seq <= self.applied());
            let (Some(last), purges) = (purges.last(), &purges[newer..]) else { continue };
            if let Some(turn) = turn.as_mut().filter(|_| !purges.is_empty()) {
                turn.append(|out| format::purges(out, purges));
            }
            let mut inner = self.inner.write();
            for purge in purges {
                inner.purges.note(purge);
            }
            inner.noted |= !purges.is_empty();
            inner.scalars.applied = last.seq.max(inner.scalars.applied);
            self.applied.store(inner.scalars.applied.get(), Ordering::Release);
        }
    }

    /// Begins to follow a log whose last entry is `head` and whose first that is still there is `oldest`
    /// ([`Seq::ZERO`]: it has none).
    pub fn follow(&self, log: LogId, head: Seq, oldest: Seq) -> Followed {
        let mut turn = self.turn();
        let mut inner = self.inner.write();
        let followed = inner.follow(log, head, oldest);
        self.local.store(inner.local.count(), Ordering::Release);
        self.applied.store(inner.scalars.applied.get(), Ordering::Release);
        if let Some(turn) = &mut turn {
            turn.append(|out| format::state(out, &inner, matches!(followed, Followed::Anew(_))));
        }
        followed
    }

    /// The count of local invalidations.
    pub fn local(&self) -> Local {
        Local(self.local.load(Ordering::Acquire))
    }

    /// Something has changed at its origin: what was fetched of it before is not served any more. Gives the count of the
    /// change. The journal has it when this returns; what the machine's power takes within 100 ms is lost.
    pub fn invalidate(&self, changed: &[Changed<'_>]) -> Local {
        self.note(changed, |_| ()).0
    }

    /// The same for one who brings something of this scope, fetched as of `since`, that its own change is not to reject.
    /// `None` where something else has changed it since.
    pub fn invalidate_but(&self, changed: &[Changed<'_>], scope: &Scope, since: Local) -> Option<Local> {
        let (local, untouched) = self.note(changed, |inner| !inner.local.concern(scope, since));
        untouched.then_some(local)
    }

    fn note<T>(&self, changed: &[Changed<'_>], before: impl FnOnce(&Inner) -> T) -> (Local, T) {
        let changes: SmallVec<[Change; 8]> = changed.iter().flat_map(Changed::ids).collect();
        let mut turn = self.turn();
        if let Some(turn) = &mut turn {
            let count = self.local().0 + 1;
            turn.append(|out| format::changes(out, count, &changes));
        }
        let mut inner = self.inner.write();
        let before = before(&inner);
        let count = inner.local.count() + 1;
        inner.local.note(count, changes);
        inner.noted = true;
        self.local.store(count, Ordering::Release);
        (Local(count), before)
    }

    /// What the purges, and local invalidations, leave of content of this scope, fetched as of `as_of` and `local`.
    pub fn standing(&self, scope: &Scope, as_of: Seq, local: Local) -> Standing {
        if as_of.get() >= self.applied.load(Ordering::Acquire) && local.0 >= self.local.load(Ordering::Acquire) {
            return Standing::Live;
        }
        self.inner.read().standing(scope, as_of, local)
    }

    /// The same of what a disk holds, or of what was read from it and is on its way: a sweep may have dropped marks
    /// meanwhile, so what is older than those counts as purged.
    pub fn standing_on_disk(&self, scope: &Scope, as_of: Seq, local: Local) -> Standing {
        let inner = self.inner.read();
        if inner.remembers(as_of, local) { inner.standing(scope, as_of, local) } else { Standing::Hard }
    }

    /// What the purges leave of an object. Two atomic loads where nothing was purged since the last look-up of it. One that
    /// was in nobody's store while a sweep dropped marks that it was not held against counts as purged.
    pub fn standing_of<M>(&self, object: &Object<M>) -> Standing {
        let Stamp { seq: checked, local } = object.stamp();
        if checked.get() < self.applied.load(Ordering::Acquire) || local.0 < self.local.load(Ordering::Acquire) {
            let inner = self.inner.read();
            let checked_now = Stamp { seq: inner.scalars.applied, local: Local(inner.local.count()) };
            let known = inner.remembers(checked, local);
            let standing = if known { inner.standing(object.scope(), checked, local) } else { Standing::Hard };
            match standing {
                Standing::Hard => return Standing::Hard,
                Standing::Soft { since } => object.mark_checked(checked_now, Some(since)),
                Standing::Live => object.mark_checked(checked_now, None),
            }
        }
        object.soft_since().map_or(Standing::Live, |since| Standing::Soft { since })
    }

    /// Is it a local invalidation, rather than a purge, that rejects the object?
    pub fn is_invalidated<M>(&self, object: &Object<M>) -> bool {
        self.inner.read().local.concern(object.scope(), object.stamp().local)
    }

    /// A fetch begins: marks newer than now are kept until the guard is dropped.
    pub fn begin_fill(self: &Arc<Self>) -> FillGuard {
        let mut inner = self.inner.write();
        let begun = inner.moment();
        *inner.fills.entry(begun.applied).or_default() += 1;
        inner.local.begin_fill();
        FillGuard { marks: Arc::clone(self), begun }
    }

    /// Changes something that the journal keeps as a number.
    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut turn = self.turn();
        let mut inner = self.inner.write();
        change(&mut inner);
        if let Some(turn) = &mut turn {
            turn.append(|out| format::state(out, &inner, false));
        }
    }

    /// The right to change the marks, where the journal has to see changes in their order. Look-ups do not wait for it.
    fn turn(&self) -> Option<Turn<'_>> {
        self.journal.as_ref().map(Journal::turn)
    }
}

/// Entries that are applied under one lock, and one write to the journal.
pub const AT_ONCE: usize = 128;

#[cfg(test)]
mod tests;
