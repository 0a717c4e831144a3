//! `cargo xtask conformance`: public test-suites against what is built, in the configuration that people get.

mod document;
mod exceptions;
mod install;
mod outcome;
mod stage;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};

pub(crate) use self::install::install;

use self::exceptions::Exceptions;
use self::outcome::Outcome;
use self::stage::Stage;
use crate::clock::Clock;
use crate::repo;

/// A suite.
#[derive(Debug, Subcommand)]
pub(crate) enum Conformance {
    /// npm's http-cache-tests through the whole chain, over HTTP/1, HTTP/2 and HTTP/3
    HttpCache(HttpCacheArgs),
}

/// `cargo xtask conformance http-cache`.
#[derive(Debug, Args)]
pub(crate) struct HttpCacheArgs {
    /// How the edge is asked
    #[arg(long, value_enum, default_value_t = Asked::All)]
    protocol: Asked,
    /// The program that is tested, instead of the one in the target folder
    #[arg(long)]
    holm: Option<PathBuf>,
    /// Write docs/conformance.md anew
    #[arg(long)]
    update: bool,
}

/// Which protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Asked {
    H1,
    H2,
    H3,
    All,
}

/// How the edge is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The suite's own client, in the clear.
    H1,
    /// node's client, with TLS.
    H2,
    /// aioquic.
    H3,
}

/// Runs a suite.
pub(crate) fn run(suite: &Conformance) -> Result<()> {
    let Conformance::HttpCache(args) = suite;
    http_cache(args)
}

/// The suite of the tests: what `cargo xtask test` has built, over all protocols.
pub(crate) fn http_cache_of_build() -> Result<()> {
    http_cache(&HttpCacheArgs { protocol: Asked::All, holm: None, update: false })
}

fn http_cache(args: &HttpCacheArgs) -> Result<()> {
    let protocols: &[Protocol] = match args.protocol {
        Asked::H1 => &[Protocol::H1],
        Asked::H2 => &[Protocol::H2],
        Asked::H3 => &[Protocol::H3],
        Asked::All => &ALL,
    };
    let complete = protocols.len() == ALL.len();
    if args.update && !complete {
        bail!("the document tells of all protocols: leave --protocol out");
    }
    install()?;
    let exceptions = Exceptions::load()?;
    let holm = args.holm.clone().unwrap_or_else(|| repo::target().join("debug/holm"));
    let clock = Clock::start();
    let stage = Stage::start(&holm)?;
    let outcomes = run_all(&stage, protocols, &exceptions)?;
    stage.stop()?;
    for outcome in &outcomes {
        println!("── {}", outcome.protocol);
        println!("{outcome}");
    }
    println!("── took {clock}");
    let mut breaches = judge(&outcomes, &exceptions);
    if args.update {
        document::write(&outcomes, &exceptions)?;
    } else if complete && breaches.is_empty() {
        breaches.extend(document::check(&outcomes, &exceptions)?);
    }
    if breaches.is_empty() {
        return Ok(());
    }
    for breach in &breaches {
        println!("conformance: {breach}");
    }
    bail!("{} breach(es)", breaches.len());
}

/// Runs all cases, and again those that fail or whose answers differ: the suite counts seconds, and on a busy machine some
/// of its requests come late. What fails for another reason fails each time.
fn run_all(stage: &Stage, protocols: &[Protocol], exceptions: &Exceptions) -> Result<Vec<Outcome>> {
    let mut outcomes = stage.run(protocols, &[])?;
    for _ in 0..MOST_REPEATS {
        let doubtful = exceptions.doubtful(&outcomes);
        if doubtful.is_empty() || doubtful.len() > MOST_DOUBTFUL {
            break;
        }
        println!("run again: {}", doubtful.join(", "));
        for (outcome, again) in outcomes.iter_mut().zip(stage.run(protocols, &doubtful)?) {
            outcome.replace(again);
        }
    }
    Ok(outcomes)
}

/// Compares the runs with the list and with each other. Prints what is excused; returns what is wrong.
fn judge(outcomes: &[Outcome], exceptions: &Exceptions) -> Vec<String> {
    let mut breaches = exceptions.unknown(&outcomes[0]);
    let judged: Vec<_> = outcomes.iter().map(|outcome| (outcome.protocol, exceptions.judge(outcome))).collect();
    for (protocols, told) in merged(judged.iter().map(|(protocol, judged)| (*protocol, &judged.excused))) {
        println!("exception {told} ({protocols})");
    }
    for (protocols, told) in merged(judged.iter().map(|(protocol, judged)| (*protocol, &judged.breaches))) {
        breaches.push(format!("{told} ({protocols})"));
    }
    for outcome in &outcomes[1..] {
        breaches.extend(exceptions.differences(&outcomes[0], outcome));
    }
    breaches
}

/// What is told of several protocols is told once.
fn merged<'a>(told: impl Iterator<Item = (Protocol, &'a Vec<String>)>) -> Vec<(String, &'a str)> {
    let mut merged: Vec<(String, &str)> = Vec::new();
    for (protocol, line) in told.flat_map(|(protocol, lines)| lines.iter().map(move |line| (protocol, line))) {
        match merged.iter_mut().find(|(_, held)| held == line) {
            Some((protocols, _)) => *protocols += &format!(", {protocol}"),
            None => merged.push((protocol.to_string(), line)),
        }
    }
    merged
}

impl Protocol {
    const fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How often doubtful cases are run again. More of them than this are no accident.
const MOST_REPEATS: usize = 2;
const MOST_DOUBTFUL: usize = 12;
const ALL: [Protocol; 3] = [Protocol::H1, Protocol::H2, Protocol::H3];
