//! Slices' places: how a large body is cut, and the keys that its slices are stored under.

use holm_cache_policy::ByteRange;

use crate::random::random_u128;

/// The length of a slice, in bytes; the last one of a body may be shorter. Longer bodies than this are kept in slices.
pub(crate) const SLICE_BYTES: u64 = 1 << 20;

/// What the slices of one representation have in common: one fetch's, or several ones' under one strong validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonce(pub(crate) u128);

impl Nonce {
    /// One that no slice bears yet.
    pub(crate) fn new() -> Self {
        Self(random_u128())
    }
}

/// The key of a slice. No two slices of one nonce share a key, and nonces are random: nor do those of two.
pub(crate) fn slice_key(nonce: Nonce, index: u64) -> u128 {
    // Both halves: the tiers choose places by one of them.
    nonce.0 ^ (u128::from(mixed(index.wrapping_add(GOLDEN))) << 64 | u128::from(mixed(index)))
}

/// The slice that holds this byte.
pub(crate) const fn slice_of(byte: u64) -> u64 {
    byte / SLICE_BYTES
}

/// How many slices a body of this length has.
pub(crate) const fn slice_count(length: u64) -> u64 {
    length.div_ceil(SLICE_BYTES)
}

/// The bytes of a slice of a body of this length, which has such a slice.
pub(crate) const fn slice_range(index: u64, length: u64) -> ByteRange {
    let first = index * SLICE_BYTES;
    let end = if length - first < SLICE_BYTES { length } else { first + SLICE_BYTES };
    ByteRange { first, last: end - 1 }
}

/// The slices that lie wholly in these bytes of a body of this length, from the first to before the second; none if they
/// are equal.
pub(crate) fn covered(bytes: ByteRange, length: u64) -> (u64, u64) {
    let first = bytes.first.div_ceil(SLICE_BYTES);
    let end = if bytes.last + 1 == length { slice_count(length) } else { (bytes.last + 1) / SLICE_BYTES };
    (first, end.max(first))
}

/// A bijection of 64-bit numbers that leaves no trace of their order (the finaliser of `SplitMix64`).
const fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// 2⁶⁴ divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_slice_has_a_key_of_its_own() {
        let nonces = [Nonce(0), Nonce(1), Nonce(u128::MAX), Nonce::new(), Nonce::new()];
        let keys = nonces.iter().flat_map(|nonce| (0..10_000).map(|index| slice_key(*nonce, index)));
        let keys: Vec<u128> = keys.collect();
        let distinct = |half: fn(u128) -> u64| keys.iter().map(|key| half(*key)).collect::<HashSet<_>>().len();
        #[expect(clippy::cast_possible_truncation, reason = "a half is meant")]
        let halves = (distinct(|key| key as u64), distinct(|key| (key >> 64) as u64));
        // 0 and 1 differ in the low half's last bit.
        assert_eq!((keys.iter().collect::<HashSet<_>>().len(), halves.0), (50_000, 50_000));
        assert_eq!(halves.1, 40_000, "0 and 1 share the high halves");
    }

    #[test]
    fn where_slices_begin_and_end() {
        const S: u64 = SLICE_BYTES;
        let check = |index: u64, length: u64, expected: (u64, u64)| {
            let found = slice_range(index, length);
            assert_eq!((found.first, found.last), expected, "slice {index} of {length}");
        };
        check(0, 2 * S, (0, S - 1));
        check(1, 2 * S, (S, 2 * S - 1));
        check(2, 2 * S + 1, (2 * S, 2 * S));
        check(0, 5, (0, 4));
        let counts = [(1, 1), (S, 1), (S + 1, 2), (2 * S, 2), (10 << 30, 10 << 10)];
        assert!(counts.iter().all(|(length, count)| slice_count(*length) == *count), "{counts:?}");
    }

    #[test]
    fn which_slices_lie_in_a_range() {
        const S: u64 = SLICE_BYTES;
        let check = |first: u64, last: u64, length: u64, expected: (u64, u64)| {
            assert_eq!(covered(ByteRange { first, last }, length), expected, "{first}-{last}/{length}");
        };
        check(0, S - 1, 4 * S, (0, 1));
        check(0, S - 2, 4 * S, (0, 0));
        check(1, 2 * S - 1, 4 * S, (1, 2));
        check(1, S, 4 * S, (1, 1));
        check(S + 1, 4 * S - 1, 4 * S, (2, 4));
        check(3 * S, 3 * S + 4, 3 * S + 5, (3, 4));
        check(3 * S, 3 * S + 3, 3 * S + 5, (3, 3));
        check(3 * S + 1, 3 * S + 4, 3 * S + 5, (4, 4));
    }
}
