//! Our own client, `benches/load`: pinned to the load's core, it prints what it measured as JSON.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::peers::binary;
use super::rate::LOAD_CORE;
use crate::command;

/// `load` as built with this profile, with these arguments.
pub(super) fn load(profile: &str, words: &[&str]) -> Command {
    let mut taskset = command::program("taskset");
    taskset.args(["-c", LOAD_CORE]).arg(binary(profile, "load")).args(words);
    taskset
}

/// Runs it, for what it measured.
pub(super) fn measured(command: &mut Command) -> Result<Value> {
    serde_json::from_str(&command::text(command)?).context("the client printed no JSON")
}

/// The same, but when it prints `half`, does something meanwhile.
pub(super) fn measured_with<T>(command: &mut Command, halfway: impl FnOnce() -> Result<T>) -> Result<(Value, T)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the client")?;
    let mut lines = BufReader::new(child.stdout.take().context("invariant: stdout is piped")?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let done = (first == "half").then(halfway);
    let last = lines.next().transpose()?.unwrap_or_default();
    let status = child.wait()?;
    ensure!(status.success(), "the client failed ({status})");
    let measured = serde_json::from_str(&last).context("the client printed no JSON")?;
    Ok((measured, done.context("the client never came to its half")??))
}

/// A number in what was measured.
pub(super) fn number(measured: &Value, pointer: &str) -> Result<f64> {
    measured.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("no {pointer} in {measured}"))
}
