//! `cargo xtask codegen`: writes the generated references anew. The tests compare them with what they are made from.

use anyhow::Result;

use crate::command;

/// Writes them.
pub(crate) fn run() -> Result<()> {
    for (package, test) in REFERENCES {
        command::run(command::cargo(&["nextest", "run", "--package", package, "--test", test]).env("HOLM_BLESS", "1"))?;
    }
    Ok(())
}

/// The tests that own a reference: package and test target.
const REFERENCES: &[(&str, &str)] = &[("holm-telemetry", "reference"), ("holm-proxy", "reference")];
