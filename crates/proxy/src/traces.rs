//! Traces: which URLs may have something in the cache, or on its way there, that their own key does not lead to.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use holm_cache_policy::CacheKey;

/// A bit for each of many keys, set once and for good: a false "may have" costs a mark that nothing needed.
#[derive(Debug)]
pub(crate) struct Traces(Box<[AtomicU64]>);

impl Traces {
    pub(crate) fn new() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Those that a clean stop has left in this file, which is gone then: what is left from now on is not in it. `None` where
    /// there are none that can be believed.
    pub(crate) fn taken_from(path: &Path) -> Option<Self> {
        let found = std::fs::read(path).ok()?;
        std::fs::remove_file(path).and_then(|()| sync_folder(path)).ok()?;
        let (words, digest) = found.strip_prefix(MAGIC)?.split_last_chunk()?;
        let whole = words.len() == WORDS * 8 && blake3::hash(words) == blake3::Hash::from_bytes(*digest);
        whole.then(|| {
            let words = words.as_chunks().0.iter();
            Self(words.map(|word| AtomicU64::new(u64::from_le_bytes(*word))).collect())
        })
    }

    /// Leaves them for the next start. Nothing may be stored any more.
    ///
    /// # Errors
    /// The file can't be written; a part of it is not believed.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let words: Vec<u8> = self.0.iter().flat_map(|word| word.load(Ordering::SeqCst).to_le_bytes()).collect();
        let mut file = File::create(path)?;
        file.write_all(&[MAGIC, &words, blake3::hash(&words).as_bytes()].concat())?;
        file.sync_all()?;
        sync_folder(path)
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

/// Brings to the device what was made and removed beside this file.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The first bytes of the file, with its version.
const MAGIC: &[u8] = b"holm traces 1\n";

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

    #[test]
    fn a_clean_stop_leaves_them_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces");
        let (left, other) = (CacheKey(5 << 64 | 77), CacheKey(5 << 64 | 78));
        let traces = Traces::new();
        traces.leave(left);
        traces.save(&path).unwrap();
        let found = Traces::taken_from(&path).expect("they are whole");
        assert!(found.has(left) && !found.has(other));
        assert!(Traces::taken_from(&path).is_none(), "they are taken");
        let check = |spoil: fn(&mut Vec<u8>)| {
            traces.save(&path).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            spoil(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
            assert!(Traces::taken_from(&path).is_none());
        };
        check(|bytes| bytes[0] ^= 1);
        check(|bytes| bytes[100] ^= 1);
        check(|bytes| *bytes.last_mut().unwrap() ^= 1);
        check(|bytes| bytes.truncate(1000));
        check(Vec::clear);
        check(|bytes| bytes.push(0));
    }
}
