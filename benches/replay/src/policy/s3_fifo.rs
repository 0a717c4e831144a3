//! S3-FIFO: a small queue for newcomers, a main queue for what was used again, and a memory of what has just left.
//! Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023, algorithm 1, weighed in
//! bytes as in the authors' simulator (libCacheSim, `S3FIFO.c`) with its constants: small 10 % of the bytes, ghosts of
//! 90 %, two uses to move on. As there, an object of the small queue's size or more is not kept, and until the cache is
//! full for the first time what does not fit in the small queue goes to the main one.

use std::collections::VecDeque;

use super::Policy;
use crate::sequence::Sequence;

/// The cache.
pub(crate) struct S3Fifo<'a> {
    sizes: &'a [u32],
    entries: Vec<Entry>,
    small: Queue,
    main: Queue,
    ghosts: Queue,
    capacity: u64,
    /// Has anything made room yet?
    full: bool,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    place: Place,
    uses: u8,
    /// Which time it is that it is a ghost: its former places in the ghosts' queue count for nothing.
    ghost: u32,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Out,
    Small,
    Main,
    Ghost,
}

/// A queue of objects, each with the number that its entry's `ghost` had.
#[derive(Default)]
struct Queue {
    objects: VecDeque<(u32, u32)>,
    bytes: u64,
    limit: u64,
}

impl<'a> S3Fifo<'a> {
    pub(crate) fn new(sequence: &'a Sequence, capacity: u64) -> Self {
        let queue = |limit| Queue { limit, ..Queue::default() };
        let small = capacity / 10;
        Self {
            sizes: &sequence.sizes,
            entries: vec![Entry::default(); sequence.sizes.len()],
            small: queue(small),
            main: queue(capacity - small),
            ghosts: queue(capacity - small),
            capacity,
            full: false,
        }
    }

    fn insert(&mut self, object: u32) {
        let size = u64::from(self.sizes[object as usize]);
        let was_ghost = self.entries[object as usize].place == Place::Ghost;
        if was_ghost {
            self.ghosts.bytes -= size;
            self.entries[object as usize].place = Place::Out;
        }
        if size >= self.small.limit {
            return;
        }
        while self.bytes() + size > self.capacity {
            self.evict();
        }
        let to_main = was_ghost || (!self.full && self.small.bytes >= self.small.limit);
        self.put(object, if to_main { Place::Main } else { Place::Small }, 0);
    }

    fn put(&mut self, object: u32, place: Place, uses: u8) {
        let size = u64::from(self.sizes[object as usize]);
        let entry = &mut self.entries[object as usize];
        (entry.place, entry.uses) = (place, uses);
        let queue = match place {
            Place::Small => &mut self.small,
            Place::Main => &mut self.main,
            Place::Ghost => &mut self.ghosts,
            Place::Out => return,
        };
        if place == Place::Ghost {
            entry.ghost += 1;
        }
        queue.objects.push_back((object, entry.ghost));
        queue.bytes += size;
    }

    fn evict(&mut self) {
        self.full = true;
        if self.main.bytes > self.main.limit || self.small.bytes == 0 { self.evict_main() } else { self.evict_small() }
    }

    /// Moves on what was used, until something leaves.
    fn evict_small(&mut self) {
        while let Some((object, _)) = self.small.objects.pop_front() {
            self.small.bytes -= u64::from(self.sizes[object as usize]);
            if self.entries[object as usize].uses >= USES_TO_MOVE_ON {
                self.put(object, Place::Main, 0);
            } else {
                self.put(object, Place::Ghost, 0);
                self.forget_ghosts();
                return;
            }
        }
    }

    /// Lets go round again what was used, until something leaves.
    fn evict_main(&mut self) {
        while let Some((object, _)) = self.main.objects.pop_front() {
            self.main.bytes -= u64::from(self.sizes[object as usize]);
            match self.entries[object as usize].uses.min(MOST_USES).checked_sub(1) {
                Some(uses) => self.put(object, Place::Main, uses),
                None => {
                    self.entries[object as usize].place = Place::Out;
                    return;
                }
            }
        }
    }

    fn forget_ghosts(&mut self) {
        while self.ghosts.bytes > self.ghosts.limit {
            let Some((object, number)) = self.ghosts.objects.pop_front() else { return };
            let entry = &mut self.entries[object as usize];
            if entry.place == Place::Ghost && entry.ghost == number {
                entry.place = Place::Out;
                self.ghosts.bytes -= u64::from(self.sizes[object as usize]);
            }
        }
    }
}

impl Policy for S3Fifo<'_> {
    fn request(&mut self, _: usize, object: u32, _: u32) -> bool {
        let entry = &mut self.entries[object as usize];
        let hit = matches!(entry.place, Place::Small | Place::Main);
        if hit {
            entry.uses = entry.uses.saturating_add(1);
        } else {
            self.insert(object);
        }
        hit
    }

    fn bytes(&self) -> u64 {
        self.small.bytes + self.main.bytes
    }
}

const USES_TO_MOVE_ON: u8 = 2;
/// The main queue's counters have two bits.
const MOST_USES: u8 = 3;
