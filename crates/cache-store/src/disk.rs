//! The disk tier: a log of records in segments, on one or several devices, with an index in memory.
//!
//! It knows keys, stamps and bytes, nothing of what they mean. What it gives back is what was stored, or nothing: whatever
//! is torn, damaged or gone is a miss. The format is described in `docs/reference/disk-format.md`.

use std::fmt;
use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use holm_model::disk::DiskPlace;
use holm_model::units::ByteSize;
use parking_lot::Mutex;

use crate::stamp::Stamp;

mod footer;
mod format;
mod index;
mod io;
mod open;
mod place;
mod queue;
mod reading;
mod reclaim;
mod record;
mod recover;
mod scan;
mod shape;
mod snapshot;
mod stats;
mod superblock;
mod sweep;
mod tier;
mod writer;

pub use self::reading::{Reading, Writing};
pub use self::stats::{DiskStats, PlaceStats};
use self::tier::Tier;

/// The tier. Shared behind an `Arc`; dropping it closes it, as well as that goes.
#[derive(Debug)]
pub struct Disk {
    tier: Arc<Tier>,
    writers: Mutex<Vec<JoinHandle<()>>>,
    /// One at a time.
    sweeping: Mutex<()>,
}

/// What is stored under a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// A hash: evenly spread.
    pub key: u128,
    /// What it was held against. When read, what is known of it by now.
    pub stamp: Stamp,
    /// What a sweep judges it by; at most 64 KiB.
    pub scope: Bytes,
    /// At most 1 MiB.
    pub meta: Bytes,
    /// At most 1 MiB and 64 KiB.
    pub body: Bytes,
}

/// How a tier is opened.
#[derive(Clone)]
pub struct DiskConfig {
    /// Where to store: 1 to 64. Keys are spread over them by their size.
    pub places: Vec<DiskPlace>,
    /// Called, from a thread of the tier's own or of whoever opens it, when something befalls a place.
    pub alert: Arc<dyn Fn(DiskAlert) + Send + Sync>,
    /// Is this key in use elsewhere, so that it is not read from here? What is so is kept like what is read.
    pub in_use: Arc<dyn Fn(u128) -> bool + Send + Sync>,
    /// Bytes of a segment of places that are new: what is written, and reclaimed, as one. At most 16 MiB, at most an
    /// eighth of the place.
    pub segment: ByteSize,
    /// Bytes of accepted records that wait to be written, for each place. They are in memory.
    pub queue: ByteSize,
    /// Bytes of records that are being read at once, at most, over all places. More wait.
    pub reads: ByteSize,
    /// Bytes of memory that the index may take, but for what is found at the start. Where it is full the oldest goes.
    pub index: ByteSize,
    /// How long a record waits at most for others to be written with it.
    pub delay: Duration,
    /// So many reads in a row that fail take a place out.
    pub read_errors: u32,
}

/// Something has befallen a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskAlert {
    /// It failed in operation, and is not used any more until the next start. What it held is gone.
    Failed {
        /// Which.
        path: PathBuf,
        /// What failed: "read", "write", "sync", "find".
        operation: &'static str,
        /// How.
        kind: ErrorKind,
        /// The system's words.
        error: String,
    },
    /// The index takes all the memory that it may: what is new is written as fast as older things go. Told once.
    IndexFull {
        /// What it takes.
        memory: ByteSize,
    },
    /// At the start some or all of what it held had to be dropped.
    Dropped {
        /// Which.
        path: PathBuf,
        /// Why.
        why: Dropped,
    },
}

/// Why what a place held was dropped at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// All of it.
    #[error("its size was changed")]
    Resized,
    /// All of it.
    #[error("an older release wrote it, in a version of the format that is not read any more")]
    Older,
    /// All of it.
    #[error("both copies of its superblock are damaged")]
    Superblock,
    /// All of it.
    #[error("others were in use without it, so it has missed removals")]
    Stale,
    /// What was stored before a damage that may have swallowed a removal.
    #[error("a segment is damaged, so older ones cannot be relied on")]
    Segment,
}

/// Why a tier could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The operating system refuses.
    #[error("{path}: cannot {operation}: {error}; check that it exists, is writable and has {size} of room")]
    Io {
        /// Which place.
        path: PathBuf,
        /// "open", "read" or "write".
        operation: &'static str,
        /// What it is to hold.
        size: ByteSize,
        /// How it failed.
        error: Error,
    },
    /// It was written by a later release.
    #[error(
        "{path}: its format is version {version}, this release knows version {known} at most; \
         start the newer release again, or delete the file to begin with an empty one",
        known = format::VERSION
    )]
    Newer {
        /// Which place.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It holds something, but not ours.
    #[error(
        "{path}: holds data that is not a Holm disk cache, and is left alone; \
         name another file, or clear the beginning of it (`dd if=/dev/zero of=… bs=8k count=1`) to use it"
    )]
    Foreign {
        /// Which place.
        path: PathBuf,
    },
    /// A cache cannot be made of it.
    #[error("{path}: {size} is too small for a disk cache; give it at least {least}", least = SMALLEST_PLACE)]
    TooSmall {
        /// Which place.
        path: PathBuf,
        /// Its size.
        size: ByteSize,
    },
    /// None, or more than 64.
    #[error("a disk cache has 1 to 64 places, not {0}")]
    Places(usize),
}

/// What a sweep judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepEntry<'a> {
    /// Of the record.
    pub key: u128,
    /// What it was held against so far.
    pub stamp: Stamp,
    /// As it was stored.
    pub scope: &'a [u8],
}

impl DiskConfig {
    /// These places, and else what is right for most.
    #[must_use]
    pub fn new(places: Vec<DiskPlace>, alert: Arc<dyn Fn(DiskAlert) + Send + Sync>) -> Self {
        Self {
            places,
            alert,
            in_use: Arc::new(|_| false),
            segment: ByteSize::mib(16),
            queue: QUEUE,
            reads: READS,
            index: ByteSize::bytes(u64::MAX),
            delay: Duration::from_millis(100),
            read_errors: 16,
        }
    }

    /// Bytes of memory that the tier takes at most, the index aside: for whoever keeps a budget.
    #[must_use]
    pub fn memory(&self) -> ByteSize {
        let each = self.queue.get() + writer::MEMORY;
        ByteSize::bytes(each.saturating_mul(self.places.len() as u64).saturating_add(self.reads.get()))
    }
}

impl Disk {
    /// Opens the places and recovers what they hold. Blocks: about as long as reading the index takes after a clean stop,
    /// else the segments' footers.
    ///
    /// # Errors
    /// A place cannot be used: which, why, and what to do. What fails later is not an error but a [`DiskAlert`].
    pub fn open(config: DiskConfig) -> Result<Self, DiskError> {
        let (tier, writers) = open::open(config)?;
        Ok(Self { tier, writers: Mutex::new(writers), sweeping: Mutex::new(()) })
    }

    /// Is something stored under this key, as far as the index knows? No I/O.
    pub fn contains(&self, key: u128) -> bool {
        self.tier.contains(key)
    }

    /// Reads what is stored under this key. `None`: nothing is, or too many wait to be read already. The outcome may still be `None`, where it turns out to be
    /// damaged or gone. It counts as used, so that it is kept when its segment is reclaimed.
    pub fn read(&self, key: u128) -> Option<Reading> {
        Reading::begin(&self.tier, key)
    }

    /// Would a record of this key be accepted now, if it is small? Where not, it counts as refused.
    pub fn takes(&self, key: u128) -> bool {
        self.tier.takes(key)
    }

    /// Stores a record, in place of the key's former one, if that can be done without waiting. If so it can be read at
    /// once, and is on the device soon. Refused: the queue is full, no place works any more, or it is too large.
    pub fn offer(&self, record: Record) -> bool {
        self.tier.offer(&Arc::new(record))
    }

    /// The same, but waits for room in the queue.
    pub fn write(&self, record: Record) -> Writing {
        Writing::new(&self.tier, record)
    }

    /// Removes what is stored under this key. A crash before the next [`Disk::flush`] may undo it.
    pub fn remove(&self, key: u128) {
        self.tier.remove(key);
    }

    /// Removes everything, durably. Blocks. Returns whether it was done in every place: else what a place that has failed
    /// holds may be back after a restart.
    pub fn clear(&self) -> bool {
        self.tier.clear()
    }

    /// Brings to the devices everything that was accepted. Blocks. Returns whether that was done in every place.
    pub fn flush(&self) -> bool {
        self.tier.flush()
    }

    /// The least of each count of the stamps of everything that is stored, or something less. `None`: nothing is stored.
    pub fn oldest(&self) -> Option<Stamp> {
        self.tier.oldest()
    }

    /// Stops writing, and stores the index for the next start. Blocks. Nothing is found any more, nothing accepted, and
    /// removals have no effect: the last thing to do. Returns whether all that was accepted is on the devices.
    pub fn close(&self) -> bool {
        let done = self.tier.close();
        for writer in self.writers.lock().drain(..) {
            let _ = writer.join();
        }
        done
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
impl Disk {
    /// All places fail when they are written to next.
    pub(crate) fn fail_writes(&self) {
        self.tier.places.iter().for_each(|place| place.file.faults().fail_writes(Some(libc::EIO)));
    }

    /// Ends as if killed: what is accepted and not yet written is lost.
    fn crash(self) {
        self.tier.places.iter().for_each(|place| place.queue.crash());
        self.writers.lock().drain(..).for_each(|writer| writer.join().unwrap());
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({:032x}, {:?}, {} + {} bytes)", self.key, self.stamp, self.meta.len(), self.body.len())
    }
}

impl fmt::Debug for DiskConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskConfig").field("places", &self.places).finish_non_exhaustive()
    }
}

/// The most bytes of a record's scope.
const MAX_RECORD_SCOPE: usize = 64 << 10;
/// The most bytes of a record's metadata.
const MAX_RECORD_META: usize = 1 << 20;
/// The most bytes of a record's body: a slice, and some.
const MAX_RECORD_BODY: usize = (1 << 20) + (64 << 10);
/// What waits to be written to a place, at most. About a tenth of a second of a fast device, a second of a slow one.
const QUEUE: ByteSize = ByteSize::mib(32);
/// What is being read, at most: more than a device that keeps up has to do at once.
const READS: ByteSize = ByteSize::mib(64);
const SMALLEST_PLACE: ByteSize = ByteSize::mib(1);

#[cfg(test)]
mod tests;
