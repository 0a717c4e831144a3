//! Slices: large bodies are kept, and fetched, in pieces of one length, so that a range needs no more than it touches.

mod key;

pub(crate) use self::key::{Nonce, SLICE_BYTES, covered, slice_count, slice_key, slice_of, slice_range};

use bytes::Bytes;
use holm_cache_store::Standing;

use crate::node::{CachedObject, Node};
use crate::stored::Stored;

impl Node {
    /// What is stored under a key, in whichever tier.
    pub(crate) async fn find_stored(&self, key: u128) -> Option<CachedObject> {
        self.memory.get(key)
    }

    /// Is something stored under a key, in whichever tier?
    pub(crate) fn has_stored(&self, key: u128) -> bool {
        self.memory.contains(key)
    }

    /// A slice that is stored. A soft purge is for the response's head to obey: where that was confirmed, so were its slices.
    pub(crate) async fn stored_slice(&self, nonce: Nonce, index: u64) -> Option<Bytes> {
        let object = self.find_stored(slice_key(nonce, index)).await?;
        let usable = matches!(object.meta(), Stored::Slice) && self.marks.standing_of(&object) != Standing::Hard;
        usable.then(|| object.body().clone())
    }
}
