//! Where things are in this repository.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or_else(|| xtask.to_owned(), Path::to_owned)
}

/// A path in the repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    root().join(relative)
}

/// Cargo's target folder, where everything that is made here goes.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| path("target"), |dir| root().join(dir))
}

/// A folder below the target folder, made if it is missing.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let dir = target().join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// The same, empty.
pub(crate) fn empty_scratch(name: &str) -> Result<PathBuf> {
    let dir = target().join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    scratch(name)
}

/// The files whose names end in `suffix`, without what git ignores; relative to the root.
pub(crate) fn files(suffix: &str) -> Result<Vec<String>> {
    let mut git = command::program("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
    let listed = command::text(&mut git)?;
    // A file that was removed and is not yet committed so is still listed.
    let there = |file: &&str| file.ends_with(suffix) && path(file).is_file();
    Ok(listed.lines().filter(there).map(str::to_owned).collect())
}

/// The text of a file.
pub(crate) fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Writes a file.
pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
