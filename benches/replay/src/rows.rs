//! The rows: what is replayed by default, and which rows have a bar.

use crate::workload::{Pattern, Sizes, Workload};

/// A sequence and how large the caches are for it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) workload: Workload,
    /// The caches' share of the bytes of all objects that the workload asks for.
    pub(crate) share: f64,
}

/// All rows, each with a seed of its own.
pub(crate) fn rows(objects: u32, requests: u32, seed: u64) -> Vec<Row> {
    let patterns = SIZES.iter().flat_map(|sizes| ZIPF.iter().map(|alpha| (Pattern::Zipf(*alpha), *sizes)));
    let others = [Pattern::Scans(0.9), Pattern::OneHit(0.9), Pattern::Loop, Pattern::Drift(0.9)];
    let all = patterns.chain(others.map(|pattern| (pattern, Sizes::Web)));
    let row = |(number, (pattern, sizes)): (u64, (Pattern, Sizes))| {
        let workload = Workload { pattern, sizes, objects, requests, seed: seed + number };
        SHARES.map(|share| Row { name: name(pattern, sizes, share), workload, share })
    };
    (0..).zip(all).flat_map(row).collect()
}

impl Row {
    /// Is it one that has a bar?
    pub(crate) fn has_bar(&self) -> bool {
        matches!(self.workload.pattern, Pattern::Zipf(_))
    }
}

fn name(pattern: Pattern, sizes: Sizes, share: f64) -> String {
    let pattern = match pattern {
        Pattern::Zipf(alpha) => format!("zipf {alpha:.1}"),
        Pattern::Scans(alpha) => format!("scans in zipf {alpha:.1}"),
        Pattern::OneHit(alpha) => format!("one-hit, zipf {alpha:.1}"),
        Pattern::Loop => "loop".to_owned(),
        Pattern::Drift(alpha) => format!("drift of zipf {alpha:.1}"),
    };
    let sizes = match sizes {
        Sizes::Constant(size) => format!("{} KiB", size >> 10),
        Sizes::Web => "web sizes".to_owned(),
    };
    format!("{pattern}, {sizes}, {:.0} %", share * 100.0)
}

const ZIPF: &[f64] = &[0.6, 0.8, 0.9, 1.0, 1.1];
const SIZES: &[Sizes] = &[Sizes::Constant(16 << 10), Sizes::Constant(1 << 20), Sizes::Web];
const SHARES: [f64; 2] = [0.01, 0.1];
