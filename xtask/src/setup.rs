//! `cargo xtask setup`: installs what the other commands need. What is there is left alone, so a second run is quick.

mod handlers;
mod python;
mod system;
mod tools;
mod wasm;

use std::io::Write as _;

use anyhow::{Context as _, Result};

use crate::clock::Clock;
use crate::conformance;

pub(crate) use self::python::interpreter as python;
pub(crate) use self::tools::install_tool as tool;
pub(crate) use self::wasm::check_pure_crates;

/// Runs every step; each prints one line.
pub(crate) fn run() -> Result<()> {
    step("system packages", || system::install(system::TOOLS))?;
    step("cargo-nextest", tools::nextest)?;
    step("Python clients", python::install)?;
    step("http-cache-tests", conformance::install)?;
    let mut target = None;
    step("wasm32-wasip2", || {
        let found = wasm::WasmTarget::find_or_install()?;
        let said = found.to_string();
        target = Some(found);
        Ok(said)
    })?;
    let target = target.context("invariant: the step before found a target or failed")?;
    step("example handlers", || handlers::build(&target))
}

/// One step. Its line says what it found or did, and how long that took.
fn step(name: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
    let clock = Clock::start();
    print!("setup: {name:<17}");
    // The name is to be seen while the work goes on; that stdout has gone is no reason to stop.
    let _ = std::io::stdout().flush();
    let outcome = work().inspect_err(|_| println!("failed"))?;
    println!("{outcome} ({clock})");
    Ok(())
}
