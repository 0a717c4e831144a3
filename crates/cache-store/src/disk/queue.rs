//! A place's queue: what was accepted and is not yet written. It can be read from here meanwhile.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::task::Waker;
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::format::{Position, UNIT};
use super::index::tag;
use super::superblock::{Members, Swept};
use crate::disk::Record;

/// In the order of writing.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    came: Condvar,
    /// Bytes of records that it takes.
    limit: u64,
}

/// The queue while it is locked. Lookups in the index that are to agree with `pending` are made meanwhile.
#[derive(Debug, Default)]
pub(super) struct Inner {
    items: VecDeque<Item>,
    /// By tag: the latest record of each key that is not in the index yet.
    pending: HashMap<u64, Pending>,
    /// Of records that are not written yet, including those that the writer has in its buffer.
    bytes: u64,
    /// Who waits for room.
    waiting: Vec<Waker>,
    /// Somebody has asked for the next segment, and it is not begun.
    advancing: bool,
    /// Takes nothing any more.
    closed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) record: Arc<Record>,
    pub(super) serial: u64,
}

/// What the writer is to do.
#[derive(Debug)]
pub(super) enum Item {
    /// Write this record.
    Put(Pending),
    /// Write that nothing of this key is stored any more.
    Tombstone {
        key: u128,
        serial: u64,
    },
    Command(Command),
}

/// What is done in the queue's order, and answered: `None` or a hang-up where it could not be done.
#[derive(Debug)]
pub(super) enum Command {
    /// Bring everything before it to the device; tells where the log ends.
    Flush(SyncSender<Position>),
    /// Begin the next segment, so that the oldest is reclaimed.
    Advance,
    /// Forget everything before it, for ever.
    Clear(SyncSender<Position>),
    /// Remember that all was held against this.
    Swept(Swept, SyncSender<Position>),
    /// Remember who else is in use.
    Members(Members, SyncSender<Position>),
    /// Write the index, and end.
    Close(SyncSender<Position>),
    /// End at once, as if killed.
    #[cfg(test)]
    Crash,
}

/// Why a record was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// There will be room.
    Full,
    /// This place takes nothing any more.
    Closed,
}

impl Queue {
    pub(super) fn new(limit: u64) -> Self {
        Self { inner: Mutex::default(), came: Condvar::new(), limit }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Does it take records, small ones at least?
    pub(super) fn has_room(&self) -> bool {
        let inner = self.lock();
        !inner.closed && inner.bytes < self.limit
    }

    /// Accepts a record, if there is room. Whoever is to be woken for room is noted.
    pub(super) fn put(
        &self,
        inner: &mut Inner,
        pending: Pending,
        units: u16,
        waker: Option<&Waker>,
    ) -> Result<(), NoRoom> {
        let bytes = charge(units);
        if inner.closed {
            return Err(NoRoom::Closed);
        }
        if inner.bytes > 0 && inner.bytes + bytes > self.limit {
            inner.waiting.extend(waker.cloned());
            return Err(NoRoom::Full);
        }
        inner.bytes += bytes;
        inner.pending.insert(tag(pending.record.key), pending.clone());
        inner.items.push_back(Item::Put(pending));
        self.came.notify_one();
        Ok(())
    }

    /// Accepts a tombstone, room or not: removals are not refused. Returns whether it did.
    pub(super) fn bury(&self, inner: &mut Inner, key: u128, serial: u64) {
        if !inner.closed {
            inner.items.push_back(Item::Tombstone { key, serial });
            self.came.notify_one();
        }
    }

    /// Accepts a command. Where nothing is accepted any more it is dropped, and whoever waits for its answer is told so.
    pub(super) fn command(&self, command: Command) {
        let mut inner = self.lock();
        if !inner.closed {
            inner.items.push_back(Item::Command(command));
            self.came.notify_one();
        }
    }

    /// See [`Command::Advance`]; once at a time.
    pub(super) fn advance(&self) {
        let mut inner = self.lock();
        if !inner.closed && !std::mem::replace(&mut inner.advancing, true) {
            inner.items.push_back(Item::Command(Command::Advance));
            self.came.notify_one();
        }
    }

    /// Forgets all records, and takes this command.
    pub(super) fn clear(&self, command: Command) {
        let mut inner = self.lock();
        inner.drop_records();
        if !inner.closed {
            inner.items.push_back(Item::Command(command));
            self.came.notify_one();
        }
        wake(inner);
    }

    /// The last command; nothing is accepted after it.
    pub(super) fn close(&self, command: Command) {
        let mut inner = self.lock();
        if !inner.closed {
            inner.closed = true;
            inner.items.push_back(Item::Command(command));
            self.came.notify_one();
        }
        wake(inner);
    }

    /// Takes nothing any more, and forgets what it has.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.items.clear();
        inner.pending.clear();
        inner.bytes = 0;
        self.came.notify_one();
        wake(inner);
    }

    /// Ends the writer at once.
    #[cfg(test)]
    pub(super) fn crash(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.items.clear();
        inner.items.push_back(Item::Command(Command::Crash));
        self.came.notify_one();
    }

    /// The next item. Waits for it, until `deadline` if there is one. `None`: it has come, or the queue was abandoned.
    pub(super) fn next(&self, deadline: Option<Instant>) -> Option<Item> {
        let mut inner = self.lock();
        loop {
            if let Some(item) = inner.items.pop_front() {
                return Some(item);
            }
            if inner.closed {
                return None;
            }
            match deadline {
                Some(deadline) if self.came.wait_until(&mut inner, deadline).timed_out() => {
                    return inner.items.pop_front();
                }
                Some(_) => {}
                None => self.came.wait(&mut inner),
            }
        }
    }

    /// The record of this tag that is not written yet.
    pub(super) fn pending(&self, tag: u64) -> Option<Arc<Record>> {
        self.lock().record(tag)
    }

    /// Calls `each` with every record that is not written yet.
    pub(super) fn each_pending(&self, mut each: impl FnMut(&Record)) {
        self.lock().pending.values().for_each(|pending| each(&pending.record));
    }

    /// How many records are not written yet, those of which there is a newer one aside.
    pub(super) fn pending_len(&self) -> usize {
        self.lock().pending.len()
    }

    /// How many tags of records that are not written yet are like this.
    pub(super) fn count_pending(&self, like: impl Fn(u64) -> bool) -> usize {
        self.lock().pending.keys().filter(|tag| like(**tag)).count()
    }
}

impl Inner {
    /// Is it still the latest record of its key?
    pub(super) fn is_latest(&self, pending: &Pending) -> bool {
        self.pending.get(&tag(pending.record.key)).is_some_and(|latest| latest.serial == pending.serial)
    }

    /// A record that is moved within the log, and is written already or will be by who calls.
    pub(super) fn moves(&mut self, pending: Pending, units: u16) {
        self.bytes += charge(units);
        self.pending.insert(tag(pending.record.key), pending);
    }

    pub(super) fn record(&self, tag: u64) -> Option<Arc<Record>> {
        self.pending.get(&tag).map(|pending| Arc::clone(&pending.record))
    }

    pub(super) fn holds(&self, tag: u64) -> bool {
        self.pending.contains_key(&tag)
    }

    pub(super) fn forget(&mut self, tag: u64) -> bool {
        self.pending.remove(&tag).is_some()
    }

    /// The record was written. Is it still the latest of its key? Then the caller puts it into the index.
    pub(super) fn written(&mut self, tag: u64, serial: u64) -> bool {
        let latest = self.pending.get(&tag).is_some_and(|pending| pending.serial == serial);
        if latest {
            self.pending.remove(&tag);
        }
        latest
    }

    /// The next segment was begun.
    pub(super) fn advanced(&mut self) {
        self.advancing = false;
    }

    /// What was charged for a record is free again.
    pub(super) fn release(&mut self, units: u16) {
        self.bytes = self.bytes.saturating_sub(charge(units));
    }

    fn drop_records(&mut self) {
        let items = std::mem::take(&mut self.items);
        for item in items {
            match item {
                Item::Put(pending) => {
                    self.release(super::record::Lengths::of(&pending.record).unwrap_or_default().units())
                }
                Item::Tombstone { .. } => {}
                command @ Item::Command(_) => self.items.push_back(command),
            }
        }
        self.pending.clear();
    }
}

/// Wakes those who wait for room.
pub(super) fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waiting = std::mem::take(&mut inner.waiting);
    drop(inner);
    waiting.into_iter().for_each(Waker::wake);
}

fn charge(units: u16) -> u64 {
    u64::from(units) * UNIT as u64
}
