//! `cargo xtask bench`: measurements side by side with a peer, in one run, in turn; and of single decisions.

mod client;
mod collapse;
mod disk;
mod hit;
mod memory;
mod peers;
mod policy;
mod purge;
mod rate;
mod replay;
mod restart;

use anyhow::{Result, ensure};
use clap::Subcommand;

use self::collapse::CollapseArgs;
use self::disk::DiskArgs;
use self::hit::HitArgs;
use self::purge::PurgeArgs;
use self::replay::ReplayArgs;
use self::restart::RestartArgs;
use crate::command::{self, cargo};
use crate::setup;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Cached hits per second on one core, beside nginx's proxy_cache
    Hit(HitArgs),
    /// Hits from disk per second on one core, beside Traffic Server and nginx
    Disk(DiskArgs),
    /// What an object costs in memory beside its own bytes
    Memory,
    /// Many first requests for one URL at once: one fetch, and how long they wait, beside nginx's proxy_cache_lock
    Collapse(CollapseArgs),
    /// A purge by tag of a million objects while hits are served at a constant rate
    Purge(PurgeArgs),
    /// How long the disk tier takes to be ready after a clean stop and after a kill
    Restart(RestartArgs),
    /// Hit ratios of cache policies at equal bytes
    Replay(ReplayArgs),
    /// What the policy does for every hit: time, allocations, instructions
    Policy,
}

/// Measures.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Hit(args) => hit::run(args),
        Bench::Disk(args) => disk::run(args),
        Bench::Memory => memory::run(),
        Bench::Collapse(args) => collapse::run(args),
        Bench::Purge(args) => purge::run(args),
        Bench::Restart(args) => restart::run(args),
        Bench::Replay(args) => replay::run(args),
        Bench::Policy => policy::run(),
    }
}

/// What every measurement of servers needs: two cores, the tools, and everything built. Returns the profile. Where the
/// bench itself is tried (`debug`), the tools are taken to be there, and nothing is optimised.
fn prepare(debug: bool) -> Result<&'static str> {
    ensure!(
        std::thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2),
        "two cores are needed: one for the server, one for the load"
    );
    let mut build = cargo(&["build", "--bins", "--locked", "--package=holm-cli"]);
    build.args(["--package=holm-example-origin", "--package=holm-bench-load"]);
    if debug {
        command::run(&mut build)?;
        return Ok("debug");
    }
    setup::run()?;
    command::run(build.arg("--release"))?;
    Ok("release")
}

/// Says whether a bar is met, in a line of its own.
fn tell(bar: &str, met: bool) -> bool {
    println!("{:<6} {bar}", if met { "met" } else { "MISSED" });
    met
}
