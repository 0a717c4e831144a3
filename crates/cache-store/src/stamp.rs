//! Stamps: against which purges and invalidations something was held.

use holm_model::ids::Seq;

use crate::marks::Local;

/// Held against every purge up to `seq` and every local invalidation up to `local`. Two counts that know nothing of each
/// other: of two stamps neither need be the greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// A position in the purge log.
    pub seq: Seq,
    /// A count of local invalidations.
    pub local: Local,
}

impl Stamp {
    /// Was it held against everything that `other` was held against?
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.seq >= other.seq && self.local >= other.local
    }

    /// The greater of each count.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { seq: self.seq.max(other.seq), local: self.local.max(other.local) }
    }

    /// The lesser of each count.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { seq: self.seq.min(other.seq), local: self.local.min(other.local) }
    }
}
