//! The memory tier: moka, weighed in bytes. A newcomer makes others go only if it was asked for more often than they
//! all together (TinyLFU, size-aware), so that a large one seldom costs a thousand small ones. `cargo xtask bench replay`
//! compares it with other policies.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use holm_model::units::ByteSize;
use moka::notification::RemovalCause;
use moka::sync::Cache;

use crate::marks::{FillGuard, Marks, Standing};
use crate::object::{Meta, Object};

/// Objects in memory, by 128-bit keys that are hashes already. Clones are of the same objects.
pub struct Memory<M: Meta> {
    objects: Tier<M>,
    evicted: Arc<AtomicU64>,
    capacity: ByteSize,
}

/// By key. `None` is there only while the tier is made: a placeholder.
type Tier<M> = Cache<u128, Option<Arc<Object<M>>>, BuildHasherDefault<KeyHasher>>;

/// Why an object was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Purges that may concern it are no longer known.
    #[error("the object is older than the purges that are still known")]
    BelowFloor,
    /// It does not fit.
    #[error("the object is larger than the memory tier takes")]
    TooLarge,
}

/// What the memory tier holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Objects.
    pub objects: u64,
    /// Bytes that they weigh.
    pub bytes: u64,
    /// Objects that made room for others since the start.
    pub evicted: u64,
}

impl<M: Meta> Clone for Memory<M> {
    fn clone(&self) -> Self {
        Self { objects: self.objects.clone(), evicted: Arc::clone(&self.evicted), capacity: self.capacity }
    }
}

impl<M: Meta> Memory<M> {
    /// An empty tier of this many bytes.
    #[must_use]
    pub fn new(capacity: ByteSize) -> Self {
        let evicted = Arc::new(AtomicU64::new(0));
        Self { objects: tier(capacity.get(), &evicted), evicted, capacity }
    }

    /// The largest object that it takes, in bytes.
    #[must_use]
    pub fn max_object(&self) -> u64 {
        self.capacity.get() / 8
    }

    /// How many objects it is made for.
    pub(crate) fn fits(&self) -> u64 {
        self.capacity.get() / MEAN_OBJECT
    }

    /// Is it larger than that?
    pub(crate) fn is_too_large(&self, object: &Object<M>) -> bool {
        u64::from(object.weight()) > self.max_object()
    }

    /// The object of this key.
    pub fn get(&self, key: u128) -> Option<Arc<Object<M>>> {
        self.objects.get(&key).flatten()
    }

    /// Is there an object of this key? Says nothing of its use to the replacement policy.
    pub fn contains(&self, key: u128) -> bool {
        self.objects.contains_key(&key)
    }

    /// Stores an object that the fetch of `guard` brought, in place of the key's former one.
    ///
    /// # Errors
    /// The object may not be, or can't be, stored; the former one then stays.
    pub fn insert(&self, key: u128, object: Arc<Object<M>>, guard: &FillGuard) -> Result<(), Refused> {
        if self.is_too_large(&object) {
            return Err(Refused::TooLarge);
        }
        let as_of = object.as_of();
        guard.admit(as_of, || self.objects.insert(key, Some(object))).ok_or(Refused::BelowFloor)
    }

    /// Takes in an object that another tier has, unless it does not fit or there is one of its key already. Not at the same
    /// time as another change of the key.
    pub(crate) fn promote(&self, key: u128, object: &Arc<Object<M>>) {
        if !self.is_too_large(object) && !self.contains(key) {
            self.objects.insert(key, Some(Arc::clone(object)));
        }
    }

    /// Drops the object of this key.
    pub fn remove(&self, key: u128) {
        self.objects.invalidate(&key);
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.objects.invalidate_all();
    }

    /// Holds every object against the marks, and frees what hard purges reject. Takes time in proportion to the number of
    /// objects: for a thread that may block.
    pub(crate) fn free_rejected(&self, marks: &Marks) {
        for (key, found) in &self.objects {
            if found.is_some_and(|object| marks.standing_of(&object) == Standing::Hard) {
                self.objects.invalidate(&*key);
            }
        }
        self.objects.run_pending_tasks();
    }

    /// What it holds, nearly: moka counts behind.
    pub fn stats(&self) -> MemoryStats {
        MemoryStats {
            objects: self.objects.entry_count(),
            bytes: self.objects.weighted_size(),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }
}

impl<M: Meta> std::fmt::Debug for Memory<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("capacity", &self.capacity).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

fn tier<M: Meta>(bytes: u64, evicted: &Arc<AtomicU64>) -> Tier<M> {
    let (count, placeholder) = (Arc::clone(evicted), Arc::new(AtomicU32::new(0)));
    let placeholders = Arc::clone(&placeholder);
    let tier = Cache::builder()
        .max_capacity(bytes)
        .weigher(move |_, object: &Option<Arc<Object<M>>>| match object {
            Some(object) => object.weight(),
            None => placeholders.load(Ordering::Relaxed),
        })
        .eviction_listener(move |_, _, cause| {
            if cause == RemovalCause::Size {
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
        .build_with_hasher(BuildHasherDefault::default());
    size_sketch(&tier, bytes, &placeholder);
    evicted.store(0, Ordering::Relaxed);
    tier
}

/// Has moka make its sketch of how often objects are asked for, for as many objects as of [`MEAN_OBJECT`] fit.
///
/// Left alone it makes it once half of the bytes are taken, for a quarter of the objects that will fit (moka 0.12.16,
/// `enable_frequency_sketch`: objects × weight ÷ capacity, where the inverse is meant). Frequencies are then halved too
/// early, and 3 to 5 of 100 requests are no hits that are with S3-FIFO. The same formula gives what is wanted while the
/// tier is empty: placeholders come in weighing nothing, and some of them then weigh more than the capacity.
fn size_sketch<M: Meta>(tier: &Tier<M>, capacity: u64, weight: &AtomicU32) {
    // Heavy ones × their weight × placeholders ÷ capacity = objects.
    let objects = u128::from(capacity / MEAN_OBJECT);
    let product = objects * u128::from(capacity) / u128::from(HEAVY);
    let heavy = u32::try_from(product / u128::from(HEAVY)).unwrap_or(u32::MAX);
    let placeholders = product.checked_div(u128::from(heavy)).unwrap_or_default();
    let placeholders = u64::try_from(placeholders).unwrap_or(u64::MAX).clamp(HEAVY, MOST_PLACEHOLDERS);
    for (weigh, count) in [(0, placeholders), (heavy, HEAVY)] {
        weight.store(weigh, Ordering::Relaxed);
        (0..count).for_each(|key| tier.insert(u128::from(key), None));
        tier.run_pending_tasks();
    }
    (0..placeholders).for_each(|key| tier.invalidate(&u128::from(key)));
    tier.run_pending_tasks();
}

/// Keys are hashes: their low half is as good as any hash of them.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// The size of an object that the sketch is made for, in bytes: twice as many as fit of 16 KiB, which is what moka needs
/// to keep up with S3-FIFO. Where objects are larger, frequencies are remembered for longer: a cache of objects of 30 KiB
/// follows a change of what is popular the more slowly.
const MEAN_OBJECT: u64 = 8 << 10;

/// How many placeholders become heavy: less than the 64 changes after which moka looks at its sketch.
const HEAVY: u64 = 60;

/// Enough for 40 GiB, and inserted in about a second; from 128 GiB on what moka does by itself would be more.
const MOST_PLACEHOLDERS: u64 = 1 << 20;

#[cfg(test)]
mod tests;
