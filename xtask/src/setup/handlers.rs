//! The examples' handlers: built as components, each into its own target folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::wasm::WasmTarget;
use crate::{command, repo};

/// Builds all of them; cargo sees what is fresh.
pub(crate) fn build(target: &WasmTarget) -> Result<String> {
    let crates = crates()?;
    for dir in &crates {
        let shown = || format!("cannot build the handler in {}", dir.display());
        command::quiet(&mut target.build(dir)).with_context(shown)?;
    }
    Ok(format!("{} built", crates.len()))
}

/// The folders of handler crates: those that make a `cdylib`.
fn crates() -> Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for manifest in repo::files("Cargo.toml")?.iter().filter(|file| file.starts_with("examples/")) {
        let manifest = repo::path(manifest);
        if repo::read(&manifest)?.contains("\"cdylib\"") {
            dirs.extend(manifest.parent().map(Path::to_owned));
        }
    }
    Ok(dirs)
}
