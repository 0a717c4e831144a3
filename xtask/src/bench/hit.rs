//! Cached hits per second: one core for the server, one for the load, nginx and ours in turn.

use anyhow::Result;
use clap::Args;

use super::peers::{Peer, Peers};
use super::rate::{Load, Rate};

/// `cargo xtask bench hit`.
#[derive(Debug, Args)]
pub(crate) struct HitArgs {
    /// Rounds of each measurement; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Seconds of each round
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// HTTP/1.1 alone, without HTTP/2 over TLS
    #[arg(long)]
    h1: bool,
}

/// Measures, and prints a table.
pub(crate) fn run(args: &HitArgs) -> Result<()> {
    let peers = Peers::start(super::prepare(false)?)?;
    let loads = if args.h1 { &[Load::Http1][..] } else { &[Load::Http1, Load::Http2Tls] };
    println!(
        "\ncached hits per second, one core each side, median of {} × {} s (least to most)\n",
        args.rounds, args.seconds
    );
    println!("{:<20}{:>28}{:>28}{:>8}", "", peers.nginx.version, peers.holm.version, "ratio");
    for load in loads {
        for (name, path) in OBJECTS {
            peers.verify(*load, path)?;
            let (nginx, holm) = measure(args, &peers, *load, path)?;
            let ratio = holm.median() / nginx.median();
            println!("{:<20}{:>28}{:>28}{ratio:>8.2}", format!("{name} {load}"), nginx.to_string(), holm.to_string());
        }
    }
    peers.stop()
}

/// Rounds of both, in turn: what slows the machine for a while slows both.
fn measure(args: &HitArgs, peers: &Peers, load: Load, path: &str) -> Result<(Rate, Rate)> {
    let (mut nginx, mut holm) = (Rate::default(), Rate::default());
    let round = |peer: &Peer, seconds| load.run(&peer.url(load, path), seconds);
    for peer in [&peers.nginx, &peers.holm] {
        round(peer, WARM_UP_SECONDS)?;
    }
    for _ in 0..args.rounds {
        nginx.add(round(&peers.nginx, args.seconds)?);
        holm.add(round(&peers.holm, args.seconds)?);
    }
    Ok((nginx, holm))
}

const WARM_UP_SECONDS: u32 = 1;

/// What is asked for. The origin's answers are fresh for longer than any run.
const OBJECTS: &[(&str, &str)] = &[
    ("1 KiB", "/bench?size=1024&cache-control=max-age%3D86400"),
    ("64 KiB", "/bench?size=65536&cache-control=max-age%3D86400"),
];
