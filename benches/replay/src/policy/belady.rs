//! Belady's MIN: what is used again the furthest in the future makes room, be it the newcomer.
//! Belady: "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966. It is the
//! best that can be done where all objects have one size. Where they have not, finding the best is NP-hard, and this is
//! the usual approximation, which other policies may beat: `bound.rs` has what none can.

use std::collections::BinaryHeap;

use super::Policy;
use crate::sequence::Sequence;

/// The cache.
pub(crate) struct Belady<'a> {
    sizes: &'a [u32],
    next: Vec<Option<usize>>,
    /// When each object that is held is used next.
    held: Vec<Option<usize>>,
    /// The same, the furthest first. What an object's entry in `held` does not say is of the past.
    furthest: BinaryHeap<(usize, u32)>,
    bytes: u64,
    capacity: u64,
}

impl<'a> Belady<'a> {
    pub(crate) fn new(sequence: &'a Sequence, capacity: u64) -> Self {
        let (next, held) = (sequence.next_uses(), vec![None; sequence.sizes.len()]);
        Self { sizes: &sequence.sizes, next, held, furthest: BinaryHeap::new(), bytes: 0, capacity }
    }

    fn drop(&mut self, object: u32) {
        if self.held[object as usize].take().is_some() {
            self.bytes -= u64::from(self.sizes[object as usize]);
        }
    }
}

impl Policy for Belady<'_> {
    fn request(&mut self, at: usize, object: u32, size: u32) -> bool {
        let hit = self.held[object as usize].is_some();
        let Some(next) = self.next[at].filter(|_| u64::from(size) <= self.capacity) else {
            self.drop(object);
            return hit;
        };
        if !hit {
            self.bytes += u64::from(size);
        }
        self.held[object as usize] = Some(next);
        self.furthest.push((next, object));
        while self.bytes > self.capacity {
            let (next, victim) = self.furthest.pop().expect("invariant: what is full holds something");
            if self.held[victim as usize] == Some(next) {
                self.drop(victim);
            }
        }
        hit
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
