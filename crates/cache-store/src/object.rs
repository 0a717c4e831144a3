//! Objects: a body, what its owner wants to know of it, and how far purges have been held against it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use holm_model::ids::Seq;
use holm_model::units::Timestamp;

use crate::marks::Local;
use crate::scope::Scope;

/// What the owner of the store wants to know of an object.
pub trait Meta: Send + Sync + Sized + 'static {
    /// Adds the form in which it outlives the process, with a version. `false` for what is not for disk.
    fn encode(&self, out: &mut Vec<u8>) -> bool;

    /// Reads what [`Meta::encode`] wrote, or anything: `None` where it is not valid in every part. What it keeps may be
    /// slices of `bytes`.
    fn decode(bytes: &Bytes) -> Option<Self>;

    /// Bytes that it occupies beside itself.
    fn weight(&self) -> usize;
}

/// A stored object.
#[derive(Debug)]
pub struct Object<M> {
    meta: M,
    body: Bytes,
    scope: Scope,
    as_of: Seq,
    /// No purge up to this seq rejects the object.
    checked: AtomicU64,
    /// No local invalidation up to this count rejects it.
    checked_local: AtomicU64,
    /// When a soft purge made it stale, in milliseconds since the epoch; 0 for never.
    soft_since: AtomicU64,
    /// It went to disk, or is about to.
    on_disk: AtomicBool,
}

impl<M> Object<M> {
    /// An object whose fetch began when purges up to `as_of` were applied, and local invalidations up to `local` seen.
    #[must_use]
    pub fn new(meta: M, body: Bytes, scope: Scope, as_of: Seq, local: Local) -> Self {
        let (checked, checked_local) = (AtomicU64::new(as_of.get()), AtomicU64::new(local.0));
        Self {
            meta,
            body,
            scope,
            as_of,
            checked,
            checked_local,
            soft_since: AtomicU64::new(0),
            on_disk: AtomicBool::new(false),
        }
    }

    /// The owner's metadata.
    pub fn meta(&self) -> &M {
        &self.meta
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What purges select it by.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The purges that were applied when the fetch began.
    pub fn as_of(&self) -> Seq {
        self.as_of
    }

    /// Is the caller the first that wants to write it to disk? Costs one load where it is not.
    pub fn claim_for_disk(&self) -> bool {
        !self.on_disk.load(Ordering::Relaxed) && !self.on_disk.swap(true, Ordering::Relaxed)
    }

    /// Gives the claim back: it did not go to disk after all.
    pub fn unclaim_for_disk(&self) {
        self.on_disk.store(false, Ordering::Relaxed);
    }

    pub(crate) fn checked(&self) -> (Seq, Local) {
        (Seq::new(self.checked.load(Ordering::Relaxed)), Local(self.checked_local.load(Ordering::Relaxed)))
    }

    pub(crate) fn soft_since(&self) -> Option<Timestamp> {
        match self.soft_since.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(Timestamp::from_millis(millis)),
        }
    }

    /// Remembers that every purge and invalidation up to here was held against the object, and a soft one that matched.
    pub(crate) fn mark_checked(&self, (seq, local): (Seq, Local), soft: Option<Timestamp>) {
        if let Some(since) = soft {
            let earliest = |old: u64| if old == 0 { since.as_millis() } else { old.min(since.as_millis()) };
            let _ = self.soft_since.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(earliest(old)));
        }
        self.checked.fetch_max(seq.get(), Ordering::Release);
        self.checked_local.fetch_max(local.0, Ordering::Release);
    }
}

impl<M: Meta> Object<M> {
    /// Bytes that it occupies in memory, with the index's share.
    pub fn weight(&self) -> u32 {
        let bytes = self.body.len() + self.meta.weight() + self.scope.weight() + ENTRY_BYTES;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// What an entry costs beside its bytes: the object, its metadata and moka's node (measured as about 500).
const ENTRY_BYTES: usize = 512;

#[cfg(test)]
mod testing {
    use super::{Bytes, Meta};

    impl Meta for () {
        fn encode(&self, _: &mut Vec<u8>) -> bool {
            true
        }

        fn decode(bytes: &Bytes) -> Option<Self> {
            bytes.is_empty().then_some(())
        }

        fn weight(&self) -> usize {
            0
        }
    }

    impl Meta for u64 {
        fn encode(&self, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(&self.to_le_bytes());
            true
        }

        fn decode(bytes: &Bytes) -> Option<Self> {
            Some(Self::from_le_bytes(bytes.as_ref().try_into().ok()?))
        }

        fn weight(&self) -> usize {
            0
        }
    }
}
