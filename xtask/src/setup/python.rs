//! Clients in Python that tests and demo use: an HTTP/3 client and a WebSocket client, in a virtual environment below
//! the target folder.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{command, repo};

/// The interpreter that finds the clients' libraries.
pub(crate) fn interpreter() -> PathBuf {
    repo::target().join("venv/bin/python")
}

/// Makes the environment, or leaves it if it holds what is asked for.
pub(crate) fn install() -> Result<String> {
    let marker = repo::target().join("venv/installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == REQUIREMENTS.join("\n")) {
        return Ok("present".into());
    }
    let dir = repo::empty_scratch("venv")?;
    command::quiet(command::program("python3").args(["-m", "venv"]).arg(&dir))
        .context("cannot make a virtual environment; is python3-venv installed?")?;
    let mut pip = command::program(interpreter());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(REQUIREMENTS);
    command::quiet(&mut pip).context("cannot install the Python clients; see whether pip works here")?;
    repo::write(&marker, &REQUIREMENTS.join("\n"))?;
    Ok(format!("installed {}", REQUIREMENTS.join(" ")))
}

/// What is installed. Ranges that keep the interfaces our scripts use.
const REQUIREMENTS: &[&str] = &["aioquic>=1.2,<2", "websockets>=14"];
