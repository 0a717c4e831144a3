//! `policy-rounds NAME COUNT`: does what is measured so many times, for a profiler to count instructions.

use std::process::ExitCode;

use holm_bench_micro::{Hit, MEASURED};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let count = words.next().and_then(|word| word.parse::<u32>().ok());
    let (Some(measured), Some(count)) = (MEASURED.iter().find(|measured| measured.name == name), count) else {
        eprintln!("policy-rounds NAME COUNT");
        return ExitCode::FAILURE;
    };
    let hit = Hit::new(measured.cache_control);
    for _ in 0..count {
        (measured.run)(&hit);
    }
    ExitCode::SUCCESS
}
