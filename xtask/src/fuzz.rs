//! `cargo xtask fuzz`: the fuzz targets, by libFuzzer for as long as one likes, or the short round of `cargo xtask test`.

use anyhow::{Result, bail};
use clap::Args;

use crate::command::{self, cargo, works};
use crate::{repo, setup};

/// `cargo xtask fuzz`.
#[derive(Debug, Args)]
pub(crate) struct FuzzArgs {
    /// The target: the name of a folder in tests/fuzz/corpus; with --smoke, all if none is named
    target: Option<String>,
    /// Only the corpus and some seeded mutations of it, in a plain test
    #[arg(long)]
    smoke: bool,
    /// With --smoke: what the mutations begin with
    #[arg(long, requires = "smoke")]
    seed: Option<u64>,
    /// With --smoke: mutations of each target
    #[arg(long, requires = "smoke")]
    rounds: Option<u64>,
    /// Without --smoke: how long libFuzzer tries
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs them.
pub(crate) fn run(args: &FuzzArgs) -> Result<()> {
    if args.smoke {
        return smoke(args);
    }
    let targets = targets()?;
    match &args.target {
        Some(target) if targets.contains(target) => explore(target, args.seconds),
        _ => bail!("name one of the targets, or --smoke: {}", targets.join(", ")),
    }
}

fn smoke(args: &FuzzArgs) -> Result<()> {
    let mut test = cargo(&["test", "--quiet", "--package=holm-fuzz", "--locked", "--test=smoke", "--", "--nocapture"]);
    let settings = [
        ("HOLM_FUZZ_TARGET", args.target.clone()),
        ("HOLM_FUZZ_SEED", args.seed.map(|seed| seed.to_string())),
        ("HOLM_FUZZ_ROUNDS", args.rounds.map(|rounds| rounds.to_string())),
    ];
    for (name, value) in settings {
        value.map(|value| test.env(name, value));
    }
    command::run(&mut test)
}

/// libFuzzer. What it finds worth keeping, and what fails, goes below the target folder.
fn explore(target: &str, seconds: u32) -> Result<()> {
    if !works(&mut cargo(&["fuzz", "--version"])) {
        setup::tool("cargo-fuzz")?;
    }
    let found = repo::scratch(&format!("fuzz/{target}"))?;
    let mut fuzz = cargo(&["fuzz", "run", "--fuzz-dir", FOLDER]);
    if OF_TRANSPORT.contains(&target) {
        fuzz.args(["--features", "head"]);
    }
    // Without a sanitizer the stable toolchain does, and our crates have no unsafe code for one to look at.
    fuzz.args(["--sanitizer", "none", "any"]).arg(&found).arg(repo::path(CORPUS).join(target));
    fuzz.args(["--", &format!("-max_total_time={seconds}"), "-max_len=4096", "-timeout=10"]);
    fuzz.arg(format!("-artifact_prefix={}/failed-", found.display()));
    command::run(fuzz.env("HOLM_FUZZ_TARGET", target))
}

/// Each has a corpus.
fn targets() -> Result<Vec<String>> {
    let mut names = std::fs::read_dir(repo::path(CORPUS))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The targets that are built with transport.
const OF_TRANSPORT: &[&str] = &["head", "host"];
const CORPUS: &str = "tests/fuzz/corpus";
const FOLDER: &str = "tests/fuzz/libfuzzer";
