//! The index: where each object lies. 16 bytes an entry, in tables that are at least 7/16 full: at most 39 bytes an object.

use hashbrown::HashTable;
use hashbrown::hash_table;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::UNIT;

/// By tags of 64 bits. Two keys may share one: whoever reads compares the whole key.
#[derive(Debug)]
pub(super) struct Index {
    shards: Box<[Mutex<HashTable<Entry>>]>,
    /// By the number of their place.
    live: Box<[Live]>,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    /// The place's number.
    pub(super) place: u8,
    pub(super) slot: u32,
    pub(super) unit: u32,
    pub(super) units: u16,
}

/// What a place holds.
#[derive(Debug, Default)]
pub(super) struct Live {
    objects: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u64,
    packed: u64,
}

/// What the index knows a key by: all of its bits enter, for keys that belong together may differ in a few of either half.
/// The tag of a tag is itself.
#[expect(clippy::cast_possible_truncation, reason = "halves of the key")]
pub(super) fn tag(key: u128) -> u64 {
    key as u64 ^ mix((key >> 64) as u64)
}

/// The finaliser of SplitMix64, which leaves 0 as it is.
pub(super) fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl Index {
    pub(super) fn new(places: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(HashTable::new())).collect();
        Self { shards, live: (0..places).map(|_| Live::default()).collect() }
    }

    /// Makes room for so many entries.
    pub(super) fn reserve(&self, entries: usize) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            // Keys are spread evenly, but not quite: an eighth more would often double the table.
            shard.reserve(entries / SHARDS, |entry| entry.tag);
        }
    }

    pub(super) fn get(&self, tag: u64) -> Option<Location> {
        self.shard(tag).lock().find(tag, |entry| entry.tag == tag).map(|entry| Location::unpack(entry.packed))
    }

    /// The same, and it is in use.
    pub(super) fn used(&self, tag: u64) -> Option<Location> {
        let mut shard = self.shard(tag).lock();
        let entry = shard.find_mut(tag, |entry| entry.tag == tag)?;
        entry.packed |= USED;
        Some(Location::unpack(entry.packed))
    }

    /// Is it still there, and was it used? `None`: it is not there, or elsewhere.
    pub(super) fn used_at(&self, tag: u64, at: Location) -> Option<bool> {
        let shard = self.shard(tag).lock();
        let entry = shard.find(tag, |entry| entry.tag == tag)?;
        (Location::unpack(entry.packed) == at).then_some(entry.packed & USED != 0)
    }

    /// Puts it there; returns where it was.
    pub(super) fn insert(&self, tag: u64, at: Location) -> Option<Location> {
        self.insert_packed(Entry { tag, packed: at.pack() })
    }

    /// Puts what [`Index::dump`] gave into this place.
    pub(super) fn restore(&self, tag: u64, packed: u64, place: u8) -> Option<Location> {
        self.insert_packed(Entry { tag, packed: packed & !(PLACES - 1) | u64::from(place) })
    }

    /// Where that would be.
    pub(super) fn restored(packed: u64, place: u8) -> Location {
        Location { place, ..Location::unpack(packed) }
    }

    fn insert_packed(&self, new: Entry) -> Option<Location> {
        self.count(Location::unpack(new.packed), true);
        let mut shard = self.shard(new.tag).lock();
        match shard.entry(new.tag, |entry| entry.tag == new.tag, |entry| entry.tag) {
            hash_table::Entry::Occupied(mut held) => {
                let old = Location::unpack(std::mem::replace(held.get_mut(), new).packed);
                self.count(old, false);
                Some(old)
            }
            hash_table::Entry::Vacant(vacant) => {
                vacant.insert(new);
                None
            }
        }
    }

    pub(super) fn remove(&self, tag: u64) -> Option<Location> {
        let mut shard = self.shard(tag).lock();
        let (entry, _) = shard.find_entry(tag, |entry| entry.tag == tag).ok()?.remove();
        let at = Location::unpack(entry.packed);
        self.count(at, false);
        Some(at)
    }

    /// Removes it if it is still there. Returns whether it was.
    pub(super) fn remove_at(&self, tag: u64, at: Location) -> bool {
        let mut shard = self.shard(tag).lock();
        let found = shard.find_entry(tag, |entry| entry.tag == tag && Location::unpack(entry.packed) == at);
        let removed = found.map(hash_table::OccupiedEntry::remove).is_ok();
        if removed {
            self.count(at, false);
        }
        removed
    }

    /// Removes what `keep` does not want. Goes through everything.
    pub(super) fn retain(&self, mut keep: impl FnMut(u64, Location) -> bool) {
        for shard in &self.shards {
            shard.lock().retain(|entry| {
                let at = Location::unpack(entry.packed);
                let kept = keep(entry.tag, at);
                if !kept {
                    self.count(at, false);
                }
                kept
            });
        }
    }

    /// Everything of a place, some at a time: tags and packed locations, without the place.
    pub(super) fn dump(&self, place: u8, mut some: impl FnMut(&[(u64, u64)])) {
        let mut entries = Vec::new();
        for shard in &self.shards {
            entries.clear();
            let of_place = |entry: &&Entry| Location::unpack(entry.packed).place == place;
            let shard = shard.lock();
            entries.extend(shard.iter().filter(of_place).map(|entry| (entry.tag, entry.packed & !(PLACES - 1))));
            drop(shard);
            some(&entries);
        }
    }

    /// Objects, and bytes of records, of a place.
    pub(super) fn live(&self, place: u8) -> (u64, u64) {
        let live = &self.live[usize::from(place)];
        (live.objects.load(Ordering::Relaxed), live.bytes.load(Ordering::Relaxed))
    }

    /// Objects of all places.
    pub(super) fn len(&self) -> u64 {
        self.live.iter().map(|live| live.objects.load(Ordering::Relaxed)).sum()
    }

    /// Bytes of memory that the tables take.
    pub(super) fn memory(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().allocation_size() as u64).sum()
    }

    fn count(&self, at: Location, more: bool) {
        let Some(live) = self.live.get(usize::from(at.place)) else { return };
        let bytes = u64::from(at.units) * UNIT as u64;
        if more {
            live.objects.fetch_add(1, Ordering::Relaxed);
            live.bytes.fetch_add(bytes, Ordering::Relaxed);
        } else {
            live.objects.fetch_sub(1, Ordering::Relaxed);
            live.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// By bits that the tables look at last.
    fn shard(&self, tag: u64) -> &Mutex<HashTable<Entry>> {
        &self.shards[(tag >> 40) as usize % SHARDS]
    }
}

impl Location {
    /// place (6 bits), used (1), units (13), unit (15), slot (29).
    fn pack(self) -> u64 {
        u64::from(self.place) | u64::from(self.units) << 7 | u64::from(self.unit) << 20 | u64::from(self.slot) << 35
    }

    fn unpack(packed: u64) -> Self {
        Self {
            place: (packed & (PLACES - 1)) as u8,
            units: (packed >> 7 & 0x1fff) as u16,
            unit: (packed >> 20 & 0x7fff) as u32,
            slot: (packed >> 35) as u32,
        }
    }
}

/// As many places as there may be.
pub(super) const PLACES: u64 = 1 << 6;
const USED: u64 = 1 << 6;
const SHARDS: usize = 64;
/// Bytes of an entry and its part of the table, right after that has grown.
pub(super) const MOST_BYTES: u64 = 39;
