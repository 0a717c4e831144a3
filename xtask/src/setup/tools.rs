//! Tools that cargo installs.

use anyhow::{Context as _, Result};

use crate::command::{cargo, quiet, works};

/// The test runner. Without its self-update and unoptimised it is built in half the time, and it only starts processes.
pub(super) fn nextest() -> Result<String> {
    if works(&mut cargo(&["nextest", "--version"])) {
        return Ok("present".into());
    }
    let features = ["--no-default-features", "--features", "default-no-update"];
    install("cargo-nextest", &features)
}

/// Installs a program that is needed by hand only.
pub(crate) fn install_tool(name: &str) -> Result<()> {
    install(name, &[]).map(drop)
}

/// Installs a program into cargo's own folder.
pub(super) fn install(name: &str, more: &[&str]) -> Result<String> {
    quiet(cargo(&["install", "--quiet", "--locked", "--debug", name]).args(more))
        .with_context(|| format!("cannot install {name}; try: cargo install --locked {name}"))?;
    Ok("installed".into())
}
