//! What the memory tier keeps.

use std::sync::Arc;

use bytes::Bytes;
use holm_model::ids::Seq;
use holm_model::units::ByteSize;

use super::{Memory, MemoryStats};
use crate::marks::{FillGuard, Marks};
use crate::object::Object;
use crate::scope::{ANY_HOST, Scope};

#[test]
fn a_new_tier_is_empty() {
    for capacity in [ByteSize::bytes(0), ByteSize::kib(1), ByteSize::mib(1), ByteSize::mib(64), ByteSize::mib(5000)] {
        let memory: Memory<u64> = Memory::new(capacity);
        assert_eq!(memory.stats(), MemoryStats::default(), "{capacity:?}");
        assert!((0..100).all(|key| !memory.contains(key) && memory.get(key).is_none()), "{capacity:?}");
    }
}

/// Of 10,000 objects a tenth fits, asked for after Zipf's law with α = 0.8. With the sketch as moka sizes it, half of the
/// requests are hits; with S3-FIFO 53 %.
#[test]
fn what_is_asked_for_more_often_stays() {
    let guard = Marks::new().begin_fill();
    let weight = u64::from(object(&guard).weight());
    let memory = Memory::new(ByteSize::bytes(1000 * weight));
    let cumulated: Vec<f64> = (1..=10_000)
        .scan(0.0, |sum, rank| {
            *sum += f64::from(rank).powf(-0.8);
            Some(*sum)
        })
        .collect();
    let total = cumulated.last().copied().unwrap_or_default();
    let (mut hits, mut state) = (0, 1_u64);
    for _ in 0..REQUESTS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let point = (state >> 11) as f64 / (1_u64 << 53) as f64 * total;
        let rank = cumulated.partition_point(|sum| *sum <= point);
        let key = u128::from((rank as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        match memory.get(key) {
            Some(_) => hits += 1,
            None => memory.insert(key, Arc::new(object(&guard)), &guard).expect("stored"),
        }
    }
    let percent = hits * 100 / REQUESTS;
    assert!(percent >= 52, "{percent} % of the requests are hits");
}

fn object(guard: &FillGuard) -> Object<u64> {
    let site = "s".parse().expect("a site's name");
    let body = Bytes::from_static(&[0; 15 << 10]);
    Object::new(0, body, Scope::new(&site, ANY_HOST, "/", None, &[]), Seq::ZERO, guard.begun().local)
}

const REQUESTS: usize = 150_000;
