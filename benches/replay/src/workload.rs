//! Workloads: request sequences from a seeded generator, each after one pattern of use.

use std::f64::consts::TAU;

use fastrand::Rng;

use crate::sequence::Sequence;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pattern {
    /// The object of rank k is asked for k^-α times as often as the first.
    Zipf(f64),
    /// Zipf, and every so often a run over objects that nobody asks for again.
    Scans(f64),
    /// Zipf, and every other request is for an object that nobody asks for again.
    OneHit(f64),
    /// The same objects over and over, in the same order.
    Loop,
    /// Zipf whose ranks wander: every so often a new object takes the place of an old one.
    Drift(f64),
}

/// How large objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// All alike.
    Constant(u32),
    /// Log-normal with a median of 8 KiB and σ = 1.7, hence a mean of some 30 KiB; from 128 bytes to 1 MiB, for larger
    /// objects are stored in slices of that size.
    Web,
}

/// A generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) pattern: Pattern,
    pub(crate) sizes: Sizes,
    /// How many objects the pattern has, without those that are asked for once.
    pub(crate) objects: u32,
    pub(crate) requests: u32,
    pub(crate) seed: u64,
}

impl Workload {
    /// The same sequence whenever it is asked for.
    pub(crate) fn generate(&self) -> Sequence {
        let mut rng = Rng::with_seed(self.seed);
        let ids = self.ids(&mut rng);
        Sequence::of(ids.into_iter().map(|id| (id, self.sizes.of(id ^ self.seed))))
    }

    fn ids(&self, rng: &mut Rng) -> Vec<u64> {
        let ranks = |alpha| Ranks::new(alpha, self.objects);
        let requests = 0..self.requests;
        // Objects that are asked for once have ids beyond all others.
        let mut once = u64::from(self.objects)..;
        let mut next = || once.next().unwrap_or_default();
        match self.pattern {
            Pattern::Zipf(alpha) => {
                let ranks = ranks(alpha);
                requests.map(|_| u64::from(ranks.draw(rng))).collect()
            }
            Pattern::Scans(alpha) => {
                let ranks = ranks(alpha);
                let period = (self.objects / 4).max(2);
                let scanned = |at: u32| at % period > period / 4 * 3;
                requests.map(|at| if scanned(at) { next() } else { u64::from(ranks.draw(rng)) }).collect()
            }
            Pattern::OneHit(alpha) => {
                let ranks = ranks(alpha);
                requests.map(|_| if rng.bool() { next() } else { u64::from(ranks.draw(rng)) }).collect()
            }
            Pattern::Loop => requests.map(|at| u64::from(at % self.objects)).collect(),
            Pattern::Drift(alpha) => {
                let ranks = ranks(alpha);
                let mut held: Vec<u64> = (0..u64::from(self.objects)).collect();
                let mut ask = |_| {
                    if rng.u32(..DRIFT_EVERY) == 0 {
                        let out = rng.usize(..held.len());
                        held[out] = next();
                    }
                    held[ranks.draw(rng) as usize]
                };
                requests.map(&mut ask).collect()
            }
        }
    }
}

impl Sizes {
    /// The size of an object: always the same.
    fn of(self, id: u64) -> u32 {
        match self {
            Self::Constant(size) => size,
            Self::Web => {
                let mut rng = Rng::with_seed(id);
                // Box-Muller; 1 - f64 is never 0.
                let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos();
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
                let size = (WEB_MEDIAN * (WEB_SIGMA * normal).exp()).clamp(WEB_LEAST, WEB_MOST) as u32;
                size
            }
        }
    }
}

/// Ranks that are drawn as Zipf's law has it.
struct Ranks {
    /// The weight of this rank and of all before it.
    cumulated: Vec<f64>,
}

impl Ranks {
    fn new(alpha: f64, count: u32) -> Self {
        let weight = |sum: &mut f64, rank: u32| {
            *sum += f64::from(rank).powf(-alpha);
            Some(*sum)
        };
        Self { cumulated: (1..=count).scan(0.0, weight).collect() }
    }

    fn draw(&self, rng: &mut Rng) -> u32 {
        let total = self.cumulated.last().copied().unwrap_or_default();
        let point = rng.f64() * total;
        let rank = self.cumulated.partition_point(|sum| *sum <= point).min(self.cumulated.len() - 1);
        u32::try_from(rank).expect("invariant: there are less than 2^32 ranks")
    }
}

/// One of so many requests comes with a new object.
const DRIFT_EVERY: u32 = 20;

const WEB_MEDIAN: f64 = 8192.0;
const WEB_SIGMA: f64 = 1.7;
const WEB_LEAST: f64 = 128.0;
const WEB_MOST: f64 = 1_048_576.0;

#[cfg(test)]
mod tests {
    use super::{Pattern, Sizes, Workload};

    fn check(pattern: Pattern, sizes: Sizes, expected: &[(&str, f64, f64)]) {
        let workload = Workload { pattern, sizes, objects: 1000, requests: 20_000, seed: 7 };
        let sequence = workload.generate();
        assert_eq!(sequence, workload.generate(), "{pattern:?} is the same again");
        let count = |at: usize| sequence.requests.iter().filter(|object| **object as usize == at).count() as f64;
        for (what, least, most) in expected {
            let found = match *what {
                "requests" => sequence.requests.len() as f64,
                "objects" => sequence.sizes.len() as f64,
                "share of the most wanted" => {
                    (0..sequence.sizes.len()).map(count).fold(0.0, f64::max) / sequence.requests.len() as f64
                }
                "mean size" => sequence.footprint() as f64 / sequence.sizes.len() as f64,
                other => unreachable!("{other}"),
            };
            assert!((*least..=*most).contains(&found), "{pattern:?} {sizes:?} {what}: {found}");
        }
    }

    #[test]
    fn patterns() {
        let one = Sizes::Constant(100);
        // The first of 1,000 ranks has 1 ÷ H(1000) = 13.4 % at α = 1.
        let all = ("requests", 20_000.0, 20_000.0);
        check(Pattern::Zipf(1.0), one, &[all, ("objects", 900.0, 1000.0), ("share of the most wanted", 0.12, 0.15)]);
        check(Pattern::Loop, one, &[all, ("objects", 1000.0, 1000.0), ("share of the most wanted", 0.001, 0.001)]);
        check(Pattern::OneHit(1.0), one, &[all, ("objects", 10_000.0, 11_500.0)]);
        check(Pattern::Scans(1.0), one, &[all, ("objects", 5000.0, 6500.0)]);
        check(Pattern::Drift(1.0), one, &[all, ("objects", 1000.0, 2000.0)]);
        check(Pattern::Loop, Sizes::Web, &[("mean size", 22_000.0, 38_000.0)]);
    }
}
