//! Hit ratios: `benches/replay`, built for release.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::command::{self, cargo};

/// `cargo xtask bench replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A trace in libCacheSim's oracleGeneral format (.zst: compressed); a generated one by default
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
    /// Further arguments of `replay`, after `--`: see `-- --help`
    #[arg(last = true, value_name = "ARGS")]
    more: Vec<String>,
}

/// Runs it. It fails below its bar.
pub(crate) fn run(args: &ReplayArgs) -> Result<()> {
    let mut replay = cargo(&["run", "--release", "--quiet", "--locked", "--package=holm-bench-replay", "--"]);
    if let Some(trace) = &args.trace {
        replay.arg("--trace").arg(std::path::absolute(trace)?);
    }
    if args.json {
        replay.arg("--json");
    }
    command::run(replay.args(&args.more))
}
