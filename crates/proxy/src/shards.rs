//! Shards: a map by keys that are hashes already, in parts with a lock each.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

/// What is under way by key: of few keys at a time, from many threads.
#[derive(Debug)]
pub(crate) struct Shards<V>(Box<[Mutex<HashMap<u128, V>>]>);

impl<V> Shards<V> {
    /// The part that a key is in, locked.
    pub(crate) fn lock(&self, key: u128) -> MutexGuard<'_, HashMap<u128, V>> {
        // The low bits of a hash are as good as any.
        self.0[key as usize % SHARDS].lock()
    }
}

impl<T> Shards<Arc<T>> {
    /// Takes away what is under a key, if it is still this.
    pub(crate) fn remove(&self, key: u128, this: &Arc<T>) {
        let mut shard = self.lock(key);
        if shard.get(&key).is_some_and(|held| Arc::ptr_eq(held, this)) {
            shard.remove(&key);
        }
    }
}

impl<V> Default for Shards<V> {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

/// A power of two well above the number of cores.
const SHARDS: usize = 64;
