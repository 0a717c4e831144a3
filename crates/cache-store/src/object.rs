//! Objects: a body, what its owner wants to know of it, and how far purges have been held against it.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use holm_model::ids::Seq;
use holm_model::units::Timestamp;

use crate::marks::Local;
use crate::scope::Scope;

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
}

impl<M> Object<M> {
    /// An object whose fetch began when purges up to `as_of` were applied, and local invalidations up to `local` seen.
    #[must_use]
    pub fn new(meta: M, body: Bytes, scope: Scope, as_of: Seq, local: Local) -> Self {
        let (checked, checked_local) = (AtomicU64::new(as_of.get()), AtomicU64::new(local.0));
        Self { meta, body, scope, as_of, checked, checked_local, soft_since: AtomicU64::new(0) }
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
