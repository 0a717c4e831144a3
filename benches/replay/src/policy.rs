//! Cache policies: which objects a cache of so many bytes holds. All are charged alike.

mod belady;
mod bound;
mod list;
mod lru;
mod ours;
mod s3_fifo;
mod sieve;

pub(crate) use self::belady::Belady;
pub(crate) use self::bound::bound;
pub(crate) use self::lru::Lru;
pub(crate) use self::ours::Ours;
pub(crate) use self::s3_fifo::S3Fifo;
pub(crate) use self::sieve::Sieve;

/// A cache that is asked for one object after the other, and may keep what it did not have.
pub(crate) trait Policy {
    /// Is the object of request number `at` in the cache?
    fn request(&mut self, at: usize, object: u32, size: u32) -> bool;

    /// The bytes that it holds now.
    fn bytes(&self) -> u64;
}

#[cfg(test)]
mod tests;
