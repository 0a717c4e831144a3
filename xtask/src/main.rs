//! `cargo xtask`: what people and CI run. Each command installs what it lacks before it begins.

mod bench;
mod clock;
mod codegen;
mod command;
mod conformance;
mod demo;
mod fuzz;
mod interrupt;
mod repo;
mod server;
mod setup;
mod soak;
mod suites;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What people and CI run
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the other commands need: system packages, tools, the wasm target; build the example handlers
    Setup,
    /// Start origins and a node, publish a site, send it traffic, purge; stays up until Ctrl-C
    Demo(demo::DemoArgs),
    /// Everything that CI runs: format, lints, house rules, build, tests
    Test,
    /// The same as `test`
    Ci,
    /// Run a public test-suite against what is built
    #[command(subcommand)]
    Conformance(conformance::Conformance),
    /// Fuzz a parser with libFuzzer, or all of them for some seconds (--smoke)
    Fuzz(fuzz::FuzzArgs),
    /// Try for long what CI tries for seconds
    #[command(subcommand)]
    Soak(soak::Soak),
    /// The house rules: import table, module docs, lengths, lock files
    Tidy,
    /// Measure, side by side with a peer or what single decisions cost
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Write the generated references anew
    Codegen,
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Setup => setup::run(),
        Task::Demo(args) => demo::run(&args),
        Task::Test | Task::Ci => suites::run(),
        Task::Conformance(suite) => conformance::run(&suite),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Soak(soak) => soak::run(&soak),
        Task::Tidy => tidy::run(),
        Task::Bench(bench) => bench::run(&bench),
        Task::Codegen => codegen::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
