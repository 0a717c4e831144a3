//! One replay: a sequence through each policy, with caches of equal bytes.

use anyhow::{Result, ensure};

use crate::policy::{Belady, Lru, Ours, Policy, S3Fifo, Sieve, bound};
use crate::sequence::Sequence;

/// The columns, in the order of [`Outcome::ratios`].
pub(crate) const COLUMNS: [&str; 6] = ["LRU", "SIEVE", "S3-FIFO", "ours", "Belady", "bound"];
pub(crate) const S3_FIFO: usize = 2;
pub(crate) const OURS: usize = 3;

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// For each column, object and byte hit ratio.
    pub(crate) ratios: [Ratio; COLUMNS.len()],
    pub(crate) objects: usize,
    pub(crate) capacity: u64,
}

/// Shares, from 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ratio {
    /// Of the requests.
    pub(crate) objects: f64,
    /// Of the bytes asked for.
    pub(crate) bytes: f64,
}

/// Replays with caches of this share of the bytes of all objects.
///
/// # Errors
/// A policy holds more than it may.
pub(crate) fn replay(sequence: Sequence, share: f64) -> Result<Outcome> {
    let sequence = &sequence.charged(Ours::beside());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of it is smaller")]
    let capacity = (sequence.footprint() as f64 * share) as u64;
    let best = bound(sequence, capacity);
    let ratios = [
        run(sequence, capacity, &mut Lru::new(sequence, capacity))?,
        run(sequence, capacity, &mut Sieve::new(sequence, capacity))?,
        run(sequence, capacity, &mut S3Fifo::new(sequence, capacity))?,
        run(sequence, capacity, &mut Ours::new(sequence, capacity))?,
        run(sequence, capacity, &mut Belady::new(sequence, capacity))?,
        Ratio { objects: best.objects, bytes: best.bytes },
    ];
    Ok(Outcome { ratios, objects: sequence.sizes.len(), capacity })
}

fn run(sequence: &Sequence, capacity: u64, policy: &mut impl Policy) -> Result<Ratio> {
    let (mut hits, mut hit_bytes, mut asked) = (0_u64, 0_u64, 0_u64);
    for (at, object) in sequence.requests.iter().enumerate() {
        let size = sequence.size(*object);
        asked += u64::from(size);
        if policy.request(at, *object, size) {
            hits += 1;
            hit_bytes += u64::from(size);
        }
    }
    let held = policy.bytes();
    ensure!(held <= capacity, "a policy holds {held} bytes of {capacity}");
    Ok(Ratio { objects: hits as f64 / sequence.requests.len() as f64, bytes: hit_bytes as f64 / asked as f64 })
}
