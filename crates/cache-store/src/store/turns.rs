//! Turns: what is stored and dropped under a key is so one after another, and what is read of it meanwhile is read once.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{FutureExt as _, Shared};
use parking_lot::{Mutex, MutexGuard};

use crate::disk::Reading;
use crate::object::{Meta, Object};

/// By keys, of which a few share a turn.
#[derive(Debug)]
pub(super) struct Turns<M: Meta> {
    shards: Box<[Mutex<Flights<M>>]>,
    ids: AtomicU64,
}

type Flights<M> = HashMap<u128, Flight<M>>;

/// An object on its way from the disk.
pub(super) type Arriving<M> = Shared<Pin<Box<dyn Future<Output = Option<Arc<Object<M>>>> + Send>>>;

/// A read under way.
#[derive(Debug)]
struct Flight<M: Meta> {
    id: u64,
    object: Arriving<M>,
    keeps: bool,
    /// Who waits for it.
    finders: usize,
}

/// The right to change what is stored under a key, until it is dropped.
pub(super) struct Turn<'a, M: Meta> {
    key: u128,
    flights: MutexGuard<'a, Flights<M>>,
}

/// One who waits for a read. It ends when nobody does any more.
pub(super) struct Finder<'a, M: Meta> {
    turns: &'a Turns<M>,
    key: u128,
    id: u64,
    pub(super) object: Arriving<M>,
    /// Is the object made to stay in memory?
    pub(super) keeps: bool,
}

impl<M: Meta> Turns<M> {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), ids: AtomicU64::new(0) }
    }

    pub(super) fn take(&self, key: u128) -> Turn<'_, M> {
        let shard = key as usize % SHARDS;
        Turn { key, flights: self.shards[shard].lock() }
    }

    /// See [`Turn::overtake`].
    pub(super) fn overtake_all(&self) {
        self.shards.iter().for_each(|shard| shard.lock().clear());
    }

    /// Joins the read of this key that is under way, or begins one, and says whether what it brings is to stay in memory.
    /// `None`: there is nothing to be read.
    pub(super) fn find(&self, key: u128, read: impl FnOnce() -> Option<(Reading, bool)>) -> Option<Finder<'_, M>> {
        let mut turn = self.take(key);
        if !turn.flights.contains_key(&key) {
            let (reading, keeps) = read()?;
            let object = async move { reading.await.and_then(|record| Object::from_record(&record, keeps)) };
            let (id, object) = (self.ids.fetch_add(1, Ordering::Relaxed), object.boxed().shared());
            turn.flights.insert(key, Flight { id, object, keeps, finders: 0 });
        }
        let flight = turn.flights.get_mut(&key)?;
        flight.finders += 1;
        Some(Finder { turns: self, key, id: flight.id, object: flight.object.clone(), keeps: flight.keeps })
    }
}

impl<M: Meta> Turn<'_, M> {
    /// Something else is stored, or nothing any more: what is being read is for who waits for it already.
    pub(super) fn overtake(&mut self) {
        self.flights.remove(&self.key);
    }
}

impl<'a, M: Meta> Finder<'a, M> {
    /// The read has come to an end. The turn is for the first who says so, if what was read is still what is stored.
    pub(super) fn land(&self) -> Option<Turn<'a, M>> {
        let mut turn = self.turns.take(self.key);
        let current = turn.flights.get(&self.key).is_some_and(|flight| flight.id == self.id);
        current.then(|| {
            turn.overtake();
            turn
        })
    }
}

impl<M: Meta> Drop for Finder<'_, M> {
    fn drop(&mut self) {
        let mut turn = self.turns.take(self.key);
        let Some(flight) = turn.flights.get_mut(&self.key).filter(|flight| flight.id == self.id) else { return };
        flight.finders -= 1;
        if flight.finders == 0 {
            turn.overtake();
        }
    }
}

const SHARDS: usize = 64;
