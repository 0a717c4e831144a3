//! `cargo xtask test`: everything that CI runs, each suite with a budget in minutes.

use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::clock::Clock;
use crate::command::{self, cargo};
use crate::{conformance, demo, setup, tidy};

/// A part of the run.
struct Suite {
    name: &'static str,
    /// What it may take on two cores from a bare clone. More is told, not refused: a slow machine is no mistake.
    budget_minutes: f64,
    run: Run,
}

/// How a suite is run.
enum Run {
    /// A function of ours.
    Function(fn() -> Result<()>),
    /// cargo with these arguments.
    Cargo(&'static [&'static str]),
    /// The tests, whose summary is the last line of all, for those who read it.
    Tests,
}

/// Runs the suites in order; the first that fails ends the run.
pub(crate) fn run() -> Result<()> {
    let all = Clock::start();
    let mut took = Vec::new();
    let mut summary = String::new();
    for suite in SUITES {
        println!("──── {}", suite.name);
        let clock = Clock::start();
        let result = match suite.run {
            Run::Function(run) => run(),
            Run::Cargo(words) => command::run(&mut cargo(words)),
            Run::Tests => tests().map(|line| summary = line),
        };
        result.with_context(|| format!("suite `{}`", suite.name))?;
        took.push((suite, clock.minutes()));
    }
    println!("\n{:<12}{:>9}{:>9}", "suite", "minutes", "budget");
    for (suite, minutes) in &took {
        let over = if *minutes > suite.budget_minutes { "  over budget" } else { "" };
        println!("{:<12}{minutes:>9.1}{:>9.0}{over}", suite.name, suite.budget_minutes);
    }
    println!("{:<12}{:>9.1}{BUDGET_MINUTES:>9.0}", "all", all.minutes());
    println!("{summary}");
    Ok(())
}

/// Cheap ones first. `lints` shares nothing with the others; `build` makes just what `demo` and `tests` run.
const SUITES: &[Suite] = &[
    Suite { name: "setup", budget_minutes: 6.0, run: Run::Function(setup::run) },
    Suite { name: "format", budget_minutes: 1.0, run: Run::Cargo(&["fmt", "--all", "--check"]) },
    Suite { name: "tidy", budget_minutes: 1.0, run: Run::Function(tidy::run) },
    Suite {
        name: "lints",
        budget_minutes: 9.0,
        run: Run::Cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    },
    Suite {
        name: "build",
        budget_minutes: 14.0,
        run: Run::Cargo(&["build", "--workspace", "--bins", "--tests", "--locked"]),
    },
    Suite { name: "demo", budget_minutes: 1.0, run: Run::Function(demo::tour) },
    Suite { name: "wasm", budget_minutes: 1.0, run: Run::Function(setup::check_pure_crates) },
    Suite { name: "conformance", budget_minutes: 3.0, run: Run::Function(conformance::http_cache_of_build) },
    Suite { name: "tests", budget_minutes: 8.0, run: Run::Tests },
];

/// The whole run, from a bare clone.
const BUDGET_MINUTES: f64 = 40.0;

/// Runs the tests and passes on what nextest says. Returns its summary.
fn tests() -> Result<String> {
    let mut nextest = cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
    // Setup has built the example handlers: a test that lacks one is a failure.
    nextest.env("HOLM_REQUIRE_EXAMPLES", "1");
    nextest.args(["--color", if std::io::stderr().is_terminal() { "always" } else { "never" }]);
    let (succeeded, summary) = pass_on(&mut nextest)?;
    if !succeeded {
        bail!("tests failed");
    }
    summary.context("nextest printed no summary: has it run no test?")
}

/// Runs it with our output. Has it succeeded, and what was its summary?
fn pass_on(command: &mut Command) -> Result<(bool, Option<String>)> {
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot run cargo nextest")?;
    let mut said = BufReader::new(child.stderr.take().context("invariant: stderr is piped")?);
    let mut summary = None;
    let mut line = Vec::new();
    while said.read_until(b'\n', &mut line).context("cannot read what nextest says")? > 0 {
        let text = String::from_utf8_lossy(&line);
        eprint!("{text}");
        if text.contains("Summary") && text.contains("tests run") {
            summary = Some(text.trim_end().to_owned());
        }
        line.clear();
    }
    Ok((child.wait()?.success(), summary))
}
