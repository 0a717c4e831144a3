//! Under way: fetches that may bring a response into the cache. A change of the same URL must know of them.

use std::sync::Arc;

use holm_cache_policy::CacheKey;

use crate::shards::Shards;

/// How many such fetches of each URL are under way.
#[derive(Debug)]
pub(crate) struct Underway(Shards<usize>);

impl Underway {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Shards::default()))
    }

    /// One more, until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>, key: CacheKey) -> Entry {
        *self.0.lock(key.0).entry(key.0).or_default() += 1;
        Entry { table: Arc::clone(self), key }
    }

    pub(crate) fn count(&self, key: CacheKey) -> usize {
        self.0.lock(key.0).get(&key.0).copied().unwrap_or_default()
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
        let mut shard = self.table.0.lock(self.key.0);
        if let Some(count) = shard.get_mut(&self.key.0) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key.0);
            }
        }
    }
}

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
        assert!(table.0.lock(key.0).is_empty());
    }
}
