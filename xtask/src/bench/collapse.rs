//! Collapsing: many connections ask for one URL that is not there, at once. One fetch is to be made, and the waiters are
//! to have their first byte as soon as the origin has sent it and the node can hand it on.

use anyhow::{Result, bail, ensure};
use clap::Args;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::client::{load, measured, number};
use super::peers::{Origin, Peer, Peers};
use super::rate::Load;
use super::tell;

/// `cargo xtask bench collapse`.
#[derive(Debug, Args)]
pub(crate) struct CollapseArgs {
    /// Requests at once; nginx is asked by 1,000, and so are we
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=25_000))]
    requests: u32,
    /// With unoptimised binaries and without bars: tries the bench itself
    #[arg(long)]
    debug: bool,
}

/// What was measured of one server, in milliseconds but for the rate.
struct Burst {
    p50: f64,
    p99: f64,
    most: f64,
    /// Hits per second of the same object.
    peak: f64,
    bar: f64,
}

/// Measures, prints a table, and fails above the bar.
pub(crate) fn run(args: &CollapseArgs) -> Result<()> {
    let profile = super::prepare(args.debug)?;
    raise_files(u64::from(args.requests) + FILES_BESIDE)?;
    let peers = Peers::start(profile)?;
    let origin = time_of(&peers.origin, profile)?;
    println!("\n{METHOD}\nthe origin's first byte, asked directly: {origin:.1} ms\n");
    println!(
        "{:<20}{:>10}{:>10}{:>10}{:>10}{:>12}{:>10}",
        "", "requests", "p50 ms", "p99 ms", "max ms", "peak/s", "bar ms"
    );
    let mut met = true;
    for (peer, requests) in [(&peers.nginx, BESIDE), (&peers.holm, BESIDE), (&peers.holm, args.requests)] {
        let burst = measure(&peers.origin, peer, profile, requests, origin)?;
        let Burst { p50, p99, most, peak, bar } = burst;
        println!("{:<20}{requests:>10}{p50:>10.1}{p99:>10.1}{most:>10.1}{peak:>12.0}{bar:>10.1}", peer.version);
        met &= p99 <= bar || peer.version == peers.nginx.version;
    }
    println!();
    let met = tell("ours: p99 of the first byte ≤ the origin's + requests ÷ peak rate + 2 ms", met);
    peers.stop()?;
    if !met && !args.debug {
        bail!("above the bar");
    }
    Ok(())
}

fn measure(origin: &Origin, peer: &Peer, profile: &str, requests: u32, origin_ms: f64) -> Result<Burst> {
    let name = peer.version.split(' ').next().unwrap_or_default();
    let place = format!("/collapse-{name}-{requests}");
    let path = format!("{place}?{WISHES}");
    let count = requests.to_string();
    let burst =
        measured(&mut load(profile, &["burst", "--host", peer.host(), "--path", &path, "--connections", &count]))?;
    let fetches = origin.asked(&place)?;
    ensure!(fetches == 1, "{}: {requests} requests led to {fetches} fetches, not one", peer.version);
    peer.hit(Load::Http1, &path)?;
    let peak = Load::Http1.run(&peer.url(Load::Http1, &path), PEAK_SECONDS)?;
    let at = |name| number(&burst, &format!("/first_byte/{name}"));
    let bar = origin_ms + f64::from(requests) / peak * 1e3 + BEYOND_MS;
    Ok(Burst { p50: at("p50_ms")?, p99: at("p99_ms")?, most: at("max_ms")?, peak, bar })
}

/// How long the origin itself takes to its first byte: the median of five.
fn time_of(origin: &Origin, profile: &str) -> Result<f64> {
    let host = origin.url.trim_start_matches("http://");
    let path = format!("/collapse-origin?{WISHES}");
    let words = ["burst", "--host", host, "--path", &path, "--connections", "1"];
    let one = || number(&measured(&mut load(profile, &words))?, "/first_byte/p50_ms");
    let mut times = (0..5).map(|_| one()).collect::<Result<Vec<_>>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Lets us, and all that we start, have so many open files.
fn raise_files(count: u64) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    let most = limit.maximum.unwrap_or(count);
    limit.current = Some(count.max(most));
    limit.maximum = limit.maximum.map(|most| most.max(count));
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        bail!("{count} open files are needed, {most} are allowed at most ({error}): ask for fewer --requests");
    }
    Ok(())
}

/// So many ask nginx: that it takes 1,000 is known.
const BESIDE: u32 = 1000;
/// Half a second until the origin answers; then its answer is fresh for longer than any run.
const WISHES: &str = "size=1024&delay=500&cache-control=max-age%3D86400";
const PEAK_SECONDS: u32 = 5;
const BEYOND_MS: f64 = 2.0;
/// Files that a server needs beside its clients' connections.
const FILES_BESIDE: u64 = 1000;

const METHOD: &str = "\
first requests for one URL of 1 KiB, all at once, each on a connection that was opened before; the origin answers after 500 ms
and counts what it is asked: more than one fetch fails. Server and load have a core each. Times to the first byte count from
each request's sending. Peak: wrk -t1 -c64, hits of the same object, in the same run. nginx: proxy_cache_lock";
