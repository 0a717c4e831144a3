//! A round: what the load generator and the device's counters say of some seconds.

use std::fmt;

use anyhow::{Context as _, Result, ensure};

use super::caches::Cache;
use super::device::Device;
use super::objects::Objects;
use crate::bench::rate::LOAD_CORE;
use crate::command;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Round {
    /// Answers per second.
    pub(super) rate: f64,
    /// The middle latency and the 99th percentile, in milliseconds.
    p50: f64,
    p99: f64,
    /// The device's reads, and the bytes that it read, for each answer.
    pub(super) reads: f64,
    pub(super) bytes: f64,
}

impl Round {
    /// Asks for objects at random.
    ///
    /// # Errors
    /// Not everything was answered, or not from the disk.
    pub(super) fn run(cache: &Cache, objects: &Objects, device: &Device, seconds: u32) -> Result<Self> {
        let mut wrk = command::program("taskset");
        wrk.args(["-c", LOAD_CORE, "wrk", "-t1", "-c64", "--latency", "-d", &seconds.to_string()]);
        wrk.args(["-s", "benches/load/random.lua", &format!("http://{}", cache.addr)]);
        wrk.args(["--", &objects.count.to_string(), &objects.query()]);
        let before = device.reads()?;
        let text = command::text(&mut wrk)?;
        let after = device.reads()?;
        let clean = !text.contains("Non-2xx") && !text.contains("Socket errors");
        ensure!(clean, "{}: not every request got its answer:\n{text}", cache.name);
        let (answers, mut round) = read_wrk(&text).with_context(|| format!("wrk told no rate:\n{text}"))?;
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let each = |after: u64, before: u64| (after - before) as f64 / answers;
        round.reads = each(after.count, before.count);
        round.bytes = each(after.bytes, before.bytes);
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let share = round.bytes / objects.size as f64;
        ensure!(share >= LEAST_FROM_DISK, "{}: only {share:.2} of what it served came from the disk", cache.name);
        Ok(round)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, reads, bytes, .. } = self;
        write!(f, "{p50:>9.2}{p99:>9.2}{reads:>9.2}{:>9.1}", bytes / 1024.0)
    }
}

/// The answers, and what else wrk tells.
fn read_wrk(text: &str) -> Option<(f64, Round)> {
    let after = |word: &str| text.lines().find_map(|line| line.trim().strip_prefix(word)).map(str::trim);
    let answers = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    let rate = after("Requests/sec:")?.parse().ok()?;
    let (p50, p99) = (millis(after("50%")?)?, millis(after("99%")?)?);
    Some((answers, Round { rate, p50, p99, reads: 0.0, bytes: 0.0 }))
}

/// `1.25ms`, in milliseconds.
fn millis(text: &str) -> Option<f64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "us" => Some(number / 1e3),
        "ms" => Some(number),
        "s" => Some(number * 1e3),
        _ => None,
    }
}

/// What memory serves by chance is to be less than the rest.
const LEAST_FROM_DISK: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::{Round, millis, read_wrk};

    #[test]
    fn outputs() {
        let text = "Running 8s test\n  Latency Distribution\n     50%  812.00us\n     75%    2.71ms\n     99%    1.20s \n  \
            160000 requests in 8.00s, 2.5GB read\nRequests/sec:  20000.50\n";
        let round = Round { rate: 20_000.5, p50: 0.812, p99: 1200.0, reads: 0.0, bytes: 0.0 };
        assert_eq!(read_wrk(text), Some((160_000.0, round)));
        assert_eq!(read_wrk(&text.replace("99%", "98%")), None);
        assert_eq!([millis("3m"), millis("")], [None, None]);
    }
}
