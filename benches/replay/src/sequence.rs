//! A sequence of requests: which object each asks for, and how large each object is. What every policy is fed with.

use std::collections::HashMap;

/// Requests, in their order. Objects are numbered from 0 in the order of their first request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// The object of each request.
    pub(crate) requests: Vec<u32>,
    /// Each object's size, in bytes: that of its first request.
    pub(crate) sizes: Vec<u32>,
    /// What each object is called where it comes from.
    pub(crate) ids: Vec<u64>,
}

impl Sequence {
    /// The sequence of these requests, each an id and a size. Empty objects are left out: they fit in any cache.
    pub(crate) fn of(requests: impl IntoIterator<Item = (u64, u32)>) -> Self {
        let mut numbers = HashMap::new();
        let mut sequence = Self::default();
        for (id, size) in requests.into_iter().filter(|(_, size)| *size > 0) {
            let number = *numbers.entry(id).or_insert_with(|| {
                sequence.sizes.push(size);
                sequence.ids.push(id);
                u32::try_from(sequence.ids.len() - 1).expect("invariant: a sequence has less than 2^32 objects")
            });
            sequence.requests.push(number);
        }
        sequence
    }

    /// The same requests, for objects that are larger by as much.
    pub(crate) fn charged(mut self, more: u32) -> Self {
        self.sizes.iter_mut().for_each(|size| *size = size.saturating_add(more));
        self
    }

    /// The size of a request's object.
    pub(crate) fn size(&self, object: u32) -> u32 {
        self.sizes[object as usize]
    }

    /// The bytes of all objects: what a cache would need that never drops one.
    pub(crate) fn footprint(&self) -> u64 {
        self.sizes.iter().map(|size| u64::from(*size)).sum()
    }

    /// For each request, the place of the next one for the same object.
    pub(crate) fn next_uses(&self) -> Vec<Option<usize>> {
        let mut seen = vec![None; self.sizes.len()];
        let mut next = vec![None; self.requests.len()];
        for (at, object) in self.requests.iter().enumerate().rev() {
            next[at] = seen[*object as usize].replace(at);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::Sequence;

    #[test]
    fn numbers_and_next_uses() {
        let sequence = Sequence::of([(7, 10), (9, 20), (5, 0), (7, 11), (7, 10)]);
        assert_eq!(sequence.requests, [0, 1, 0, 0]);
        assert_eq!((sequence.sizes.as_slice(), sequence.footprint()), (&[10, 20][..], 30));
        assert_eq!(sequence.next_uses(), [Some(2), None, Some(3), None]);
    }
}
