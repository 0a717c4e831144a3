//! Traces: which URLs may have something in the cache, or on its way there, that their own key does not lead to.

use std::sync::atomic::{AtomicU64, Ordering};

use holm_cache_policy::CacheKey;

/// A bit for each of many keys, set once and for good: a false "may have" costs a mark that nothing needed.
#[derive(Debug)]
pub(crate) struct Traces(Box<[AtomicU64]>);

impl Traces {
    pub(crate) fn new() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Something of this URL will be fetched or stored elsewhere. To be said before the fetch begins, or it may miss a
    /// change that comes meanwhile.
    pub(crate) fn leave(&self, key: CacheKey) {
        let (word, bit) = self.place(key);
        // Most are set already, and a line that is only read is shared by all cores.
        if word.load(Ordering::SeqCst) & bit == 0 {
            word.fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// Nothing is known of any URL.
    pub(crate) fn leave_all(&self) {
        self.0.iter().for_each(|word| word.store(u64::MAX, Ordering::SeqCst));
    }

    pub(crate) fn has(&self, key: CacheKey) -> bool {
        let (word, bit) = self.place(key);
        word.load(Ordering::SeqCst) & bit != 0
    }

    fn place(&self, key: CacheKey) -> (&AtomicU64, u64) {
        // The low bits of a hash are as good as any.
        (&self.0[key.0 as usize % WORDS], 1 << (key.0 >> 64 & 63))
    }
}

/// 64 KiB: half a million keys.
const WORDS: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_there() {
        let traces = Traces::new();
        let keys = [CacheKey(0), CacheKey(8191), CacheKey(63 << 64), CacheKey(u128::MAX)];
        for key in keys {
            assert!(!traces.has(key), "{key:?}");
            traces.leave(key);
            traces.leave(key);
            assert!(traces.has(key), "{key:?}");
        }
    }
}
