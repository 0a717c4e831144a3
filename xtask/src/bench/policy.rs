//! What the policy does for every hit: nanoseconds (criterion), allocations, instructions (callgrind, where it is).

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::command::{self, cargo};
use crate::repo;

/// Measures, prints a table, and fails above the bar.
pub(crate) fn run() -> Result<()> {
    // The test fails where something is allocated; here that is told with the rest.
    let tests = command::output(&mut cargo(&["test", PACKAGE, "--locked", "--", "--nocapture"]))?;
    let tests = String::from_utf8_lossy(&tests.stdout);
    command::run(&mut cargo(&["bench", PACKAGE, "--locked", "--bench", "policy", "--", "--noplot"]))?;
    let valgrind = command::find("valgrind").is_some();
    if valgrind {
        command::run(&mut cargo(&["build", "--release", PACKAGE, "--locked", "--bin", ROUNDS]))?;
    }
    println!("\n{:<16}{:>14}{:>14}{:>14}", "", "ns", "allocations", "instructions");
    let mut slow = Vec::new();
    for (name, most) in MEASURED {
        let time = nanoseconds(name)?;
        let allocations = allocations(name, &tests).with_context(|| format!("{name}: no count of allocations"))?;
        let instructions = if valgrind { instructions(name)?.to_string() } else { "no valgrind".to_owned() };
        println!("{name:<16}{time:>14.1}{allocations:>14}{instructions:>14}");
        if time >= *most || allocations > 0 {
            slow.push(*name);
        }
    }
    let bars: Vec<_> = MEASURED.iter().map(|(name, most)| format!("{name} {most} ns")).collect();
    println!("bar: less than {}, and no allocation", bars.join(", "));
    if !slow.is_empty() {
        bail!("above the bar: {}", slow.join(", "));
    }
    Ok(())
}

/// criterion's median.
fn nanoseconds(name: &str) -> Result<f64> {
    let file = repo::target().join(format!("criterion/{name}/new/estimates.json"));
    let estimates: Value = serde_json::from_str(&repo::read(&file)?).context("criterion wrote no JSON")?;
    estimates["median"]["point_estimate"].as_f64().context("criterion wrote no median")
}

/// `allocations NAME COUNT`
fn allocations(name: &str, tests: &str) -> Option<u64> {
    let line = tests.lines().find_map(|line| line.split_once(&format!("allocations {name} ")))?;
    line.1.trim().parse().ok()
}

/// What one more round adds to what a run collects.
fn instructions(name: &str) -> Result<u64> {
    let few = collected(name, 1000)?;
    let many = collected(name, 2000)?;
    Ok(many.saturating_sub(few) / 1000)
}

fn collected(name: &str, rounds: u32) -> Result<u64> {
    let mut valgrind = command::program("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(repo::target().join("release").join(ROUNDS)).args([name, &rounds.to_string()]);
    let output = command::output(&mut valgrind)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "callgrind failed:\n{said}");
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    line.and_then(|(_, count)| count.trim().parse().ok()).with_context(|| format!("callgrind told no count:\n{said}"))
}

const PACKAGE: &str = "--package=holm-bench-micro";
const ROUNDS: &str = "policy-rounds";
/// Of `holm_bench_micro::MEASURED`, each with its bar. A hit takes some microseconds in all: a decision is to be lost in
/// it. A key is a BLAKE3 hash of two or three blocks, which alone takes longer than any decision.
const MEASURED: &[(&str, f64)] = &[("hit", 300.0), ("hit-directives", 300.0), ("variant", 2000.0), ("key", 1000.0)];

#[cfg(test)]
mod tests {
    use super::allocations;

    #[test]
    fn counts() {
        let printed = "running 2 tests\ntest a ... allocations hit 0\nallocations hit-directives 3\n";
        assert_eq!(allocations("hit", printed), Some(0));
        assert_eq!(allocations("hit-directives", printed), Some(3));
        assert_eq!(allocations("key", printed), None);
    }
}
