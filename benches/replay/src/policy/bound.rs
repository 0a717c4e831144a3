//! PFOO-L: a hit ratio that no policy can exceed, whatever it knows of the future.
//! Berger, Beckmann, Harchol-Balter: "Practical Bounds on Optimal Caching with Variable Object Sizes", SIGMETRICS 2018,
//! §5.1. A hit takes space from the object's last use to this one: bytes × requests. The cache's bytes need only suffice
//! on the average of all times, so what costs the least space for its worth is hit first. (The paper speaks of misses, of
//! which it is the lower bound.)

use crate::sequence::Sequence;

/// The most that can be hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bound {
    /// Share of the requests.
    pub(crate) objects: f64,
    /// Share of the bytes asked for.
    pub(crate) bytes: f64,
}

/// The bound of a cache of this many bytes. The two shares may not be reachable by one policy.
pub(crate) fn bound(sequence: &Sequence, capacity: u64) -> Bound {
    let mut hits: Vec<Hit> = possible(sequence, capacity).collect();
    let space = u128::from(capacity) * sequence.requests.len() as u128;
    hits.sort_unstable_by_key(Hit::space);
    let objects = most(&hits, space, |_| 1.0);
    // Where a hit is worth its bytes, each of them costs the distance.
    hits.sort_unstable_by_key(|hit| hit.distance);
    let bytes = most(&hits, space, |hit| f64::from(hit.size));
    let asked: u64 = sequence.requests.iter().map(|object| u64::from(sequence.size(*object))).sum();
    Bound { objects: objects / sequence.requests.len() as f64, bytes: bytes / asked as f64 }
}

/// A request that is a hit if its object is kept since its last use.
#[derive(Clone, Copy)]
struct Hit {
    size: u32,
    distance: u32,
}

impl Hit {
    fn space(&self) -> u64 {
        u64::from(self.size) * u64::from(self.distance)
    }
}

fn possible(sequence: &Sequence, capacity: u64) -> impl Iterator<Item = Hit> {
    sequence.requests.iter().zip(sequence.next_uses()).enumerate().filter_map(move |(at, (object, next))| {
        let size = sequence.size(*object);
        let distance = u32::try_from(next? - at).expect("invariant: a sequence has less than 2^32 requests");
        (u64::from(size) <= capacity).then_some(Hit { size, distance })
    })
}

/// What the first are worth that fit, the last of them in part: without that, it would be no bound.
fn most(hits: &[Hit], space: u128, worth: impl Fn(&Hit) -> f64) -> f64 {
    let (mut left, mut sum) = (space, 0.0);
    for hit in hits {
        let costs = u128::from(hit.space());
        if costs > left {
            return sum + worth(hit) * left as f64 / costs as f64;
        }
        left -= costs;
        sum += worth(hit);
    }
    sum
}
