//! LRU: the object whose last use is the longest ago makes room.

use super::Policy;
use super::list::List;
use crate::sequence::Sequence;

/// The cache.
pub(crate) struct Lru<'a> {
    sizes: &'a [u32],
    held: Vec<bool>,
    list: List,
    bytes: u64,
    capacity: u64,
}

impl<'a> Lru<'a> {
    pub(crate) fn new(sequence: &'a Sequence, capacity: u64) -> Self {
        let objects = sequence.sizes.len();
        Self { sizes: &sequence.sizes, held: vec![false; objects], list: List::new(objects), bytes: 0, capacity }
    }
}

impl Policy for Lru<'_> {
    fn request(&mut self, _: usize, object: u32, size: u32) -> bool {
        let hit = self.held[object as usize];
        if hit {
            self.list.remove(object);
            self.list.push(object);
        } else if u64::from(size) <= self.capacity {
            while self.bytes + u64::from(size) > self.capacity {
                let victim = self.list.oldest().expect("invariant: what is full holds something");
                self.list.remove(victim);
                self.held[victim as usize] = false;
                self.bytes -= u64::from(self.sizes[victim as usize]);
            }
            self.list.push(object);
            self.held[object as usize] = true;
            self.bytes += u64::from(size);
        }
        hit
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
