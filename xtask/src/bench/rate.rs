//! Rates: what the load generators measure.

use std::fmt;

use anyhow::{Context as _, Result, ensure};

use crate::command;

/// How a server is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// wrk, in the clear.
    Http1,
    /// h2load.
    Http2Tls,
}

impl Load {
    /// Asks for `url` as fast as it goes. Returns requests per second; a single failure fails.
    pub(super) fn run(self, url: &str, seconds: u32) -> Result<f64> {
        let mut generator = command::program("taskset");
        generator.args(["-c", LOAD_CORE]);
        let seconds = seconds.to_string();
        match self {
            Self::Http1 => generator.args(["wrk", "-t1", "-c64", "-d", &seconds, url]),
            Self::Http2Tls => generator.args(["h2load", "-t1", "-c32", "-m10", "-D", &seconds, url]),
        };
        let text = command::text(&mut generator)?;
        let (rate, clean) = match self {
            Self::Http1 => read_wrk(&text),
            Self::Http2Tls => read_h2load(&text),
        };
        ensure!(clean, "{url}: not every request got its answer:\n{text}");
        rate.with_context(|| format!("{url}: the load generator told no rate:\n{text}"))
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "h1",
            Self::Http2Tls => "h2 + TLS",
        })
    }
}

/// wrk's rate, and did all go well?
fn read_wrk(text: &str) -> (Option<f64>, bool) {
    let rate =
        text.lines().find_map(|line| line.strip_prefix("Requests/sec:")).and_then(|rate| rate.trim().parse().ok());
    (rate, !text.contains("Non-2xx") && !text.contains("Socket errors"))
}

/// The same of h2load.
fn read_h2load(text: &str) -> (Option<f64>, bool) {
    let finished = text.lines().find_map(|line| line.strip_prefix("finished in "));
    let rate = finished.and_then(|line| line.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok());
    (rate, text.contains(" 0 failed, 0 errored, 0 timeout") && text.contains(" 0 3xx, 0 4xx, 0 5xx"))
}

/// The rates of several rounds.
#[derive(Default)]
pub(super) struct Rate(Vec<f64>);

impl Rate {
    pub(super) fn add(&mut self, rate: f64) {
        let at = self.0.partition_point(|held| *held < rate);
        self.0.insert(at, rate);
    }

    /// The middle one; of an even number, the upper of the two.
    pub(super) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, most] = [self.0.first(), self.0.last()].map(|rate| rate.copied().unwrap_or(f64::NAN) / 1e3);
        write!(f, "{:.1} k ({least:.1} to {most:.1})", self.median() / 1e3)
    }
}

/// The servers have the other one.
pub(super) const LOAD_CORE: &str = "1";

#[cfg(test)]
mod tests {
    use super::{Rate, read_h2load, read_wrk};

    #[test]
    fn outputs() {
        assert_eq!(read_wrk("Running\nRequests/sec:  1234.56\n"), (Some(1234.56), true));
        assert_eq!(read_wrk("  Non-2xx or 3xx responses: 5\nRequests/sec: 9\n"), (Some(9.0), false));
        let h2load = "finished in 3.00s, 94000.33 req/s, 9.1MB/s\n\
            requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout\n\
            status codes: 9 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        assert_eq!(read_h2load(h2load), (Some(94000.33), true));
        assert_eq!(read_h2load(&h2load.replace("0 5xx", "1 5xx")), (Some(94000.33), false));
    }

    #[test]
    fn medians() {
        let mut rate = Rate::default();
        for each in [3000.0, 1000.0, 2000.0] {
            rate.add(each);
        }
        assert_eq!(rate.to_string(), "2.0 k (1.0 to 3.0)");
    }
}
