//! Objects: a body, what its owner wants to know of it, and how far purges have been held against it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use holm_model::ids::Seq;
use holm_model::units::Timestamp;

use crate::marks::Local;
use crate::scope::Scope;
use crate::stamp::Stamp;

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
    body: Body,
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

/// A body as it is kept.
#[derive(Debug)]
pub(crate) enum Body {
    /// A small one: in memory of its own, to the byte. What it came in is often a piece of something larger, which would be
    /// kept with it and charged to no one.
    Exact(Box<[u8]>),
    /// A large one, as it came: what may be kept with it is little beside it. Or one that is not to stay in memory.
    AsItCame(Box<Bytes>),
}

/// The right to write an object to disk, given back where that comes to nothing.
#[derive(Debug)]
pub(crate) struct Claim<'a, M>(Option<&'a Object<M>>);

/// An object as the owner of the bytes of its body.
struct BodyOf<M>(Arc<Object<M>>);

impl<M> Object<M> {
    /// An object whose fetch began when purges up to `as_of` were applied, and local invalidations up to `local` seen.
    #[must_use]
    pub fn new(meta: M, body: Bytes, scope: Scope, as_of: Seq, local: Local) -> Self {
        Self::with(meta, Body::of(body), scope, as_of, local)
    }

    fn with(meta: M, body: Body, scope: Scope, as_of: Seq, local: Local) -> Self {
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

    /// An object that was on disk.
    pub(crate) fn restored(
        meta: M,
        body: Body,
        scope: Scope,
        as_of: Seq,
        stamp: Stamp,
        soft: Option<Timestamp>,
    ) -> Self {
        let object = Self { on_disk: AtomicBool::new(true), ..Self::with(meta, body, scope, as_of, stamp.local) };
        object.mark_checked(stamp, soft);
        object
    }

    /// The owner's metadata.
    pub fn meta(&self) -> &M {
        &self.meta
    }

    /// The body. The object stays while these bytes do.
    pub fn body(self: &Arc<Self>) -> Bytes
    where
        M: Send + Sync + 'static,
    {
        match &self.body {
            Body::Exact(bytes) if bytes.is_empty() => Bytes::new(),
            Body::Exact(_) => Bytes::from_owner(BodyOf(Arc::clone(self))),
            Body::AsItCame(bytes) => Bytes::clone(bytes),
        }
    }

    /// How long the body is, in bytes.
    pub fn body_len(&self) -> usize {
        self.body.as_ref().len()
    }

    /// What purges select it by.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The purges that were applied when the fetch began.
    pub fn as_of(&self) -> Seq {
        self.as_of
    }

    /// The purges that it is good for as it stands, stale or not: those that it was held against, unless a soft one of them
    /// has made it stale, which whoever stores it again must learn of.
    pub fn good_for(&self) -> Seq {
        // What it was held against comes first: a purge that counts in it has left its trace by then.
        let Stamp { seq, .. } = self.stamp();
        if self.soft_since().is_some() { self.as_of } else { seq }
    }

    /// Has it gone to disk, or is it about to?
    pub fn is_on_disk(&self) -> bool {
        self.on_disk.load(Ordering::Relaxed)
    }

    /// What it was held against. Whoever looks whether a soft purge has made it stale does so after this.
    pub(crate) fn stamp(&self) -> Stamp {
        let seq = Seq::new(self.checked.load(Ordering::Acquire));
        Stamp { seq, local: Local(self.checked_local.load(Ordering::Acquire)) }
    }

    pub(crate) fn soft_since(&self) -> Option<Timestamp> {
        match self.soft_since.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(Timestamp::from_millis(millis)),
        }
    }

    /// Remembers that every purge and invalidation up to here was held against the object, and a soft one that matched.
    pub(crate) fn mark_checked(&self, Stamp { seq, local }: Stamp, soft: Option<Timestamp>) {
        if let Some(since) = soft {
            let earliest = |old: u64| if old == 0 { since.as_millis() } else { old.min(since.as_millis()) };
            let _ = self.soft_since.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(earliest(old)));
        }
        self.checked.fetch_max(seq.get(), Ordering::Release);
        self.checked_local.fetch_max(local.0, Ordering::Release);
    }
}

impl<'a, M> Claim<'a, M> {
    /// `None`: somebody else has it. Costs one load then.
    pub(crate) fn of(object: &'a Object<M>) -> Option<Self> {
        let first = !object.is_on_disk() && !object.on_disk.swap(true, Ordering::Relaxed);
        // Made only where it is had: one that is dropped gives the right back.
        first.then(|| Self(Some(object)))
    }

    /// It has gone to disk.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl<M> Drop for Claim<'_, M> {
    fn drop(&mut self) {
        if let Some(object) = self.0 {
            object.on_disk.store(false, Ordering::Relaxed);
        }
    }
}

impl Body {
    pub(crate) fn as_it_came(bytes: Bytes) -> Self {
        Self::AsItCame(Box::new(bytes))
    }

    /// To be kept.
    pub(crate) fn of(bytes: Bytes) -> Self {
        if bytes.len() > EXACT {
            return Self::as_it_came(bytes);
        }
        let bytes = Vec::from(bytes);
        Self::Exact(if bytes.capacity() > bytes.len() { bytes.as_slice().into() } else { bytes.into() })
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Exact(bytes) => bytes,
            Self::AsItCame(bytes) => bytes,
        }
    }
}

impl<M> AsRef<[u8]> for BodyOf<M> {
    fn as_ref(&self) -> &[u8] {
        self.0.body.as_ref()
    }
}

impl<M: Meta> Object<M> {
    /// Bytes that it occupies in memory, with the index's share.
    pub fn weight(&self) -> u32 {
        let body = match &self.body {
            Body::Exact(bytes) => allocated(bytes.len()),
            Body::AsItCame(bytes) => allocated(bytes.len()) + SHARED_BYTES,
        };
        let own = allocated(size_of::<Self>() + 2 * size_of::<usize>());
        let bytes = body + own + self.meta.weight() + allocated(self.scope.weight()) + ENTRY_BYTES;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// What an allocation of so many bytes occupies: allocators keep places of a few sizes only, four between a power of two and
/// the next. Of a large one the last page is the only one that is not filled.
#[must_use]
pub const fn allocated(bytes: usize) -> usize {
    let step = match bytes {
        0..=128 => 16,
        129..=LARGE => bytes.next_power_of_two() / 8,
        _ => 4096,
    };
    bytes.next_multiple_of(step)
}

/// From here on allocations are counted in pages.
const LARGE: usize = 32 << 10;

/// What an entry costs beside its object: moka's key, bucket, entry, two lists' nodes and table are 245 bytes in six
/// allocations, 32 more where it has taken another's place; and what the allocator keeps for itself (measured: `cargo xtask
/// bench memory`).
const ENTRY_BYTES: usize = 320;

/// What bytes that are shared cost beside themselves.
const SHARED_BYTES: usize = 80;

/// The length up to which a body is small, in bytes.
const EXACT: usize = 64 << 10;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_allocations() {
        let check = |bytes: usize, expected: usize| assert_eq!(allocated(bytes), expected, "{bytes}");
        check(0, 0);
        check(1, 16);
        check(65, 80);
        check(128, 128);
        check(129, 160);
        check(256, 256);
        check(1024, 1024);
        check(1025, 1280);
        check(32 << 10, 32 << 10);
        check((32 << 10) + 1, 36 << 10);
        check((1 << 20) - 1, 1 << 20);
    }

    #[test]
    fn small_bodies_are_kept_to_the_byte() {
        let scope = || Scope::new(&"s".parse().unwrap(), "h", "/", None, &[]);
        let larger = Bytes::from(vec![7; 4096]);
        let object = Arc::new(Object::new((), larger.slice(10..20), scope(), Seq::ZERO, Local(0)));
        assert_eq!((object.body(), object.body_len()), (larger.slice(10..20), 10));
        assert!(matches!(&object.body, Body::Exact(bytes) if bytes.as_ptr() != larger[10..].as_ptr()));
        let body = object.body();
        drop(object);
        assert_eq!(body, larger.slice(10..20), "bytes outlive the cache's hold on them");
    }
}
