//! Admission: may something be stored, or given, without a purge that concerns it having been forgotten?

use crate::disk::Stamp;
use crate::marks::{Marks, SweepFloor};

impl Marks {
    /// Calls `store` if something that was held against the purges up to `stamp` may be stored. No sweep begins meanwhile.
    pub(crate) fn admit<T>(&self, stamp: Stamp, store: impl FnOnce() -> T) -> Option<T> {
        let inner = self.inner.read();
        (stamp.seq >= inner.floor && stamp.local.0 >= inner.local.floor()).then(store)
    }

    /// May something that was held against the purges up to `stamp` be stored?
    pub(crate) fn admits(&self, stamp: Stamp) -> bool {
        self.admit(stamp, || ()).is_some()
    }

    /// Grows whenever all that is stored is to be dropped.
    pub(crate) fn epoch(&self) -> u64 {
        self.inner.read().epoch
    }

    /// Calls `give` unless all that was stored in `epoch` is to be dropped.
    pub(crate) fn in_epoch<T>(&self, epoch: u64, give: impl FnOnce() -> T) -> Option<T> {
        (self.inner.read().epoch == epoch).then(give)
    }
}

impl Marks {
    /// Are there so many marks that what is on disk is worth being held against them?
    pub(crate) fn needs_sweep(&self) -> bool {
        self.len() > 4096
    }
}

impl SweepFloor {
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { seq: self.seq, local: crate::marks::Local(self.local) }
    }
}
