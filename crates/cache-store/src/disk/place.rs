//! A place: one file or device, its log, and whether it still works.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, RwLock};

use super::footer::{Entries, Trailer};
use super::format::{Secret, SegmentId};
use super::io::{ALIGN, BlockFile};
use super::queue::Queue;
use super::shape::Shape;
use super::superblock::Swept;
use crate::stamp::Stamp;

/// What of a place its writer and everyone else share.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) number: u8,
    pub(super) path: PathBuf,
    pub(super) file: Arc<BlockFile>,
    pub(super) id: [u8; 16],
    pub(super) secret: Secret,
    pub(super) shape: Shape,
    pub(super) queue: Queue,
    /// What each slot holds.
    pub(super) slots: RwLock<Vec<Slot>>,
    /// The entries of the segment that is being written.
    pub(super) open: Mutex<Open>,
    pub(super) swept: RwLock<Swept>,
    pub(super) gate: Gate,
    pub(super) counts: Counts,
    /// It does not work any more: why.
    failure: Mutex<Option<Failure>>,
    out: AtomicBool,
    /// Whatever it still holds will not be found again, though it may work again some day.
    settled: AtomicBool,
    /// It was taken out, and nobody can see to that.
    lost: AtomicBool,
    /// Reads that failed since the last that did not.
    failed_reads: AtomicU32,
}

/// What lies in a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// Number 0: nothing.
    pub(super) id: SegmentId,
    /// The least of each count of the records' stamps; `None` without records.
    pub(super) oldest: Option<Stamp>,
    /// The unit behind the last record that was stored in it since the start, tombstones aside.
    pub(super) end: u32,
}

#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) id: SegmentId,
    pub(super) entries: Entries,
}

/// What a place did since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) written: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) reinserted: AtomicU64,
    pub(super) reclaimed: AtomicU64,
    pub(super) read_errors: AtomicU64,
    pub(super) damaged: AtomicU64,
}

/// Why a place was taken out.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) operation: &'static str,
    pub(super) error: io::Error,
}

/// Keeps reclaiming behind a sweep: what is moved to the log's end must have been judged.
#[derive(Debug, Default)]
pub(super) struct Gate {
    stage: Mutex<Stage>,
    moved: Condvar,
}

/// How far a sweep has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none.
    #[default]
    Idle,
    /// It is about to begin.
    Preparing,
    /// Segments of lesser numbers were held against this.
    Judged { below: u64, upto: Stamp },
}

impl Place {
    #[expect(clippy::too_many_arguments, reason = "what was read of it at opening")]
    pub(super) fn new(
        number: u8,
        path: PathBuf,
        file: Arc<BlockFile>,
        id: [u8; 16],
        secret: Secret,
        shape: Shape,
        queue: Queue,
        swept: Swept,
    ) -> Self {
        Self {
            number,
            path,
            file,
            id,
            secret,
            shape,
            queue,
            slots: RwLock::new(vec![Slot::default(); shape.segments as usize]),
            open: Mutex::default(),
            swept: RwLock::new(swept),
            gate: Gate::default(),
            counts: Counts::default(),
            failure: Mutex::default(),
            out: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            failed_reads: AtomicU32::new(0),
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        !self.out.load(Ordering::Acquire)
    }

    /// It was taken out, and what it holds cannot come back.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    pub(super) fn slot(&self, slot: u32) -> Slot {
        self.slots.read().get(slot as usize).copied().unwrap_or_default()
    }

    pub(super) fn set_slot(&self, slot: u32, to: Slot) {
        if let Some(held) = self.slots.write().get_mut(slot as usize) {
            *held = to;
        }
    }

    /// A read has come to an end. One that failed takes the place out if it was one too many.
    pub(super) fn note_read(&self, failed: Option<&io::Error>, limit: u32) {
        let Some(error) = failed else {
            if self.failed_reads.load(Ordering::Relaxed) > 0 {
                self.failed_reads.store(0, Ordering::Relaxed);
            }
            return;
        };
        self.counts.read_errors.fetch_add(1, Ordering::Relaxed);
        let failed = self.failed_reads.fetch_add(1, Ordering::Relaxed) + 1;
        // Less there than we had: somebody has cut the file.
        if failed >= limit || error.kind() == io::ErrorKind::UnexpectedEof {
            self.fail("read", io::Error::new(error.kind(), error.to_string()));
        }
    }

    /// Takes the place out: nothing is found in it or written to it any more. Its writer does the rest.
    pub(super) fn fail(&self, operation: &'static str, error: io::Error) {
        if !self.out.swap(true, Ordering::AcqRel) {
            *self.failure.lock() = Some(Failure { operation, error });
        }
        self.gate.open();
        self.queue.abandon();
    }

    /// It was taken out, and what it holds may come back at the next start.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// See [`Place::is_lost`].
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// What it still holds will not be found again.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Release);
    }

    /// Why it was taken out, once.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().take()
    }

    /// What the segment in a slot has in its footer; blocks. `None`: it has none, or it is damaged.
    pub(super) fn footer(&self, slot: u32, id: SegmentId) -> Option<Entries> {
        let open = self.open.lock();
        if open.id == id {
            return Some(open.entries.clone());
        }
        drop(open);
        let end = self.shape.slot_at(slot) + self.shape.segment_size as u64;
        let last = self.file.read_blocking(end - ALIGN as u64, ALIGN).ok()?;
        let trailer = Trailer::decode(&last, id, self.shape.segment_size)?;
        let len = trailer.footer_len();
        if len == ALIGN {
            return trailer.entries(&last, &self.secret);
        }
        let footer = self.file.read_blocking(end - len as u64, len).ok()?;
        trailer.entries(&footer, &self.secret)
    }
}

impl Slot {
    /// A new segment's.
    pub(super) fn empty(id: SegmentId) -> Self {
        Self { id, oldest: None, end: 0 }
    }

    /// One more record with this stamp.
    pub(super) fn add(&mut self, stamp: Stamp) {
        self.oldest = Some(self.oldest.map_or(stamp, |oldest| oldest.min(stamp)));
    }
}

impl Gate {
    pub(super) fn set(&self, stage: Stage) {
        *self.stage.lock() = stage;
        self.moved.notify_all();
    }

    pub(super) fn open(&self) {
        self.set(Stage::Idle);
    }

    /// Waits until the segment of this number may be reclaimed; says how far a sweep has come then.
    pub(super) fn pass(&self, number: u64) -> Stage {
        let mut stage = self.stage.lock();
        while matches!(*stage, Stage::Judged { below, .. } if below <= number) {
            self.moved.wait(&mut stage);
        }
        *stage
    }
}
