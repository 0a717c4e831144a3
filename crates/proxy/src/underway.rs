//! Under way: fetches that may bring a response into the cache. A change of the same URL must know of them.

use std::collections::HashMap;
use std::sync::Arc;

use holm_cache_policy::CacheKey;
use parking_lot::Mutex;

/// How many such fetches of each URL are under way.
#[derive(Debug)]
pub(crate) struct Underway(Vec<Mutex<HashMap<u128, usize>>>);

impl Underway {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self((0..SHARDS).map(|_| Mutex::default()).collect()))
    }

    /// One more, until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, key: CacheKey) -> Entry {
        *self.shard(key).lock().entry(key.0).or_default() += 1;
        Entry { table: Arc::clone(self), key }
    }

    pub(crate) fn count(&self, key: CacheKey) -> usize {
        self.shard(key).lock().get(&key.0).copied().unwrap_or_default()
    }

    fn shard(&self, key: CacheKey) -> &Mutex<HashMap<u128, usize>> {
        // The low bits of a hash are as good as any.
        &self.0[key.0 as usize % SHARDS]
    }
}

/// One fetch that is under way.
#[derive(Debug)]
pub(crate) struct Entry {
    table: Arc<Underway>,
    key: CacheKey,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut shard = self.table.shard(self.key).lock();
        if let Some(count) = shard.get_mut(&self.key.0) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key.0);
            }
        }
    }
}

/// A power of two well above the number of cores.
const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_until_they_end() {
        let (table, key) = (Underway::new(), CacheKey(7));
        let first = table.enter(key);
        let second = table.enter(key);
        assert_eq!((table.count(key), table.count(CacheKey(8))), (2, 0));
        drop(first);
        assert_eq!(table.count(key), 1);
        drop(second);
        assert_eq!(table.count(key), 0);
        assert!(table.shard(key).lock().is_empty());
    }
}
