//! The log as a whole: what is stored is found again, byte for byte, or not at all.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;

use futures_executor::block_on as wait;
use holm_model::ids::Seq;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;
use crate::marks::Local;

mod basics;
mod damage;
mod failing;
mod formats;
mod model;
mod reclaiming;

/// Places in a folder of their own, and what was alerted.
struct Rig {
    folder: TempDir,
    sizes: Vec<ByteSize>,
    segment: ByteSize,
    queue: ByteSize,
    alerts: Arc<Mutex<Vec<DiskAlert>>>,
}

impl Rig {
    fn new(sizes: &[ByteSize]) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            sizes: sizes.to_vec(),
            segment: ByteSize::kib(256),
            queue: ByteSize::mib(32),
            alerts: Arc::default(),
        }
    }

    /// Where nothing is ever synced, if there is such a place: for tests that write a lot.
    fn in_memory(sizes: &[ByteSize]) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { folder, ..Self::new(sizes) }
    }

    fn path(&self, place: usize) -> PathBuf {
        self.folder.path().join(format!("place-{place}"))
    }

    fn config(&self) -> DiskConfig {
        let places = self.sizes.iter().enumerate();
        let places = places.map(|(at, size)| DiskPlace { path: self.path(at), offset: 0, size: *size }).collect();
        let alerts = Arc::clone(&self.alerts);
        let config = DiskConfig::new(places, Arc::new(move |alert| alerts.lock().push(alert)));
        DiskConfig { segment: self.segment, queue: self.queue, ..config }
    }

    fn open(&self) -> Disk {
        Disk::open(self.config()).unwrap()
    }

    fn alerts(&self) -> Vec<DiskAlert> {
        std::mem::take(&mut *self.alerts.lock())
    }
}

/// A key as evenly spread as a hash.
fn key(number: u64) -> u128 {
    let hash = blake3::hash(&number.to_le_bytes());
    u128::from_le_bytes(hash.as_bytes()[..16].try_into().unwrap())
}

/// Bytes that only this version of this object has.
fn body(number: u64, version: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes()).update(&version.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}

fn stamp(seq: u64, local: u64) -> Stamp {
    Stamp { seq: Seq::new(seq), local: Local(local) }
}

fn record(number: u64, version: u64, len: usize, stamp: Stamp) -> Record {
    Record {
        key: key(number),
        stamp,
        scope: Bytes::from(format!("scope of {number}")),
        meta: Bytes::from(format!("version {version} of {number}")),
        body: body(number, version, len),
    }
}

fn read(disk: &Disk, number: u64) -> Option<Record> {
    disk.read(key(number)).and_then(wait)
}

const ZERO: Stamp = Stamp { seq: Seq::ZERO, local: Local(0) };
