//! What an object costs in memory beside its own bytes: a test of the proxy, run alone in a process of its own.

use anyhow::Result;

use crate::command::{self, cargo};

/// Runs it; it prints what it finds.
pub(crate) fn run() -> Result<()> {
    let test = ["test", "--package", "holm-proxy", "--lib", "--locked", "what_an_object_costs"];
    command::run(&mut cargo(&[&test[..], &["--", "--ignored", "--nocapture"]].concat()))
}
