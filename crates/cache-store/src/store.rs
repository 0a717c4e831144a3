//! The store: objects in memory and on disk, held against one set of purge marks.
//!
//! Memory answers at once. What is on disk alone is *found*: read without blocking, held against the marks, and offered a
//! place in memory. An object is written to disk when it has been asked for twice, or at once where its owner says so.

mod find;
mod ghost;
mod open;
mod record;
mod turns;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use holm_model::manifest::DiskAdmission;
use holm_model::units::ByteSize;

use self::ghost::Ghost;
pub use self::open::{StoreAlert, StoreError};
use self::turns::Turns;
use crate::disk::{Disk, DiskStats, SweepEntry};
use crate::marks::{FillGuard, Marks, SweepNeed};
use crate::memory::{Memory, MemoryStats, Refused};
use crate::object::{Claim, Meta, Object};
use crate::scope::Scope;
use crate::stamp::Stamp;

/// Objects by 128-bit keys that are hashes already.
pub struct Store<M: Meta> {
    memory: Memory<M>,
    disk: Option<Arc<Disk>>,
    /// Asked for once.
    ghost: Ghost,
    /// Read from disk once.
    read_lately: Ghost,
    turns: Turns<M>,
    marks: Arc<Marks>,
    /// Bytes that the disk tier may take.
    capacity: ByteSize,
}

/// What the store holds.
#[derive(Debug, Clone, Default)]
pub struct StoreStats {
    /// In memory.
    pub memory: MemoryStats,
    /// On disk, where there is one.
    pub disk: Option<DiskStats>,
}

impl<M: Meta> Store<M> {
    /// An empty store in memory alone.
    #[must_use]
    pub fn new(memory: ByteSize, marks: Arc<Marks>) -> Self {
        let (memory, capacity) = (Memory::new(memory), ByteSize::bytes(0));
        Self {
            memory,
            disk: None,
            ghost: Ghost::new(0),
            read_lately: Ghost::new(0),
            turns: Turns::new(),
            marks,
            capacity,
        }
    }

    /// The purges that its objects are held against.
    pub const fn marks(&self) -> &Arc<Marks> {
        &self.marks
    }

    /// Is there a disk tier?
    pub const fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// The largest object that memory takes, in bytes.
    #[must_use]
    pub fn max_in_memory(&self) -> u64 {
        self.memory.max_object()
    }

    /// The largest body, in slices, that is kept on disk, in bytes.
    #[must_use]
    pub const fn max_on_disk(&self) -> u64 {
        self.capacity.get() / LARGEST_ON_DISK
    }

    /// Does it hold nothing on disk?
    pub fn is_empty(&self) -> bool {
        self.disk.as_ref().is_none_or(|disk| disk.is_empty())
    }

    /// The object of this key, if it is in memory.
    pub fn get(&self, key: u128) -> Option<Arc<Object<M>>> {
        self.memory.get(key)
    }

    /// Is there an object of this key on disk?
    pub fn on_disk(&self, key: u128) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.contains(key))
    }

    /// Is there an object of this key? Says nothing of its use to the replacement policy.
    pub fn contains(&self, key: u128) -> bool {
        self.memory.contains(key) || self.on_disk(key)
    }

    /// Stores an object that the fetch of `guard` brought, in place of the key's former one. One that memory has no room for
    /// is stored where the disk takes it.
    ///
    /// # Errors
    /// The object may not be, or can't be, stored. One that is too large leaves nothing under the key.
    pub fn insert(
        &self,
        key: u128,
        object: Arc<Object<M>>,
        guard: &FillGuard,
        admission: DiskAdmission,
    ) -> Result<(), Refused> {
        let mut turn = self.turns.take(key);
        let (known, too_large) = (self.on_disk(key), self.memory.is_too_large(&object));
        let admitted = self.decides(key, &object, admission) == DiskAdmission::Always;
        let written = admitted && self.offer(key, &object);
        if known && !written {
            // The former one must not come back once this one has left memory.
            self.remove_from_disk(key);
        }
        turn.overtake();
        if too_large {
            self.memory.remove(key);
            return if written { Ok(()) } else { Err(Refused::TooLarge) };
        }
        self.memory.insert(key, object, guard)
    }

    /// What an admission comes to for this object, if it is stored now: to be written to disk, or not. To be asked once.
    pub fn decides(&self, key: u128, object: &Object<M>, admission: DiskAdmission) -> DiskAdmission {
        let wanted = || self.on_disk(key) || self.memory.is_too_large(object) || self.is_admitted(key, admission);
        if self.disk.is_some() && admission != DiskAdmission::Never && wanted() {
            DiskAdmission::Always
        } else {
            DiskAdmission::Never
        }
    }

    /// An object was of use: one that is asked for again is written to disk.
    pub fn used(&self, key: u128, object: &Arc<Object<M>>, admission: DiskAdmission) {
        if self.disk.is_none() || admission == DiskAdmission::Never || object.is_on_disk() {
            return;
        }
        let _turn = self.turns.take(key);
        // One that was dropped or replaced since it was looked up must not come back.
        if self.memory.get(key).is_some_and(|held| Arc::ptr_eq(&held, object)) {
            self.offer(key, object);
        }
    }

    /// Stores an object on disk, waiting for room: `true` where it can be read from there now.
    pub async fn spill(&self, key: u128, object: &Arc<Object<M>>) -> bool {
        let Some(disk) = &self.disk else { return false };
        let Some(claim) = Claim::of(object) else { return disk.contains(key) };
        let Some(record) = object.to_record(key) else { return false };
        let stamp = record.stamp;
        let mut writing = disk.write(record);
        let write = |cx: &mut Context<'_>| {
            let mut turn = self.turns.take(key);
            let written = Pin::new(&mut writing).poll(cx);
            if written == Poll::Ready(true) {
                turn.overtake();
            }
            written
        };
        if !poll_fn(write).await {
            return false;
        }
        // A sweep that began meanwhile may not have seen it.
        if self.marks.is_astray() || !self.marks.admits(stamp.seq, stamp.local) {
            disk.remove(key);
            return false;
        }
        claim.keep();
        true
    }

    /// Drops the object of this key.
    pub fn remove(&self, key: u128) {
        let mut turn = self.turns.take(key);
        turn.overtake();
        self.memory.remove(key);
        if self.on_disk(key) {
            self.remove_from_disk(key);
        }
    }

    /// Drops everything. Blocks.
    pub fn clear(&self) {
        if let Some(disk) = &self.disk {
            disk.clear();
        }
        self.turns.overtake_all();
        self.memory.clear();
    }

    /// Drops everything from memory. What is on disk as well is found there.
    pub fn forget_memory(&self) {
        self.memory.clear();
    }

    /// Brings everything that disk was promised to the device: from now on it outlives a crash. Blocks.
    pub fn flush(&self) {
        if let Some(disk) = &self.disk {
            disk.flush();
            self.marks.flush();
        }
    }

    /// Frees what hard purges have rejected, and lets the marks go that are then of no use. Takes time in proportion to the
    /// number of objects: for a thread that may block.
    pub fn sweep(&self) {
        match self.marks.needs_sweep(self.has_disk()) {
            SweepNeed::Nothing => {}
            SweepNeed::Memory => self.memory.free_rejected(&self.marks),
            SweepNeed::Everything => {
                let floor = self.marks.begin_sweep();
                self.memory.free_rejected(&self.marks);
                let swept = self.disk.as_ref().is_none_or(|disk| disk.sweep(floor, &mut |entry| self.keeps(entry)));
                // What a place holds that has failed may be back at the next start, which is told to drop it. Else, as where
                // one fails in the middle, the marks stay.
                if swept || self.disk.as_ref().is_some_and(|disk| disk.has_lost()) && self.marks.disavow() {
                    self.marks.end_sweep(floor);
                }
            }
        }
    }

    fn keeps(&self, entry: &SweepEntry<'_>) -> bool {
        let Stamp { seq, local } = entry.stamp;
        Scope::decode(entry.scope).is_some_and(|scope| self.marks.keeps_on_disk(&scope, seq, local))
    }

    /// Brings everything that disk was promised to the device, so that the next start finds it. Blocks.
    pub fn close(&self) {
        if let Some(disk) = &self.disk {
            // A disk that says it was left in order is believed: the purges that concern what is on it come first.
            self.marks.flush();
            disk.close();
        }
    }

    /// What it holds, nearly.
    pub fn stats(&self) -> StoreStats {
        StoreStats { memory: self.memory.stats(), disk: self.disk.as_deref().map(Disk::stats) }
    }

    fn is_admitted(&self, key: u128, admission: DiskAdmission) -> bool {
        match admission {
            _ if self.disk.is_none() => false,
            DiskAdmission::Always => true,
            DiskAdmission::SecondRequest => self.ghost.seen(key),
            DiskAdmission::Never => false,
        }
    }

    /// Has the object written to disk, if there is room in the queue.
    fn offer(&self, key: u128, object: &Arc<Object<M>>) -> bool {
        let Some(disk) = self.disk.as_ref().filter(|_| !self.marks.is_astray()) else { return false };
        // First of all: where it is there already, it needs no room.
        let Some(claim) = Claim::of(object) else { return true };
        if !disk.takes(key) {
            return false;
        }
        let Some(record) = object.to_record(key) else { return false };
        let stamp = record.stamp;
        // Purges up to its stamp are held against it before they may be forgotten: a sweep waits for us, or sees it.
        let accepted = self.marks.admit(stamp.seq, stamp.local, || disk.offer(record)).unwrap_or(false);
        // The disk is cleared after the journal has gone astray: what it took before that goes then, and after that now.
        let stays = accepted && !self.marks.is_astray();
        if stays {
            claim.keep();
        } else if accepted {
            disk.remove(key);
        }
        stays
    }

    fn remove_from_disk(&self, key: u128) {
        if let Some(disk) = &self.disk {
            disk.remove(key);
        }
    }
}

impl<M: Meta> std::fmt::Debug for Store<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A response takes one part in so many of the disk at most: what came before it should not all go for it.
const LARGEST_ON_DISK: u64 = 4;

#[cfg(test)]
mod tests;
