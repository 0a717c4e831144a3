//! SIEVE: one queue; a hand that moves from old to new drops the first object that was not used since it last came by.
//! Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is Simpler than LRU", NSDI 2024, algorithm 1.

use super::Policy;
use super::list::List;
use crate::sequence::Sequence;

/// The cache.
pub(crate) struct Sieve<'a> {
    sizes: &'a [u32],
    state: Vec<State>,
    queue: List,
    hand: Option<u32>,
    bytes: u64,
    capacity: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Out,
    In { visited: bool },
}

impl<'a> Sieve<'a> {
    pub(crate) fn new(sequence: &'a Sequence, capacity: u64) -> Self {
        let objects = sequence.sizes.len();
        let (state, queue) = (vec![State::Out; objects], List::new(objects));
        Self { sizes: &sequence.sizes, state, queue, hand: None, bytes: 0, capacity }
    }

    fn evict(&mut self) {
        let mut at = self.hand.or(self.queue.oldest()).expect("invariant: what is full holds something");
        while self.state[at as usize] == (State::In { visited: true }) {
            self.state[at as usize] = State::In { visited: false };
            at = self.queue.newer(at).or(self.queue.oldest()).expect("invariant: it holds `at`");
        }
        self.hand = self.queue.newer(at);
        self.queue.remove(at);
        self.state[at as usize] = State::Out;
        self.bytes -= u64::from(self.sizes[at as usize]);
    }
}

impl Policy for Sieve<'_> {
    fn request(&mut self, _: usize, object: u32, size: u32) -> bool {
        let hit = self.state[object as usize] != State::Out;
        if hit {
            self.state[object as usize] = State::In { visited: true };
        } else if u64::from(size) <= self.capacity {
            while self.bytes + u64::from(size) > self.capacity {
                self.evict();
            }
            self.queue.push(object);
            self.state[object as usize] = State::In { visited: false };
            self.bytes += u64::from(size);
        }
        hit
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
