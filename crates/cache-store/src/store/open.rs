//! Opening a store with a disk tier: its marks, its disk, and what is said when either fails.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

use holm_model::disk::DiskPlace;
use holm_model::units::ByteSize;

use super::{Ghost, Store, Turns};
use crate::disk::{Disk, DiskAlert, DiskConfig, DiskError};
use crate::marks::{JournalAlert, JournalError, Marks, Opened};
use crate::memory::Memory;
use crate::object::Meta;

/// A store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A place of the disk tier can't be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The journal of purges can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Something has befallen a store; it serves on.
#[derive(Debug)]
pub enum StoreAlert {
    /// A place of the disk tier.
    Disk(DiskAlert),
    /// The journal of purges.
    Journal(JournalAlert),
}

impl fmt::Display for StoreAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(DiskAlert::Failed { path, operation, error, .. }) => write!(
                f,
                "{}: can't {operation}: {error}; the disk tier goes on without it until the next start",
                path.display()
            ),
            Self::Disk(DiskAlert::IndexFull { memory }) => write!(
                f,
                "the index of what is on disk takes {memory}, all that it may: objects are dropped early; raise the memory"
            ),
            Self::Disk(DiskAlert::Dropped { path, why }) => {
                write!(f, "{}: some or all of what it held is dropped: {why}", path.display())
            }
            Self::Journal(alert) => alert.fmt(f),
        }
    }
}

impl<M: Meta> Store<M> {
    /// A store that keeps content on disk, with the journal of its purges in the folder `journal`. `memory` is for objects
    /// and for what the disk tier needs of it: its queues, and the index of all that it may hold. Blocks while it recovers
    /// what is there.
    ///
    /// # Errors
    /// See [`StoreError`]. What fails later is told to `alert`.
    pub fn open(
        memory: ByteSize,
        places: Vec<DiskPlace>,
        journal: &Path,
        alert: Arc<dyn Fn(StoreAlert) + Send + Sync>,
    ) -> Result<Self, StoreError> {
        let capacity = ByteSize::bytes(places.iter().map(|place| place.size.get()).sum());
        let on_disk = {
            let alert = Arc::clone(&alert);
            Arc::new(move |failed| alert(StoreAlert::Disk(failed)))
        };
        let mut config = DiskConfig::new(places, on_disk);
        let most = memory.get() / QUEUE_SHARE / config.places.len().max(1) as u64;
        config.queue = ByteSize::bytes(most.clamp(QUEUE_LEAST, config.queue.get()));
        config.reads = ByteSize::bytes((memory.get() / QUEUE_SHARE).clamp(QUEUE_LEAST, config.reads.get()));
        config.index = ByteSize::bytes(memory.get() / 4);
        let beside = config.memory().get() + (capacity.get() / INDEX_SHARE).min(memory.get() / 4);

        let memory = Memory::new(ByteSize::bytes(memory.get().saturating_sub(beside).max(memory.get() / 4)));
        let fitting = usize::try_from(memory.fits()).unwrap_or(GHOST_KEYS);
        let held = memory.clone();
        // What is asked for most is read from memory, and is not to be lost on disk for that.
        config.in_use = Arc::new(move |key| held.contains(key));

        let opened: Arc<OnceLock<Weak<Disk>>> = Arc::default();
        let distrusted = Arc::clone(&opened);
        let on_journal = Arc::new(move |failed: JournalAlert| {
            if !failed.erased {
                distrusted.get().and_then(Weak::upgrade).into_iter().for_each(drop_content);
            }
            alert(StoreAlert::Journal(failed));
        });
        let Opened { marks, known } = Marks::open(journal, on_journal)?;
        let disk = Arc::new(Disk::open(config)?);
        let _ = opened.set(Arc::downgrade(&disk));
        if !known && disk.clear() {
            marks.vouch();
        }
        let (ghost, turns) = (Ghost::new(GHOST_KEYS), Turns::new());
        let read_lately = Ghost::new(fitting.clamp(LEAST_READ, GHOST_KEYS));
        Ok(Self { memory, disk: Some(disk), ghost, read_lately, turns, marks, capacity })
    }
}

/// A restart could not tell what of it is purged. In a thread of its own: the marks are locked by whoever tells.
fn drop_content(disk: Arc<Disk>) {
    let _ = std::thread::Builder::new().name("holm-distrust".to_owned()).spawn(move || disk.clear());
}

/// First requests that are remembered until the second: as many as a node fills in some minutes. 4 B each.
const GHOST_KEYS: usize = 1 << 18;

/// Reads from disk that are remembered until the next of the same key, at least: as many as fit into memory else.
const LEAST_READ: usize = 1 << 10;

/// What waits to be written takes one part in so many of the memory, as does what is being read, and no less than [`QUEUE_LEAST`].
const QUEUE_SHARE: u64 = 8;

/// Room for a few of the largest records, in bytes.
const QUEUE_LEAST: u64 = 4 << 20;

/// The index takes one byte for so many on disk: 24 B for objects of 12 KiB, which are small for the web.
const INDEX_SHARE: u64 = 512;
