//! `cargo xtask soak`: what CI tries for seconds, tried for as long as one likes.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::command::{self, cargo};

/// `cargo xtask soak`.
#[derive(Debug, Subcommand)]
pub(crate) enum Soak {
    /// Kill a node under load and damage its files, again and again: nothing wrong may come back
    Kill(KillArgs),
}

/// `cargo xtask soak kill`.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// How often the node is ended: some five seconds each
    #[arg(long, default_value_t = 300)]
    rounds: u64,
    /// What chance begins with [default: CI's]
    #[arg(long)]
    seed: Option<u64>,
    /// Of optimised programs
    #[arg(long)]
    release: bool,
}

/// Runs it.
pub(crate) fn run(soak: &Soak) -> Result<()> {
    let Soak::Kill(args) = soak;
    let profile = if args.release { &["--release"][..] } else { &[] };
    command::run(cargo(&["build", "--package=holm-cli", "--bins", "--locked"]).args(profile))?;
    let mut test = cargo(&["test", "--package=holm-faults", "--locked", "--test=kill"]);
    test.args(profile).args(["--", "--nocapture"]).env("HOLM_FAULTS_ROUNDS", args.rounds.to_string());
    if let Some(seed) = args.seed {
        test.env("HOLM_FAULTS_SEED", seed.to_string());
    }
    command::run(&mut test)
}
