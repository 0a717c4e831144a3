//! The memory tier: moka, weighed in bytes. Small and large objects live in caches of their own, for moka chooses its
//! victims without regard to weight: one large newcomer would cost a thousand small ones.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holm_model::units::ByteSize;
use moka::notification::RemovalCause;
use moka::sync::Cache;

use crate::marks::{FillGuard, Marks, Standing};
use crate::object::{Meta, Object};

/// Objects in memory, by 128-bit keys that are hashes already.
pub struct Memory<M: Meta> {
    small: Tier<M>,
    large: Tier<M>,
    evicted: Arc<AtomicU64>,
    capacity: ByteSize,
}

type Tier<M> = Cache<u128, Arc<Object<M>>, BuildHasherDefault<KeyHasher>>;

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

impl<M: Meta> Memory<M> {
    /// An empty tier of this many bytes.
    #[must_use]
    pub fn new(capacity: ByteSize) -> Self {
        let evicted = Arc::new(AtomicU64::new(0));
        let small = capacity.get() / 10 * SMALL_TENTHS;
        Self { small: tier(small, &evicted), large: tier(capacity.get() - small, &evicted), evicted, capacity }
    }

    /// The largest object that it takes, in bytes.
    #[must_use]
    pub fn max_object(&self) -> u64 {
        self.capacity.get() / 8
    }

    /// The object of this key.
    pub fn get(&self, key: u128) -> Option<Arc<Object<M>>> {
        self.small.get(&key).or_else(|| self.large.get(&key))
    }

    /// Is there an object of this key? Says nothing of its use to the replacement policy.
    pub fn contains(&self, key: u128) -> bool {
        self.small.contains_key(&key) || self.large.contains_key(&key)
    }

    /// Stores an object that the fetch of `guard` brought, in place of the key's former one.
    ///
    /// # Errors
    /// The object may not be, or can't be, stored; the former one then stays.
    pub fn insert(&self, key: u128, object: Arc<Object<M>>, guard: &FillGuard) -> Result<(), Refused> {
        let weight = object.weight();
        if u64::from(weight) > self.max_object() {
            return Err(Refused::TooLarge);
        }
        let as_of = object.as_of();
        guard.admit(as_of, || self.put(key, object, weight)).ok_or(Refused::BelowFloor)
    }

    /// Takes in an object that another tier has, unless it does not fit.
    pub(crate) fn promote(&self, key: u128, object: &Arc<Object<M>>) {
        let weight = object.weight();
        if u64::from(weight) <= self.max_object() {
            self.put(key, Arc::clone(object), weight);
        }
    }

    fn put(&self, key: u128, object: Arc<Object<M>>, weight: u32) {
        let (into, other) =
            if weight <= SMALL_OBJECT { (&self.small, &self.large) } else { (&self.large, &self.small) };
        into.insert(key, object);
        other.invalidate(&key);
    }

    /// Drops the object of this key.
    pub fn remove(&self, key: u128) {
        self.small.invalidate(&key);
        self.large.invalidate(&key);
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.small.invalidate_all();
        self.large.invalidate_all();
    }

    /// Holds every object against the marks, and frees what hard purges reject. Takes time in proportion to the number of
    /// objects: for a thread that may block.
    pub(crate) fn free_rejected(&self, marks: &Marks) {
        for tier in [&self.small, &self.large] {
            for (key, found) in tier {
                if marks.standing_of(&found) == Standing::Hard {
                    tier.invalidate(&*key);
                }
            }
            tier.run_pending_tasks();
        }
    }

    /// What it holds, nearly: moka counts behind.
    pub fn stats(&self) -> MemoryStats {
        MemoryStats {
            objects: self.small.entry_count() + self.large.entry_count(),
            bytes: self.small.weighted_size() + self.large.weighted_size(),
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
    let evicted = Arc::clone(evicted);
    Cache::builder()
        .max_capacity(bytes)
        .weigher(|_, object: &Arc<Object<M>>| object.weight())
        .eviction_listener(move |_, _, cause| {
            if cause == RemovalCause::Size {
                evicted.fetch_add(1, Ordering::Relaxed);
            }
        })
        .build_with_hasher(BuildHasherDefault::default())
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

/// The weight up to which an object is small, in bytes: most of what a web page consists of.
const SMALL_OBJECT: u32 = 64 << 10;

/// The small objects' share of the memory, in tenths.
const SMALL_TENTHS: u64 = 4;
