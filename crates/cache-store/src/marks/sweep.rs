//! Sweeps: marks are dropped once everything stored was held against them, and everything on its way is newer.
//!
//! A sweep of all that is stored goes so: [`Marks::begin_sweep`] raises the floor, from then on nothing older is stored;
//! the caller holds what is stored against the marks, in memory and on disk, and drops what they reject;
//! [`Marks::end_sweep`] drops the marks up to the floor. Where there is a disk its sweep is durable before `end_sweep`.

use std::sync::Arc;

use holm_model::ids::Seq;

use super::inner::MAX_HELD_BACK;
use super::{Local, Marks, Moment, Standing};
use crate::scope::Scope;
use crate::stamp::Stamp;

/// What a sweep is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepNeed {
    /// None: there are no marks, or nothing was marked since the last one.
    Nothing,
    /// One of the memory alone: frees what is rejected, and no mark is dropped, for the disk may hold what is older.
    Memory,
    /// One of everything, that drops marks.
    Everything,
}

/// A fetch under way, as the marks see it: they keep what it may have to obey until it is dropped.
#[derive(Debug)]
pub struct FillGuard {
    pub(super) marks: Arc<Marks>,
    pub(super) begun: Moment,
}

impl Marks {
    /// Which sweep is due, asked once before each. A disk is swept only when that drops `DISK_SWEEP_MARKS`: it costs
    /// reading the index of everything on it, and marks cost little.
    pub fn needs_sweep(&self, has_disk: bool) -> SweepNeed {
        let (count, droppable) = {
            let inner = self.inner.read();
            (inner.len(), inner.droppable())
        };
        let noted = std::mem::take(&mut self.inner.write().noted);
        match count {
            0 => SweepNeed::Nothing,
            _ if !has_disk || droppable >= DISK_SWEEP_MARKS => SweepNeed::Everything,
            _ if noted => SweepNeed::Memory,
            _ => SweepNeed::Nothing,
        }
    }

    /// Are there so many marks of purges that a sweep should not wait for its time? A sweep leaves half as many at most.
    pub fn presses(&self) -> bool {
        self.inner.read().purges.len() > 2 * MAX_HELD_BACK
    }

    /// Raises the floor to what every fill under way is newer than, or, where those hold back too many marks, further:
    /// from now on nothing older is stored.
    pub fn begin_sweep(&self) -> Stamp {
        self.inner.write().begin_sweep()
    }

    /// Drops the marks up to `floor`: every stored object is newer or was held against them.
    pub fn end_sweep(&self, floor: Stamp) {
        self.change(|inner| inner.end_sweep(floor));
    }

    /// May something that was held against the purges up to `as_of`, and the local invalidations up to `local`, be stored?
    /// Tells of this moment; where the answer must last until it is stored, see [`Marks::admit`].
    pub fn admits(&self, as_of: Seq, local: Local) -> bool {
        self.inner.read().admits(as_of, local)
    }

    /// Calls `insert` if something of then may be stored. The floor does not move meanwhile.
    pub(crate) fn admit<T>(&self, as_of: Seq, local: Local, insert: impl FnOnce() -> T) -> Option<T> {
        let inner = self.inner.read();
        inner.admits(as_of, local).then(insert)
    }

    /// Does a sweep of the disk keep what was stored there then? A soft purge rejects it too: nothing on disk can remember
    /// that purge once its mark is gone.
    pub fn keeps_on_disk(&self, scope: &Scope, as_of: Seq, local: Local) -> bool {
        self.standing_on_disk(scope, as_of, local) == Standing::Live
    }
}

impl FillGuard {
    /// When the fetch began.
    #[must_use]
    pub const fn begun(&self) -> Moment {
        self.begun
    }

    /// May an object of this fetch with this `as_of` be stored? See [`Marks::admits`].
    #[must_use]
    pub fn admits(&self, as_of: Seq) -> bool {
        self.marks.admits(as_of, self.begun.local)
    }

    /// Calls `insert` if an object of this fetch with this `as_of` may be stored. The floor does not move meanwhile.
    pub(crate) fn admit<T>(&self, as_of: Seq, insert: impl FnOnce() -> T) -> Option<T> {
        self.marks.admit(as_of, self.begun.local, insert)
    }
}

impl Drop for FillGuard {
    fn drop(&mut self) {
        let mut inner = self.marks.inner.write();
        inner.local.end_fill(self.begun.local);
        if let Some(count) = inner.fills.get_mut(&self.begun.applied) {
            *count -= 1;
            if *count == 0 {
                inner.fills.remove(&self.begun.applied);
            }
        }
    }
}

/// How many marks wait for a sweep of the disk: some 2 MB, and as much on the disk.
pub(crate) const DISK_SWEEP_MARKS: usize = if cfg!(test) { 200 } else { 20_000 };
