//! Random numbers: for names that no two things share by chance, and that nobody guesses.

use std::hash::{BuildHasher, RandomState};

/// 64 random bits: the hash of nothing under keys that the system has seeded, and that are never the same twice.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().hash_one(())
}

/// 128 random bits.
pub(crate) fn random_u128() -> u128 {
    u128::from(random_u64()) << 64 | u128::from(random_u64())
}
