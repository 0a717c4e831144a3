//! Slices: large bodies are kept, and fetched, in pieces of one length, so that a range needs no more than it touches.
//!
//! The head of such a response stands under the response's key and names a nonce; the slices stand under keys made of it.
//! All that bear one nonce are of one representation: of one fetch, or of several under one strong validator.

mod body;
mod cut;
mod fetch;
mod held;
mod key;
mod respond;
mod table;

use bytes::Bytes;
use holm_cache_store::Standing;
use holm_model::manifest::DiskAdmission;

pub(crate) use self::body::Sliced;
pub(crate) use self::cut::{Cutter, leaving_slices};
pub(crate) use self::fetch::Asking;
pub(crate) use self::held::Held;
pub(crate) use self::key::{Nonce, SLICE_BYTES, covered, slice_key, slice_of};
pub(crate) use self::respond::FoundSliced;
pub(crate) use self::table::SliceTable;
use crate::node::Node;
use crate::stored::Stored;

impl Node {
    /// How many slices one request to the next hop is for: no more than the store is sure to keep until they are read.
    pub(crate) fn slices_a_fetch(&self, admission: DiskAdmission) -> u64 {
        if self.spills(admission) { SLICES_A_FETCH_TO_DISK } else { SLICES_A_FETCH }
    }

    /// A slice that is stored. A soft purge is for the response's head to obey: where that was confirmed, so were its slices.
    pub(crate) async fn stored_slice(&self, nonce: Nonce, index: u64, admission: DiskAdmission) -> Option<Bytes> {
        let key = slice_key(nonce, index);
        let object = self.find(key).await?;
        let usable = matches!(object.meta(), Stored::Slice) && self.marks.standing_of(&object) != Standing::Hard;
        if usable {
            self.store.used(key, &object, admission);
        }
        usable.then(|| object.body())
    }
}

/// Without a disk: as many as a reader is ahead of what it sends.
const SLICES_A_FETCH: u64 = 2;

/// 16 MiB: what an origin far away sends in a few round trips.
const SLICES_A_FETCH_TO_DISK: u64 = 16;
