//! Reading and writing, as futures.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::format::{SegmentId, UNIT};
use super::index::Location;
use super::io::ReadAt;
use super::place::Place;
use super::record;
use super::shape::position;
use super::tier::{Lookup, Put, Tier};
use crate::disk::Record;

/// The record, once it is read; `None` where it turns out to be damaged or gone. May be dropped at any time.
#[derive(Debug)]
#[must_use = "it reads whether or not it is awaited"]
pub struct Reading(State);

#[derive(Debug)]
enum State {
    /// It was in memory.
    Here(Option<Record>),
    /// It waits until less is being read.
    Queued {
        tier: Arc<Tier>,
        key: u128,
        tries: u32,
    },
    OnDisk {
        read: ReadAt,
        wanted: Wanted,
        _charge: Charge,
    },
}

/// What is read, and where.
#[derive(Debug)]
struct Wanted {
    tier: Arc<Tier>,
    place: Arc<Place>,
    key: u128,
    at: Location,
    id: SegmentId,
    /// How often it is looked up again.
    tries: u32,
}

/// What is being read is counted, by its size, until this is dropped.
#[derive(Debug)]
struct Charge {
    tier: Arc<Tier>,
    bytes: u64,
}

impl Charge {
    /// `None`: too much is being read already.
    fn take(tier: &Arc<Tier>, bytes: u64) -> Option<Self> {
        let fits = |reading: u64| (reading == 0 || reading + bytes <= tier.reads).then_some(reading + bytes);
        let taken = tier.reading.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits);
        taken.is_ok().then(|| Self { tier: Arc::clone(tier), bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.tier.reading.fetch_sub(self.bytes, Ordering::SeqCst);
        // All of them: who takes what is free now is not known, and some may have given up.
        let queued = std::mem::take(&mut *self.tier.queued.lock());
        queued.into_iter().for_each(Waker::wake);
    }
}

impl Reading {
    pub(super) fn begin(tier: &Arc<Tier>, key: u128) -> Option<Self> {
        State::begin(tier, key, TRIES).map(Self)
    }
}

impl State {
    fn begin(tier: &Arc<Tier>, key: u128, tries: u32) -> Option<Self> {
        Some(match tier.find(key)? {
            Lookup::Pending(record) => Self::Here(Some(Record::clone(&record))),
            Lookup::Stored(place, at, id) => {
                let Some(charge) = Charge::take(tier, u64::from(at.units) * UNIT as u64) else {
                    return Self::queue(tier, key, tries);
                };
                let from = place.shape.unit_at(at.slot, at.unit);
                let read = place.file.read(from, usize::from(at.units) * UNIT);
                let wanted = Wanted { tier: Arc::clone(tier), place, key, at, id, tries };
                Self::OnDisk { read, wanted, _charge: charge }
            }
        })
    }

    /// `None`: too many wait already.
    fn queue(tier: &Arc<Tier>, key: u128, tries: u32) -> Option<Self> {
        if tier.queued.lock().len() >= MOST_QUEUED {
            tier.shed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Self::Queued { tier: Arc::clone(tier), key, tries })
    }
}

impl Future for Reading {
    type Output = Option<Record>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.0 {
                State::Here(record) => return Poll::Ready(record.take()),
                State::Queued { tier, key, tries } => {
                    // First: what becomes free before the waker is there wakes nobody.
                    tier.queued.lock().push(cx.waker().clone());
                    match State::begin(tier, *key, *tries) {
                        Some(State::Queued { .. }) => return Poll::Pending,
                        begun => self.0 = begun.unwrap_or(State::Here(None)),
                    }
                }
                State::OnDisk { read, wanted, .. } => {
                    let Poll::Ready(outcome) = Pin::new(read).poll(cx) else { return Poll::Pending };
                    self.0 = wanted.judge(outcome);
                }
            }
        }
    }
}

impl Wanted {
    /// What follows from what was read.
    fn judge(&self, outcome: io::Result<Bytes>) -> State {
        self.place.note_read(outcome.as_ref().err(), self.tier.read_errors);
        let read = outcome.ok().and_then(|bytes| record::read(&bytes, self.id, self.at.unit, &self.place.secret));
        let Some((mut record, _)) = read else { return self.miss() };
        let swept = *self.place.swept.read();
        record.stamp = swept.effective(record.stamp, position(self.id, self.at.unit));
        State::Here((record.key == self.key).then_some(record))
    }

    fn miss(&self) -> State {
        if self.tier.remove_at(&self.place, self.key, self.at, self.id) {
            // It is never going to be better.
            self.place.counts.damaged.fetch_add(1, Ordering::Relaxed);
            return State::Here(None);
        }
        // Its segment has been reclaimed meanwhile; it may have been moved on.
        let again = self.tries.checked_sub(1).and_then(|tries| State::begin(&self.tier, self.key, tries));
        again.unwrap_or(State::Here(None))
    }
}

/// Resolves to whether the record was accepted, once there was room for it.
#[derive(Debug)]
#[must_use = "it writes nothing until it is awaited"]
pub struct Writing {
    tier: Arc<Tier>,
    record: Arc<Record>,
}

impl Writing {
    pub(super) fn new(tier: &Arc<Tier>, record: Record) -> Self {
        Self { tier: Arc::clone(tier), record: Arc::new(record) }
    }
}

impl Future for Writing {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        match self.tier.put(&self.record, Some(cx.waker())) {
            Put::Accepted => Poll::Ready(true),
            Put::Refused => Poll::Ready(false),
            Put::Wait => Poll::Pending,
        }
    }
}

/// Reads that wait for others at most. More are not begun: whoever asks does without.
const MOST_QUEUED: usize = 1024;

/// A record is moved at most once in a round of the whole log.
const TRIES: u32 = 2;
