//! The tier's working parts: the index and the places, and what is done across them.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::Waker;
use std::time::Duration;

use holm_model::units::ByteSize;
use parking_lot::Mutex;

use super::footer::Entries;
use super::format::{Position, SegmentId};
use super::index::{Index, Location, MOST_BYTES, mix, tag};
use super::io::ALIGN;
use super::place::Place;
use super::queue::{Command, NoRoom, Pending, wake};
use super::record::Lengths;
use super::superblock::Members;
use crate::disk::{DiskAlert, Record};
use crate::stamp::Stamp;

/// Shared by the tier's users and its writers.
pub(super) struct Tier {
    pub(super) index: Index,
    pub(super) places: Vec<Arc<Place>>,
    pub(super) alert: Arc<dyn Fn(DiskAlert) + Send + Sync>,
    pub(super) in_use: Arc<dyn Fn(u128) -> bool + Send + Sync>,
    pub(super) delay: Duration,
    pub(super) read_errors: u32,
    serial: AtomicU64,
    /// How often the set of places in use has changed.
    epoch: AtomicU64,
    pub(super) refused: AtomicU64,
    /// Bytes that are being read, and how many may be.
    pub(super) reading: AtomicU64,
    pub(super) reads: u64,
    /// Whom to wake when less is being read.
    pub(super) queued: Mutex<Vec<Waker>>,
    /// The index has room for so many.
    most_objects: u64,
    /// Somebody was told that it is full.
    index_full: AtomicBool,
    /// Reads that would have been too many.
    pub(super) shed: AtomicU64,
    closed: AtomicBool,
}

/// Where something was found.
#[derive(Debug)]
pub(super) enum Lookup {
    /// It is not written yet.
    Pending(Arc<Record>),
    /// There, as long as the slot still holds that segment.
    Stored(Arc<Place>, Location, SegmentId),
}

/// What became of a record that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Accepted,
    /// There was no room; who asked is woken when there is.
    Wait,
    Refused,
}

impl Tier {
    pub(super) fn new(places: Vec<Arc<Place>>, config: &crate::disk::DiskConfig, serial: u64, epoch: u64) -> Self {
        Self {
            index: Index::new(places.len()),
            places,
            alert: Arc::clone(&config.alert),
            in_use: Arc::clone(&config.in_use),
            delay: config.delay,
            read_errors: config.read_errors.max(1),
            serial: AtomicU64::new(serial),
            epoch: AtomicU64::new(epoch),
            refused: AtomicU64::new(0),
            reading: AtomicU64::new(0),
            queued: Mutex::default(),
            reads: config.reads.get(),
            most_objects: config.index.get() / MOST_BYTES,
            index_full: AtomicBool::new(false),
            shed: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Serials from here on have not been used.
    pub(super) fn serial(&self) -> u64 {
        self.serial.load(Ordering::Relaxed)
    }

    /// Serials up to this one have been used.
    pub(super) fn note_serial(&self, used: u64) {
        self.serial.fetch_max(used.saturating_add(1), Ordering::Relaxed);
    }

    /// Where records of this key are written to: of the places that work, by their sizes. One that goes takes only its own
    /// keys with it.
    pub(super) fn home(&self, key: u128) -> Option<&Arc<Place>> {
        match &self.places[..] {
            [only] => only.is_healthy().then_some(only),
            places => {
                let healthy = places.iter().filter(|place| place.is_healthy());
                healthy
                    .map(|place| (score(key, place), place))
                    .max_by(|a, b| a.0.total_cmp(&b.0))
                    .map(|(_, place)| place)
            }
        }
    }

    pub(super) fn contains(&self, key: u128) -> bool {
        let Some(home) = self.home(key).filter(|_| !self.is_closed()) else { return false };
        let indexed = || self.index.get(tag(key)).is_some_and(|at| self.place(at).is_some());
        indexed() || {
            // What moves between the two does so under this lock.
            let queue = home.queue.lock();
            queue.holds(tag(key)) || indexed()
        }
    }

    pub(super) fn find(&self, key: u128) -> Option<Lookup> {
        let home = self.home(key).filter(|_| !self.is_closed())?;
        let mut found = Err(home.queue.pending(tag(key)));
        if let Err(None) = found {
            found = self.index.used(tag(key)).ok_or(None);
        }
        if let Err(None) = found {
            // Has it moved meanwhile, from the one to the other? It does so under this lock.
            let queue = home.queue.lock();
            found =
                queue.record(tag(key)).map_or_else(|| self.index.used(tag(key)).ok_or(None), |held| Err(Some(held)));
        }
        match found {
            Err(record) => record.filter(|record| record.key == key).map(Lookup::Pending),
            Ok(at) => {
                let place = self.place(at)?;
                Some(Lookup::Stored(Arc::clone(place), at, place.slot(at.slot).id))
            }
        }
    }

    pub(super) fn takes(&self, key: u128) -> bool {
        let takes = self.home(key).is_some_and(|home| home.queue.has_room() && self.has_entry(home, key));
        if !takes {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        takes
    }

    pub(super) fn offer(&self, record: &Arc<Record>) -> bool {
        self.put(record, None) == Put::Accepted
    }

    /// Accepts a record if there is room. If not, `waker` is woken when there is.
    pub(super) fn put(&self, record: &Arc<Record>, waker: Option<&Waker>) -> Put {
        let outcome = self.try_put(record, waker);
        if outcome == Put::Refused {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    fn try_put(&self, record: &Arc<Record>, waker: Option<&Waker>) -> Put {
        let Some(lengths) = Lengths::of(record) else { return Put::Refused };
        let tag = tag(record.key);
        loop {
            let Some(home) = self.home(record.key).filter(|home| fits(home, lengths)) else { return Put::Refused };
            if !self.has_entry(home, record.key) {
                return Put::Refused;
            }
            let mut queue = home.queue.lock();
            let pending = Pending { record: Arc::clone(record), serial: self.next_serial() };
            match home.queue.put(&mut queue, pending, lengths.units(), waker) {
                Ok(()) => {
                    let elsewhere = self.index.get(tag).filter(|at| at.place != home.number);
                    let moved = elsewhere.filter(|at| self.index.remove_at(tag, *at));
                    drop(queue);
                    self.bury_at(moved, record.key);
                    return Put::Accepted;
                }
                Err(NoRoom::Full) if waker.is_some() => return Put::Wait,
                Err(NoRoom::Full) => return Put::Refused,
                // Another takes its keys, if it was taken out.
                Err(NoRoom::Closed) if home.is_healthy() => return Put::Refused,
                Err(NoRoom::Closed) => {}
            }
        }
    }

    /// Has the index room for this key? If not, the oldest segment of its home makes some.
    fn has_entry(&self, home: &Place, key: u128) -> bool {
        // Those that are pending enter it as well: there are about as many in every place.
        let held = || self.index.len() + (home.queue.pending_len() * self.places.len()) as u64;
        let has = held() < self.most_objects || self.contains(key);
        if !has {
            if !self.index_full.swap(true, Ordering::Relaxed) {
                (self.alert)(DiskAlert::IndexFull { memory: ByteSize::bytes(self.index.memory()) });
            }
            home.queue.drop_oldest();
        }
        has
    }

    pub(super) fn remove(&self, key: u128) {
        let Some(home) = self.home(key) else { return };
        let mut queue = home.queue.lock();
        let was_pending = queue.forget(tag(key));
        let was_at = self.index.remove(tag(key));
        if was_pending || was_at.is_some_and(|at| at.place == home.number) {
            home.queue.bury(&mut queue, key, self.next_serial());
        }
        drop(queue);
        self.bury_at(was_at.filter(|at| at.place != home.number), key);
    }

    /// Removes a record from where it lies, unless it has been moved or replaced. Returns whether it was there.
    pub(super) fn remove_at(&self, place: &Place, key: u128, at: Location, id: SegmentId) -> bool {
        let mut queue = place.queue.lock();
        let removed = place.slot(at.slot).id == id && self.index.remove_at(tag(key), at);
        // What is about to be written replaces it anyway, and must not be buried with it.
        if removed && !queue.holds(tag(key)) {
            place.queue.bury(&mut queue, key, self.next_serial());
        }
        removed
    }

    fn bury_at(&self, at: Option<Location>, key: u128) {
        if let Some(place) = at.and_then(|at| self.place(at)) {
            place.queue.bury(&mut place.queue.lock(), key, self.next_serial());
        }
    }

    /// The records of a batch are on the device: those that are still the latest of their keys are found there from now on.
    pub(super) fn written(&self, place: &Place, batch: &mut Vec<Written>) {
        let mut queue = place.queue.lock();
        for written in batch.drain(..) {
            queue.release(written.charged);
            if let Some(at) = written.at.filter(|_| queue.written(written.tag, written.serial)) {
                self.index.insert(written.tag, at);
            }
        }
        wake(queue);
    }

    /// Asks every place that works for something, and waits for all. Returns the answers, `None` where one failed.
    pub(super) fn ask(&self, ask: impl Fn(&Place, SyncSender<Position>)) -> Vec<Option<Position>> {
        let asked: Vec<Receiver<Position>> = self
            .places
            .iter()
            .map(|place| {
                let (answer, answered) = sync_channel(1);
                ask(place, answer);
                answered
            })
            .collect();
        asked.into_iter().map(|answered| answered.recv().ok()).collect()
    }

    pub(super) fn flush(&self) -> bool {
        self.all(|place, answer| place.queue.command(Command::Flush(answer)))
    }

    pub(super) fn clear(&self) -> bool {
        self.all(|place, answer| place.queue.clear(Command::Clear(answer)))
    }

    pub(super) fn close(&self) -> bool {
        self.closed.store(true, Ordering::Release);
        self.all(|place, answer| place.queue.close(Command::Close(answer)))
    }

    /// Does every place do this, or can what it holds not come back?
    fn all(&self, ask: impl Fn(&Place, SyncSender<Position>)) -> bool {
        let answers = self.ask(ask);
        answers.iter().zip(&self.places).all(|(answer, place)| answer.is_some() || place.is_settled())
    }

    pub(super) fn oldest(&self) -> Option<Stamp> {
        let mut oldest: Option<Stamp> = None;
        let mut add = |stamp: Stamp| oldest = Some(oldest.map_or(stamp, |oldest| oldest.min(stamp)));
        for place in self.places.iter().filter(|place| place.is_healthy()) {
            place.queue.each_pending(|record| add(record.stamp));
            if self.index.live(place.number).0 > 0 {
                place.slots.read().iter().filter_map(|slot| slot.oldest).for_each(&mut add);
            }
        }
        oldest
    }

    /// A place was taken out: the others remember that it is none of theirs any more. Blocks. Returns whether any does.
    pub(super) fn exclude(&self, out: &Place) -> bool {
        let members = Members { epoch: self.epoch.fetch_add(1, Ordering::AcqRel) + 1, ids: self.member_ids() };
        let answers = self.ask(|place, answer| {
            if place.is_healthy() && place.number != out.number {
                place.queue.command(Command::Members(members, answer));
            }
        });
        answers.iter().any(Option::is_some)
    }

    fn member_ids(&self) -> [u8; 16] {
        member_ids(self.places.iter().filter(|place| place.is_healthy()).map(|place| place.id))
    }

    /// The place there, if it works.
    pub(super) fn place(&self, at: Location) -> Option<&Arc<Place>> {
        self.places.get(usize::from(at.place)).filter(|place| place.is_healthy())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// One record on its way through the writer's buffer.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) tag: u64,
    pub(super) serial: u64,
    /// `None`: a tombstone.
    pub(super) at: Option<Location>,
    /// Units that were charged to the queue.
    pub(super) charged: u16,
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").field("places", &self.places.len()).finish_non_exhaustive()
    }
}

/// What names a set of places.
pub(super) fn member_ids(ids: impl Iterator<Item = [u8; 16]>) -> [u8; 16] {
    let mut ids: Vec<_> = ids.collect::<HashSet<_>>().into_iter().collect();
    ids.sort_unstable();
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(&ids.concat()).as_bytes()[..16]);
    short
}

/// Does an empty segment have room for it?
fn fits(place: &Place, lengths: Lengths) -> bool {
    let footer = Entries::default().footer_len_with(lengths.scope as usize);
    let record = (usize::from(lengths.units()) * super::format::UNIT).next_multiple_of(ALIGN);
    ALIGN + record + footer <= place.shape.segment_size
}

/// Weighted rendezvous hashing: the greatest of all places wins the key.
#[expect(clippy::cast_precision_loss, reason = "chance and weights need no exactness")]
fn score(key: u128, place: &Place) -> f64 {
    let (id, half) = (u128::from_le_bytes(place.id), key >> 64);
    let mixed = mix((half ^ id) as u64 ^ mix((id >> 64) as u64));
    let chance = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    place.shape.size as f64 / -chance.ln()
}
