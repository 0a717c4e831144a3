//! Hits from disk per second: objects at random, far more than memory holds; one core for the server, one for the load;
//! Traffic Server, nginx and ours in turn.

mod caches;
mod client;
mod device;
mod objects;
mod round;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use self::caches::{Cache, Kind};
use self::device::{Cold, Device};
use self::objects::Objects;
use self::round::Round;
use super::peers::binary;
use crate::command::{self, cargo};
use crate::repo;
use crate::server::Server;
use crate::setup;

/// `cargo xtask bench disk`.
#[derive(Debug, Args)]
pub(crate) struct DiskArgs {
    /// Rounds of each measurement; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Seconds of each round
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Objects of 16 KiB
    #[arg(long, default_value_t = 20_000)]
    small: usize,
    /// Objects of 1 MiB
    #[arg(long, default_value_t = 512)]
    large: usize,
    /// With unoptimised binaries and without bars: tries the bench itself
    #[arg(long)]
    debug: bool,
}

/// Measures, prints tables, and fails unless each bar is met.
pub(crate) fn run(args: &DiskArgs) -> Result<()> {
    let cores = std::thread::available_parallelism();
    ensure!(cores.is_ok_and(|cores| cores.get() >= 2), "two cores are needed: one for the server, one for the load");
    install()?;
    let (profile, optimised) = if args.debug { ("debug", None) } else { ("release", Some("--release")) };
    let build = ["build", "--package=holm-cli", "--package=holm-example-origin", "--locked"];
    command::run(cargo(&build).args(optimised))?;
    let dir = repo::empty_scratch("bench-disk")?;
    let mut origin = command::program(binary(profile, "holm-example-origin"));
    let (origin, ready) = Server::start_ready("origin", &mut origin, &dir.join("origin.log"))?;
    let url = ready["url"].as_str().context("the origin told no URL")?;
    let mut missed = Vec::new();
    for (size, count, bar) in [(16 << 10, args.small, Bar::TRAFFIC_SERVER), (1 << 20, args.large, Bar::NGINX)] {
        let place = dir.join(size.to_string());
        std::fs::create_dir(&place)?;
        let measured = measure(args, &place, url, profile, size, count)?;
        // The next ones shall have room.
        std::fs::remove_dir_all(&place)?;
        missed.extend(bar.missed(size, &measured)?);
    }
    origin.stop()?;
    ensure!(args.debug || missed.is_empty(), "{}", missed.join("; "));
    Ok(())
}

/// What setup does, and what is needed here alone.
fn install() -> Result<()> {
    setup::run()?;
    if command::find("traffic_server").is_some() {
        return Ok(());
    }
    println!("Traffic Server is missing: apt-get install trafficserver");
    let mut apt = command::program("apt-get");
    apt.args(["install", "-y", "-q", "--no-install-recommends", "trafficserver"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command::quiet(&mut apt).context("Traffic Server can't be installed. It is Debian's package `trafficserver`")
}

/// All caches, with objects of one size.
fn measure(
    args: &DiskArgs,
    dir: &Path,
    origin: &str,
    profile: &str,
    size: u64,
    count: usize,
) -> Result<Vec<(Kind, Vec<Round>)>> {
    let addr: SocketAddr = origin.trim_start_matches("http://").parse().with_context(|| format!("{origin}?"))?;
    let objects = Objects::of(addr, size, count)?;
    let device = Device::of(dir)?;
    let mut caches = vec![
        Cache::traffic_server(dir, origin)?,
        Cache::nginx(dir, origin, true)?,
        Cache::nginx(dir, origin, false)?,
        Cache::holm(dir, origin, profile, size)?,
    ];
    for cache in &mut caches {
        cache.fill(&objects)?;
    }
    let mut measured: Vec<(Kind, Vec<Round>)> = caches.iter().map(|cache| (cache.kind, Vec::new())).collect();
    let before = objects.origin_count()?;
    let cold = Cold::keep()?;
    // In turn: what slows the machine for a while slows all.
    for _ in 0..args.rounds {
        for (cache, (_, rounds)) in caches.iter().zip(&mut measured) {
            rounds.push(Round::run(cache, &objects, &device, args.seconds)?);
        }
    }
    drop(cold);
    ensure!(objects.origin_count()? == before, "not everything was a hit: the origin was asked");
    print(args, &objects, &caches, &mut measured);
    caches.iter_mut().try_for_each(Cache::stop)?;
    Ok(measured)
}

/// A table; sorts the rounds.
fn print(args: &DiskArgs, objects: &Objects, caches: &[Cache], measured: &mut [(Kind, Vec<Round>)]) {
    let (count, size) = (objects.count, objects.size >> 10);
    println!(
        "\n{count} objects of {size} KiB from disk, 64 connections, median of {} × {} s\n",
        args.rounds, args.seconds
    );
    println!("{:<28}{:>26}{:>9}{:>9}{:>9}{:>9}", "", "a second", "p50 ms", "p99 ms", "reads", "KiB");
    for (cache, (_, rounds)) in caches.iter().zip(measured) {
        rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let range = rounds.first().zip(rounds.last());
        let range = range.map(|(least, most)| format!("({:.0} to {:.0})", least.rate, most.rate));
        let Some(middle) = median(rounds) else { continue };
        println!("{:<28}{:>8.0}{:>18}{middle}", cache.name, middle.rate, range.unwrap_or_default());
    }
    println!("\nreads and KiB: what the device read for each answer");
}

fn median(sorted: &[Round]) -> Option<&Round> {
    sorted.get(sorted.len() / 2)
}

/// What ours must reach.
struct Bar {
    peer: Kind,
    peer_name: &'static str,
    /// Its rate over the peer's.
    ratio: f64,
    /// Reads of the device for each answer. A large object may take several: the kernel splits them.
    reads: f64,
}

impl Bar {
    const TRAFFIC_SERVER: Self =
        Self { peer: Kind::TrafficServer, peer_name: "Traffic Server", ratio: 2.0, reads: 1.05 };
    const NGINX: Self = Self { peer: Kind::Nginx, peer_name: "nginx", ratio: 1.0, reads: f64::INFINITY };

    /// Prints how it went. What was missed, if anything.
    fn missed(&self, size: u64, measured: &[(Kind, Vec<Round>)]) -> Result<Vec<String>> {
        let best = |kind| {
            let of_kind = measured.iter().filter(|(found, _)| *found == kind);
            of_kind.filter_map(|(_, rounds)| median(rounds)).max_by(|a, b| a.rate.total_cmp(&b.rate))
        };
        let Some((holm, peer)) = best(Kind::Holm).zip(best(self.peer)) else { bail!("nothing was measured") };
        let (ratio, reads) = (holm.rate / peer.rate, holm.reads);
        let name = self.peer_name;
        println!("{} KiB: Holm / {name} {ratio:.2} (bar: {}), {reads:.2} reads an object\n", size >> 10, self.ratio);
        let mut missed = Vec::new();
        if ratio < self.ratio {
            missed.push(format!("{ratio:.2} of {name} at {} KiB", size >> 10));
        }
        if reads > self.reads {
            missed.push(format!("{reads:.2} reads an object of {} KiB", size >> 10));
        }
        Ok(missed)
    }
}
