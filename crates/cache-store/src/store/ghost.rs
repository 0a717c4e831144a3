//! The ghost: which keys were asked for once, of late. It remembers no more than a few bytes of each.

use std::sync::atomic::{AtomicU32, Ordering};

/// Fingerprints of keys, each in the one place that its key has: a newer key takes an older one's place. A wrong "seen"
/// (one in 2³¹) costs a write that nothing needed.
#[derive(Debug)]
pub(super) struct Ghost(Box<[AtomicU32]>);

impl Ghost {
    pub(super) fn new(places: usize) -> Self {
        Self((0..places).map(|_| AtomicU32::new(0)).collect())
    }

    /// Was this key asked for before? It was now. Says no after yes: the next request is a first one again.
    #[expect(clippy::cast_possible_truncation, reason = "parts of a hash are meant")]
    pub(super) fn seen(&self, key: u128) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let place = &self.0[key as usize % self.0.len()];
        let print = (key >> 64) as u32 | 1;
        let seen = place.load(Ordering::Relaxed) == print;
        place.store(if seen { 0 } else { print }, Ordering::Relaxed);
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_time_counts() {
        let ghost = Ghost::new(8);
        let key = |print: u128, place: u128| print << 64 | place;
        let asked = [(5, 1), (5, 1), (5, 1), (7, 2), (9, 2), (7, 2), (5, 1)];
        let seen = asked.map(|(print, place)| ghost.seen(key(print, place)));
        assert_eq!(seen, [false, true, false, false, false, false, true]);
        assert!(!Ghost::new(0).seen(1));
    }
}
