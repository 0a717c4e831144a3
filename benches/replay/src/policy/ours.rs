//! Ours: the memory tier itself, as a node has it.

use std::sync::Arc;

use bytes::Bytes;
use holm_cache_store::{ANY_HOST, FillGuard, Local, Marks, Memory, Meta, Object, Scope};
use holm_model::ids::{Seq, SiteName};
use holm_model::units::ByteSize;

use super::Policy;
use crate::sequence::Sequence;

/// The tier, with objects that weigh what the sequence says and hold nothing. It runs its housekeeping as it does in a
/// node: after every 64 operations, or 300 ms. Until then up to 64 newcomers are held beyond the limit.
pub(crate) struct Ours {
    memory: Memory<Payload>,
    guard: FillGuard,
    keys: Vec<u128>,
}

impl Ours {
    pub(crate) fn new(sequence: &Sequence, capacity: u64) -> Self {
        Self {
            memory: Memory::new(ByteSize::bytes(capacity)),
            guard: Marks::new().begin_fill(),
            keys: sequence.ids.iter().map(|id| key(*id)).collect(),
        }
    }

    /// What the tier charges for an object beside its bytes.
    pub(crate) fn beside() -> u32 {
        of_size(0).weight()
    }
}

impl Policy for Ours {
    fn request(&mut self, _: usize, object: u32, size: u32) -> bool {
        let key = self.keys[object as usize];
        let hit = self.memory.get(key).is_some();
        if !hit {
            let object = Arc::new(of_size(size - Self::beside()));
            // What is too large is refused, as a node does.
            let _ = self.memory.insert(key, object, &self.guard);
        }
        hit
    }

    fn bytes(&self) -> u64 {
        self.memory.stats().bytes
    }
}

fn of_size(size: u32) -> Object<Payload> {
    let site = "replay".parse::<SiteName>().expect("invariant: a site's name");
    let scope = Scope::new(&site, ANY_HOST, "/", None, &[]);
    Object::new(Payload(size), Bytes::new(), scope, Seq::ZERO, Local::default())
}

/// What an object would hold, in bytes.
struct Payload(u32);

impl Meta for Payload {
    fn encode(&self, _: &mut Vec<u8>) -> bool {
        false
    }

    fn decode(_: &Bytes) -> Option<Self> {
        None
    }

    fn weight(&self) -> usize {
        self.0 as usize
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
