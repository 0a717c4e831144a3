//! What a disk tier tells of itself.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::io::Engine;
use super::place::Place;
use super::tier::Tier;
use crate::disk::Disk;

/// Sums over all places; what was counted, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Objects that are found, including those that are not written yet.
    pub objects: u64,
    /// Bytes of their records on the devices that work.
    pub bytes: u64,
    /// Bytes that segments have on the devices that work.
    pub capacity: u64,
    /// Records written to the devices, without tombstones and those that were moved.
    pub written: u64,
    /// Bytes written to the devices, all in all.
    pub written_bytes: u64,
    /// Records that were moved on when their segment was reclaimed.
    pub reinserted: u64,
    /// Objects dropped because their segment was reclaimed.
    pub reclaimed: u64,
    /// Records that were not accepted.
    pub refused: u64,
    /// Look-ups that were not read because too many waited for others already.
    pub shed: u64,
    /// Reads that the device failed.
    pub read_errors: u64,
    /// Records that were read and turned out to be damaged, or could not be read, and were dropped.
    pub damaged: u64,
    /// Bytes of memory that the index takes.
    pub index_bytes: u64,
    /// One by one.
    pub places: Vec<PlaceStats>,
}

/// What one place holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceStats {
    /// Which.
    pub path: PathBuf,
    /// Is it in use?
    pub healthy: bool,
    /// Is it read through io_uring, rather than by threads?
    pub io_uring: bool,
    /// Objects in its index.
    pub objects: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Bytes that its segments have.
    pub capacity: u64,
}

impl Disk {
    /// What it holds and has done.
    pub fn stats(&self) -> DiskStats {
        self.tier.stats()
    }

    /// Does it hold nothing? Costs less than [`Disk::stats`].
    pub fn is_empty(&self) -> bool {
        self.tier.is_empty()
    }
}

impl Tier {
    fn is_empty(&self) -> bool {
        let healthy = self.places.iter().filter(|place| place.is_healthy());
        healthy
            .into_iter()
            .all(|place| self.index.live(place.number).0 == 0 && place.queue.count_pending(|_| true) == 0)
    }

    fn stats(&self) -> DiskStats {
        let sum =
            |of: fn(&Place) -> &AtomicU64| self.places.iter().map(|place| of(place).load(Ordering::Relaxed)).sum();
        let places: Vec<_> = self.places.iter().map(|place| self.place_stats(place)).collect();
        let healthy = || places.iter().filter(|place| place.healthy);
        let pending: usize = self.places.iter().map(|place| self.pending_objects(place)).sum();
        DiskStats {
            objects: healthy().map(|place| place.objects).sum::<u64>() + pending as u64,
            bytes: healthy().map(|place| place.bytes).sum(),
            capacity: healthy().map(|place| place.capacity).sum(),
            written: sum(|place| &place.counts.written),
            written_bytes: sum(|place| &place.counts.written_bytes),
            reinserted: sum(|place| &place.counts.reinserted),
            reclaimed: sum(|place| &place.counts.reclaimed),
            refused: self.refused.load(Ordering::Relaxed),
            shed: self.shed.load(Ordering::Relaxed),
            read_errors: sum(|place| &place.counts.read_errors),
            damaged: sum(|place| &place.counts.damaged),
            index_bytes: self.index.memory(),
            places,
        }
    }

    fn place_stats(&self, place: &Place) -> PlaceStats {
        let (objects, bytes) = self.index.live(place.number);
        PlaceStats {
            path: place.path.clone(),
            healthy: place.is_healthy(),
            io_uring: place.file.engine() == Engine::Ring,
            objects,
            bytes,
            capacity: place.shape.capacity(),
        }
    }

    /// Those that are to be written and have no earlier version in the index.
    fn pending_objects(&self, place: &Place) -> usize {
        place.queue.count_pending(|tag| self.index.get(tag).is_none())
    }
}
