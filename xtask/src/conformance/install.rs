//! The suite itself: installed by npm as its lock file says, below the folder that holds our runner.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{command, repo};

/// The folder of our runner.
pub(super) fn dir() -> PathBuf {
    repo::path("tests/conformance/http-cache")
}

/// The suite's own folder.
pub(super) fn suite() -> PathBuf {
    dir().join("node_modules/http-cache-tests")
}

/// Installs it, or leaves it if it is what the lock file asks for.
pub(crate) fn install() -> Result<String> {
    let wanted = repo::read(&dir().join("package-lock.json"))?;
    let marker = dir().join("node_modules/.installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok("present".into());
    }
    let mut npm = command::program("npm");
    // No scripts: the suite is plain JavaScript, and nothing else needs to run.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(dir());
    command::quiet(&mut npm).context("cannot install http-cache-tests; see whether npm works here")?;
    repo::write(&marker, &wanted)?;
    Ok("installed http-cache-tests".into())
}
