//! Ours: the memory tier itself, as a node has it.

use std::sync::Arc;

use bytes::Bytes;
use holm_cache_store::{ANY_HOST, FillGuard, Local, Marks, Memory, Object, Scope};
use holm_model::ids::{Seq, SiteName};
use holm_model::units::ByteSize;

use super::Policy;
use crate::sequence::Sequence;

/// The tier, with objects that weigh what the sequence says and hold nothing. It runs its housekeeping as it does in a
/// node: after every 64 operations, or 300 ms. Until then up to 64 newcomers are held beyond the limit.
pub(crate) struct Ours {
    memory: Memory<()>,
    guard: FillGuard,
    scope: Scope,
    keys: Vec<u128>,
}

impl Ours {
    pub(crate) fn new(sequence: &Sequence, capacity: u64) -> Self {
        let site = "replay".parse::<SiteName>().expect("invariant: a site's name");
        Self {
            memory: Memory::new(ByteSize::bytes(capacity)),
            guard: Marks::new().begin_fill(),
            scope: Scope::new(&site, ANY_HOST, "/", None, &[]),
            keys: sequence.ids.iter().map(|id| key(*id)).collect(),
        }
    }
}

impl Policy for Ours {
    fn request(&mut self, _: usize, object: u32, size: u32) -> bool {
        let key = self.keys[object as usize];
        let hit = self.memory.get(key).is_some();
        if !hit {
            let object = Object::new((), Bytes::new(), self.scope.clone(), Seq::ZERO, Local::default());
            // What is too large is refused, as a node does.
            let _ = self.memory.insert(key, Arc::new(object), size, &self.guard);
        }
        hit
    }

    fn bytes(&self) -> u64 {
        self.memory.stats().bytes
    }
}

/// Keys are hashes in a node: here, two rounds of SplitMix64.
fn key(id: u64) -> u128 {
    let mix = |seed: u64| {
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let high = mix(id);
    u128::from(high) << 64 | u128::from(mix(high))
}
