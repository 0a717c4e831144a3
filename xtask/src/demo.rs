//! `cargo xtask demo`: two origins, a node, a site, real traffic. Each step is checked, so that it is a test too.

mod chain;
mod client;
mod load;
mod steps;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use self::chain::Chain;
use crate::clock::Clock;
use crate::command::{self, cargo};
use crate::interrupt::Interrupt;
use crate::setup;

/// `cargo xtask demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Exit when the tour is done; the status says whether each step did what it says
    #[arg(long)]
    once: bool,
}

/// Installs, builds, gives the tour, and stays up unless told otherwise.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    setup::run()?;
    // The development profile: it is there after `cargo xtask test`, and built in a third of release's time.
    command::run(&mut cargo(&BUILD))?;
    let interrupt = Interrupt::listen()?;
    let mut chain = Chain::start()?;
    let result =
        give(&mut chain, &interrupt).and_then(|()| if args.once { Ok(()) } else { stay(&mut chain, &interrupt) });
    // Whatever went wrong first is what is told.
    let stopped = chain.stop();
    result.and(stopped)
}

/// The tour alone, as a test of what `cargo xtask test` has built.
pub(crate) fn tour() -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let mut chain = Chain::start()?;
    let result = give(&mut chain, &interrupt);
    let stopped = chain.stop();
    result.and(stopped)
}

/// All steps, then what they found.
fn give(chain: &mut Chain, interrupt: &Interrupt) -> Result<()> {
    let clock = Clock::start();
    println!("{}", chain.describe());
    let mut found = Vec::new();
    for step in steps::STEPS {
        println!("\n── {}", step.title);
        let outcome = (step.run)(chain).with_context(|| format!("step `{}`", step.title))?;
        chain.check()?;
        interrupt.check()?;
        found.push((step, outcome));
    }
    println!("\n── What was seen ({clock})");
    for (step, outcome) in found {
        println!("✓ {:<34}{outcome}", step.title);
    }
    Ok(())
}

/// Stays up, and says how to look around.
fn stay(chain: &mut Chain, interrupt: &Interrupt) -> Result<()> {
    println!("\n{}", chain.invite());
    interrupt.wait(|| chain.check())?;
    println!("\nstopping");
    Ok(())
}

/// What is built. One test stands for all: with it, cargo chooses the features that `cargo xtask test` builds with (some
/// dependencies have more of them in tests), so that neither undoes the other's work.
const BUILD: [&str; 6] = ["build", "--workspace", "--bins", "--test", "reference", "--locked"];

/// How long `holm up` lets requests in flight end.
const GRACE: Duration = Duration::from_secs(5);
