//! The policies against small sequences whose outcome is known.

use super::{Belady, Lru, Policy, S3Fifo, Sieve, bound};
use crate::sequence::Sequence;
use crate::workload::{Pattern, Sizes, Workload};

type Make = for<'a> fn(&'a Sequence, u64) -> Box<dyn Policy + 'a>;

/// A letter is an object of one byte; a capital, one of three. What is hit is marked.
fn check(make: Make, capacity: u64, requests: &str, hits: &str) {
    let size = |letter: char| if letter.is_uppercase() { 3 } else { 1 };
    let sequence = Sequence::of(requests.chars().map(|letter| (u64::from(letter), size(letter))));
    let found: String = run(make, &sequence, capacity).map(|hit| if hit { '^' } else { ' ' }).collect();
    assert_eq!(found.trim_end(), hits, "{requests} with {capacity}");
}

fn run(make: Make, sequence: &Sequence, capacity: u64) -> impl Iterator<Item = bool> {
    let mut policy = make(sequence, capacity);
    sequence.requests.iter().enumerate().map(move |(at, object)| {
        let hit = policy.request(at, *object, sequence.size(*object));
        assert!(policy.bytes() <= capacity, "request {at}: {} bytes of {capacity} are held", policy.bytes());
        hit
    })
}

fn lru<'a>(sequence: &'a Sequence, capacity: u64) -> Box<dyn Policy + 'a> {
    Box::new(Lru::new(sequence, capacity))
}

fn sieve<'a>(sequence: &'a Sequence, capacity: u64) -> Box<dyn Policy + 'a> {
    Box::new(Sieve::new(sequence, capacity))
}

fn s3_fifo<'a>(sequence: &'a Sequence, capacity: u64) -> Box<dyn Policy + 'a> {
    Box::new(S3Fifo::new(sequence, capacity))
}

fn belady<'a>(sequence: &'a Sequence, capacity: u64) -> Box<dyn Policy + 'a> {
    Box::new(Belady::new(sequence, capacity))
}

#[test]
fn by_hand() {
    check(lru, 2, "abacab", "  ^ ^");
    check(lru, 3, "abcAabc", "");
    check(lru, 2, "aAa", "  ^");
    // The hand spares a, drops b and then c.
    check(sieve, 3, "abcadba", "   ^  ^");
    check(belady, 2, "abcab", "   ^^");
    check(belady, 3, "abAab", "   ^^");
    // What was used twice while it was new outlives all that are asked for once; what was not comes back by way of
    // the ghosts, and then stays.
    check(s3_fifo, 20, "aaabcdefghijklmnopqrstuvwxyza", " ^^                         ^");
}

#[test]
fn bounds() {
    for (seed, sizes) in [(1, Sizes::Constant(100)), (2, Sizes::Web)] {
        for pattern in
            [Pattern::Zipf(0.8), Pattern::Scans(1.0), Pattern::OneHit(0.9), Pattern::Loop, Pattern::Drift(1.0)]
        {
            let sequence = Workload { pattern, sizes, objects: 500, requests: 10_000, seed }.generate();
            let capacity = sequence.footprint() / 10;
            let hits = |make: Make| run(make, &sequence, capacity).filter(|hit| *hit).count();
            let best = hits(belady);
            let bound = bound(&sequence, capacity).objects * sequence.requests.len() as f64;
            for (name, make) in [("LRU", lru as Make), ("SIEVE", sieve), ("S3-FIFO", s3_fifo), ("Belady", belady)] {
                let hits = hits(make);
                assert!(hits as f64 <= bound, "{name}, {pattern:?}, {sizes:?}: {hits} is more than {bound}");
                assert!(hits <= best || sizes == Sizes::Web, "{name}, {pattern:?}: {hits} is more than {best}");
            }
        }
    }
}
