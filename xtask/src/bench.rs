//! `cargo xtask bench`: measurements side by side with a peer, in one run, in turn; and of single decisions.

mod disk;
mod hit;
mod peers;
mod policy;
mod rate;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use self::disk::DiskArgs;
pub(crate) use self::hit::HitArgs;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Cached hits per second on one core, beside nginx's proxy_cache
    Hit(HitArgs),
    /// Hits from disk per second on one core, beside Traffic Server and nginx
    Disk(DiskArgs),
    /// What the policy does for every hit: time, allocations, instructions
    Policy,
}

/// Measures.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Hit(args) => hit::run(args),
        Bench::Disk(args) => disk::run(args),
        Bench::Policy => policy::run(),
    }
}
