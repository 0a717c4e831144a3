//! The format's elements: numbers in little-endian order, and hashes under a place's secret.
//!
//! The secret is what keeps content from posing as structure: a body that holds the image of a record, or of a segment's
//! footer, fails the keyed hash, wherever it comes to lie. Content itself is held against a checksum, which stands in a head
//! that is so hashed: it has to tell damage alone, and every hit from disk pays for it (16 KiB: 1 µs, BLAKE3 5 µs).

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};

use holm_model::ids::Seq;
use xxhash_rust::xxh3::Xxh3;

use crate::fields::Fields;
use crate::marks::Local;
use crate::stamp::Stamp;

/// The key of a place's hashes.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) [u8; 32]);

impl Secret {
    /// The BLAKE3 hash, under the secret, of these one after another.
    pub(super) fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    /// Its first half: enough for what is small and checked once more by what it points to.
    pub(super) fn short_hash(&self, bytes: &[u8]) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.hash(&[bytes])[..16]);
        short
    }

    /// The XXH3 checksum of these one after another, with the secret's beginning as its seed.
    pub(super) fn checksum(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut seed = [0; 8];
        seed.copy_from_slice(&self.0[..8]);
        let mut hasher = Xxh3::with_seed(u64::from_le_bytes(seed));
        for part in parts {
            hasher.update(part);
        }
        hasher.digest128().to_le_bytes()
    }

    /// A hash that is computed bit by bit.
    pub(super) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which segment it is: of all that ever lie in one place, each has a number of its own, and a nonce lest one that was begun
/// twice, around a crash, be mixed up with itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SegmentId {
    /// Counted from 1; 0 is none.
    pub(super) number: u64,
    /// Chance.
    pub(super) nonce: u64,
}

/// Where in the log something is: later is greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The segment's number.
    pub(super) segment: u64,
    /// In units within the segment.
    pub(super) unit: u32,
}

impl Fields<'_> {
    pub(super) fn segment(&mut self) -> Option<SegmentId> {
        Some(SegmentId { number: self.u64()?, nonce: self.u64()? })
    }

    pub(super) fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp { seq: Seq::new(self.u64()?), local: Local(self.u64()?) })
    }
}

pub(super) fn put_segment(out: &mut Vec<u8>, id: SegmentId) {
    out.extend_from_slice(&id.number.to_le_bytes());
    out.extend_from_slice(&id.nonce.to_le_bytes());
}

pub(super) fn put_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    out.extend_from_slice(&stamp.seq.get().to_le_bytes());
    out.extend_from_slice(&stamp.local.0.to_le_bytes());
}

/// Bytes that nobody can guess.
///
/// # Errors
/// The system has none.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The version of everything below the superblock's prelude.
pub(super) const VERSION: u32 = 2;
/// What positions and lengths of records are counted in.
pub(super) const UNIT: usize = 512;
