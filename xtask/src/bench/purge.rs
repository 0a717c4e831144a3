//! A purge by tag of very many objects, in memory and on disk, while hits of another object are served at a constant rate.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::client::{load, measured, measured_with, number};
use super::peers::{Origin, Peer, make_certificate};
use super::rate::Load;
use super::tell;
use crate::{command, repo};

/// `cargo xtask bench purge`.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// Objects that bear the tag
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=10_000_000))]
    objects: u64,
    /// Hits a second meanwhile
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(64..))]
    rate: u32,
    /// Seconds before the purge, and as many after it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// With unoptimised binaries and without bars: tries the bench itself
    #[arg(long)]
    debug: bool,
}

/// What came of the purges.
struct Purges {
    durable_ms: f64,
    applied_ms: f64,
    /// Was an object that bore the tag still a hit after each?
    hits: [bool; 2],
}

/// Measures, prints it, and fails above the bar.
pub(crate) fn run(args: &PurgeArgs) -> Result<()> {
    let profile = super::prepare(args.debug)?;
    let dir = repo::empty_scratch("bench")?;
    make_certificate(&dir)?;
    let origin = Origin::start(&dir, profile)?;
    let holm = start(&dir, &origin, profile, args.objects)?;
    println!("\n{METHOD}\n");
    fill(args, &holm, profile)?;
    let (times, purges) = under_load(args, &holm, profile)?;
    let met = report(&times, &purges)?;
    holm.stop()?;
    origin.stop()?;
    if !met && !args.debug {
        bail!("above the bar");
    }
    Ok(())
}

/// A node that has room for all of them, in memory and on disk.
fn start(dir: &Path, origin: &Origin, profile: &str, objects: u64) -> Result<Peer> {
    let size = format!("{}MiB", 512 + objects * BYTES_AN_OBJECT / (1 << 20));
    Peer::start_holm(dir, origin, profile, &["--memory", &size, "--disk", &size])
}

/// Through the front door: a second request brings an object to the disk.
fn fill(args: &PurgeArgs, holm: &Peer, profile: &str) -> Result<()> {
    let (begun, objects) = (Instant::now(), args.objects.to_string());
    let words = ["fill", "--host", holm.host(), "--path", OBJECT, "--objects", &objects, "--passes", "2"];
    measured(&mut load(profile, &words))?;
    let metrics = command::text(command::program("curl").args(["-sS", &format!("{}/metrics", admin(holm)?)]))?;
    let [memory, disk] = ["memory", "disk"].map(|store| held(&metrics, store));
    println!(
        "filled in {:.0} s: the edge holds {memory} objects in memory, {disk} on disk",
        begun.elapsed().as_secs_f64()
    );
    for (store, held) in [("memory", memory), ("disk", disk)] {
        ensure!(
            held as f64 >= args.objects as f64 * ENOUGH,
            "only {held} of {objects} objects are in the {store} tier"
        );
    }
    Ok(())
}

/// Of the line `holm_cache_objects{node="…",store="disk",tier="edge"} 17`, whatever the order of its labels.
fn held(metrics: &str, store: &str) -> u64 {
    let labels = [format!("store=\"{store}\""), "tier=\"edge\"".to_owned()];
    let is_it =
        |line: &&str| line.starts_with("holm_cache_objects{") && labels.iter().all(|label| line.contains(label));
    let value = |line: &str| line.rsplit_once(' ')?.1.parse::<f64>().ok();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let sum = metrics.lines().filter(is_it).filter_map(value).sum::<f64>() as u64;
    sum
}

fn under_load(args: &PurgeArgs, holm: &Peer, profile: &str) -> Result<(Value, Purges)> {
    holm.hit(Load::Http1, HOT)?;
    let (rate, half) = (args.rate.to_string(), args.seconds.to_string());
    let words = ["rate", "--host", holm.host(), "--path", HOT, "--per-second", &rate, "--half", &half];
    measured_with(load(profile, &words).args(["--connections", "32"]), || {
        let (durable_ms, first) = (purge(holm, "durable", 202)?, is_hit(holm, 1)?);
        let (applied_ms, second) = (purge(holm, "applied", 200)?, is_hit(holm, 2)?);
        Ok(Purges { durable_ms, applied_ms, hits: [first, second] })
    })
}

/// How long the API takes, connecting included, in milliseconds.
fn purge(holm: &Peer, wait: &str, expected: u16) -> Result<f64> {
    let token = holm.ready["token_file"].as_str().context("no token_file")?;
    let token = format!("Authorization: Bearer {}", repo::read(Path::new(token))?.trim());
    let wanted = json!({ "tags": [TAG], "wait": wait }).to_string();
    let mut curl = command::program("curl");
    curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code} %{time_total}", "--max-time", "30", "-H", &token]);
    curl.args([
        "-H",
        "Content-Type: application/json",
        "-d",
        &wanted,
        &format!("{}/v1/sites/default/purge", admin(holm)?),
    ]);
    let said = command::text(&mut curl)?;
    let (status, seconds) = said.split_once(' ').context("curl told no time")?;
    ensure!(status == expected.to_string(), "the purge was answered with {status}, not {expected}");
    Ok(seconds.parse::<f64>().context("curl told no time")? * 1e3)
}

fn is_hit(holm: &Peer, number: u64) -> Result<bool> {
    let url = format!("{}{}", holm.http, OBJECT.replace("{}", &number.to_string()));
    let response = command::text(command::program("curl").args(["-sSi", "--max-time", "10", &url]))?;
    let status = response.lines().find(|line| line.to_ascii_lowercase().starts_with("cache-status:"));
    Ok(status.with_context(|| format!("no Cache-Status:\n{response}"))?.contains("; hit"))
}

fn admin(holm: &Peer) -> Result<&str> {
    holm.ready["admin"].as_str().context("no admin")
}

fn report(times: &Value, purges: &Purges) -> Result<bool> {
    let [before, after] = ["before", "after"].map(|half| number(times, &format!("/{half}/p99_ms")));
    let (before, after) = (before?, after?);
    println!("the API's answer: {:.2} ms durable (202), {:.2} ms applied (200)", purges.durable_ms, purges.applied_ms);
    for half in ["before", "after"] {
        println!("hits {half} the purge: {}", times[half]);
    }
    println!();
    let bars = [
        tell("the purge is answered in less than 5 ms once durable", purges.durable_ms < API_MS),
        tell("the next look-up is a miss, after the 202 as after the 200", purges.hits == [false, false]),
        tell("p99 of hits from the purge on is at most twice that of before", after <= before * 2.0),
    ];
    Ok(bars.iter().all(|met| *met))
}

const TAG: &str = "everything";
const OBJECT: &str = "/o/{}?size=64&tag=everything&cache-control=max-age%3D86400";
const HOT: &str = "/hot?size=1024&tag=hot&cache-control=max-age%3D86400";
/// More than an object of 64 bytes takes, in memory or on disk, in both roles.
const BYTES_AN_OBJECT: u64 = 4096;
/// The share of the objects that must be there.
const ENOUGH: f64 = 0.95;
const API_MS: f64 = 5.0;

const METHOD: &str = "\
objects of 64 bytes with one tag, each asked for twice through the node's HTTP port, so that they are in memory and on disk.
Then hits of another object at a constant rate on 32 connections, timed from when each was due; halfway the tag is purged twice
through the API, waiting for durability and then for application, with one of the objects asked for after each. Server and
load have a core each";

#[cfg(test)]
mod tests {
    use super::held;

    #[test]
    fn objects_in_metrics() {
        let metrics = "# HELP holm_cache_objects Objects\n\
            holm_cache_objects{node=\"a\",tier=\"edge\",store=\"disk\"} 17\n\
            holm_cache_objects{node=\"a\",tier=\"edge\",store=\"memory\"} 5\n\
            holm_cache_objects{node=\"a\",tier=\"shield\",store=\"disk\"} 9\n";
        assert_eq!((held(metrics, "disk"), held(metrics, "memory"), held(metrics, "tape")), (17, 5, 0));
    }
}
