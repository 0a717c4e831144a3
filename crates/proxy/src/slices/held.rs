//! Held slices: the few that a short range needs, all in memory. Nothing has to be kept for asking for more.

use bytes::Bytes;
use holm_cache_policy::ByteRange;
use holm_cache_store::Standing;
use holm_model::manifest::DiskAdmission;
use holm_transport::body::Body;
use smallvec::SmallVec;

use super::key::{slice_key, slice_of, slice_range};
use crate::node::Node;
use crate::pieces::{self, Piece};
use crate::stored::{Stored, StoredSliced};

/// Slices of a body of this length.
pub(crate) struct Held {
    length: u64,
    slices: SmallVec<[(u64, Bytes); MOST]>,
}

impl Held {
    /// The length of the whole.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// A body of these pieces, which lie in the slices.
    pub(crate) fn body(&self, wanted: impl IntoIterator<Item = Piece>) -> Body {
        let mut bytes: SmallVec<[Bytes; MOST]> = SmallVec::new();
        for piece in wanted {
            match piece {
                Piece::Held(held) => bytes.push(held),
                Piece::Of(range) => bytes.extend(self.of(range)),
            }
        }
        pieces::body_of(bytes)
    }

    fn of(&self, range: ByteRange) -> impl Iterator<Item = Bytes> {
        let touched = move |(index, _): &&(u64, Bytes)| (slice_of(range.first)..=slice_of(range.last)).contains(index);
        self.slices.iter().filter(touched).map(move |(index, bytes)| {
            let slice = slice_range(*index, self.length);
            let (first, last) = (range.first.max(slice.first), range.last.min(slice.last));
            pieces::slice(bytes, ByteRange { first: first - slice.first, last: last - slice.first })
        })
    }
}

impl Node {
    /// The slices that an answer needs, if they are few and all in memory.
    pub(super) fn held(&self, sliced: &StoredSliced, needed: &[ByteRange], disk: DiskAdmission) -> Option<Held> {
        let mut slices: SmallVec<[(u64, Bytes); MOST]> = SmallVec::new();
        for index in needed.iter().flat_map(|range| slice_of(range.first)..=slice_of(range.last)) {
            if slices.iter().any(|(known, _)| *known == index) {
                continue;
            }
            if slices.len() == MOST {
                return None;
            }
            let key = slice_key(sliced.nonce, index);
            let object = self.store.get(key)?;
            let whole = object.body_len() as u64 == slice_range(index, sliced.length).len();
            let usable = whole && matches!(object.meta(), Stored::Slice);
            if !usable || self.marks.standing_of(&object) == Standing::Hard {
                return None;
            }
            self.store.used(key, &object, disk);
            slices.push((index, object.body()));
        }
        // What stands in order in the body is sent in order.
        slices.sort_unstable_by_key(|(index, _)| *index);
        Some(Held { length: sliced.length, slices })
    }
}

/// As many as a range of one slice's length may touch: what a client that reads slowly keeps from being freed.
const MOST: usize = 2;
