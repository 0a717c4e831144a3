//! The commands: one file each. This one hands the line to the right of them.

mod activation;
mod build;
mod check;
mod completions;
mod nodes;
mod publish;
mod purge;
mod releases;
mod rollback;
mod serve;
mod spread;
mod stats;
mod up;
mod upload;

use std::process::ExitCode;

use clap::Parser;
use holm_telemetry::{LogFormat, init_logging};

use crate::Failure;
use crate::args::{Cli, Command};
use crate::output;

/// Runs the command that this process was started with. Status: 0 done, 1 failed, 2 wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(args) => return up::run(args),
        Command::Serve(args) => return serve::run(args),
        Command::Build(args) => build::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Publish(args) => block_on(publish::run(args)),
        Command::Releases(args) => block_on(releases::run(args)),
        Command::Rollback(args) => block_on(rollback::run(args)),
        Command::Purge(args) => block_on(purge::run(args)),
        Command::Stats(args) => block_on(stats::run(args)),
        Command::Nodes(args) => block_on(nodes::run(args)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            failure.exit_code()
        }
    }
}

/// Runs a server until it is told to stop, with its logs on stderr. `threads` are those of the control plane; the
/// requests of clients have their own.
fn serve_until_stopped(threads: usize, server: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    init_logging(LogFormat::Text);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let started = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")));
    match started.and_then(|runtime| runtime.block_on(server)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            failure.exit_code()
        }
    }
}

/// Runs a command that waits for a cluster: one thread is enough.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?.block_on(command)
}
