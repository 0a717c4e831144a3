//! `holm stats`: requests, hit ratio and latency within a window.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use holm_control::client::Client;
use holm_model::units::{ByteSize, HumanDuration};
use holm_telemetry::{StatsReport, TierReport};

use crate::args::StatsArgs;
use crate::output::{self, NONE, Side, Table, line, micros, percent};
use crate::{Failure, cluster};

pub(super) async fn run(args: StatsArgs) -> Result<(), Failure> {
    let client = cluster::connect(&args.cluster)?;
    if !args.watch {
        return show(&client, &args).await;
    }
    tokio::select! {
        result = watch(&client, &args) => result,
        // Ctrl-C is how a watch ends.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn watch(client: &Client, args: &StatsArgs) -> Result<(), Failure> {
    let clears = stdout().is_terminal() && !args.output.json;
    let mut turns = tokio::time::interval(EVERY);
    loop {
        turns.tick().await;
        if clears {
            // ECMA-48: cursor home, erase the display.
            line("\x1b[H\x1b[2J")?;
        }
        show(client, args).await?;
        if !clears && !args.output.json {
            line("")?;
        }
    }
}

async fn show(client: &Client, args: &StatsArgs) -> Result<(), Failure> {
    let report = client.stats(args.site.as_ref(), args.window).await?;
    if args.output.json { output::json(&report) } else { line(&render(&report)) }
}

fn render(report: &StatsReport) -> String {
    let window = HumanDuration(Duration::from_secs(report.window_seconds));
    if report.tiers.values().all(|tier| tier.requests == 0) {
        return format!("no requests within {window}\n{}", origins(report));
    }
    format!("within {window}\n\n{}\n\n{}\n\n{}", traffic(report), latency(report), origins(report))
}

fn traffic(report: &StatsReport) -> String {
    let mut table = Table::new(&[
        ("tier", Side::Left),
        ("requests", Side::Right),
        ("hits", Side::Right),
        ("hit ratio", Side::Right),
        ("by bytes", Side::Right),
        ("sent", Side::Right),
        ("errors (5xx)", Side::Right),
    ]);
    for (name, tier) in &report.tiers {
        let ratio = |share| if was_looked_up(tier) { percent(share) } else { NONE.to_owned() };
        table.row(vec![
            name.clone(),
            tier.requests.to_string(),
            tier.hits.to_string(),
            ratio(tier.hit_ratio),
            ratio(tier.byte_hit_ratio),
            ByteSize::bytes(tier.bytes).to_string(),
            tier.errors.to_string(),
        ]);
    }
    table.render()
}

fn latency(report: &StatsReport) -> String {
    let mut table = Table::new(&[
        ("tier", Side::Left),
        ("class", Side::Left),
        ("requests", Side::Right),
        ("p50", Side::Right),
        ("p90", Side::Right),
        ("p99", Side::Right),
        ("p99.9", Side::Right),
    ]);
    for (name, tier) in &report.tiers {
        for (class, times) in tier.latency.iter().filter(|(_, times)| times.count > 0) {
            let quantiles = [times.p50_us, times.p90_us, times.p99_us, times.p999_us].map(micros);
            table.row([name.clone(), class.clone(), times.count.to_string()].into_iter().chain(quantiles).collect());
        }
    }
    table.render()
}

fn origins(report: &StatsReport) -> String {
    let fetches = report.origin_fetches;
    let offload = if report.tiers.is_empty() { NONE.to_owned() } else { percent(report.origin_offload) };
    format!("origins, since the start: {fetches} fetches, {offload} of the edge's requests kept from them")
}

/// A ratio of nothing is none.
fn was_looked_up(tier: &TierReport) -> bool {
    tier.hits > 0 || tier.latency.get("miss").is_some_and(|misses| misses.count > 0)
}

/// How often a watch shows the figures again.
const EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use holm_telemetry::{Latency, StatsReport, TierReport};

    use super::render;

    fn times(count: u64, p50_us: u64) -> Latency {
        Latency { count, p50_us, p90_us: p50_us * 2, p99_us: p50_us * 10, p999_us: p50_us * 1000 }
    }

    fn report() -> StatsReport {
        let edge = TierReport {
            requests: 1000,
            hits: 950,
            hit_ratio: 0.95,
            byte_hit_ratio: 0.5,
            bytes: 3 << 20,
            errors: 2,
            latency: BTreeMap::from([("hit".to_owned(), times(950, 40)), ("miss".to_owned(), times(50, 1500))]),
        };
        let shield = TierReport { requests: 50, ..TierReport::default() };
        StatsReport {
            window_seconds: 300,
            tiers: BTreeMap::from([("edge".to_owned(), edge), ("shield".to_owned(), shield)]),
            origin_fetches: 40,
            origin_offload: 0.96,
        }
    }

    #[test]
    fn figures_stand_in_tables() {
        let expected = "\
within 5m

tier    requests  hits  hit ratio  by bytes  sent  errors (5xx)
edge        1000   950      95.0%     50.0%  3MiB             2
shield        50     0          -         -    0B             0

tier  class  requests     p50     p90      p99  p99.9
edge  hit         950    40µs    80µs    400µs  40.00ms
edge  miss         50  1.50ms  3.00ms  15.00ms    1.50s

origins, since the start: 40 fetches, 96.0% of the edge's requests kept from them";
        let expected = expected.replace("  p99.9\n", "    p99.9\n");
        assert_eq!(render(&report()), expected);
    }

    #[test]
    fn nothing_has_happened() {
        let text = render(&StatsReport { window_seconds: 10, ..StatsReport::default() });
        assert!(text.starts_with("no requests within 10s\n"), "{text}");
    }
}
