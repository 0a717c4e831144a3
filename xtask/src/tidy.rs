//! `cargo xtask tidy`: the house rules that no compiler checks.

mod graph;
mod imports;
mod length;
mod sources;
mod texts;

use anyhow::{Result, bail};

/// Checks all rules. Prints every breach, then fails if there was one.
pub(crate) fn run() -> Result<()> {
    let mut breaches = Vec::new();
    imports::check(&mut breaches)?;
    sources::check(&mut breaches)?;
    texts::check(&mut breaches)?;
    if breaches.is_empty() {
        return Ok(());
    }
    for breach in &breaches {
        println!("tidy: {breach}");
    }
    bail!("{} breach(es) of the house rules; CONTRIBUTING.md says what they are", breaches.len());
}
