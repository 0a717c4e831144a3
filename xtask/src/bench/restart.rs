//! Restarts of the disk tier: how long opening it takes, after a clean stop and after a kill, with very many objects.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::client::number;
use super::peers::binary;
use super::tell;
use crate::command::{self, cargo};
use crate::repo;

/// `cargo xtask bench restart`.
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Objects on disk
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    objects: u64,
    /// The folder for the tier's file [default: below the target folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// With unoptimised binaries and without bars: tries the bench itself
    #[arg(long)]
    debug: bool,
}

/// The tier's file, and who opens it.
struct Tier<'a> {
    place: &'a Path,
    objects: u64,
    profile: &'a str,
}

/// Measures, prints it, and fails above the bar.
pub(crate) fn run(args: &RestartArgs) -> Result<()> {
    let (profile, optimised) = if args.debug { ("debug", None) } else { ("release", Some("--release")) };
    command::run(cargo(&["build", "--package=holm-bench-load", "--bins", "--locked"]).args(optimised))?;
    let scratch = repo::empty_scratch("bench-restart")?;
    let place = args.dir.as_deref().unwrap_or(&scratch).join("restart.disk");
    let tier = Tier { place: &place, objects: args.objects, profile };
    println!("\n{METHOD}\n");
    let (clean, killed) = (tier.clean()?, tier.killed()?);
    tier.remove()?;
    let bars = [
        show("after a clean stop", args, &clean, CLEAN_SECONDS)?,
        show("after kill -9", args, &killed, KILLED_SECONDS)?,
        tell("the index takes at most 40 bytes an object", {
            number(&clean, "/index_bytes")? <= 40.0 * args.objects as f64
        }),
    ];
    if !bars.iter().all(|met| *met) && !args.debug {
        bail!("above the bar");
    }
    Ok(())
}

impl Tier<'_> {
    /// Filled and closed.
    fn clean(&self) -> Result<Value> {
        self.remove()?;
        command::quiet(&mut self.restart("fill"))?;
        self.open()
    }

    /// Filled, brought to the device, killed.
    fn killed(&self) -> Result<Value> {
        self.remove()?;
        let mut filling = self.restart("fill-and-wait");
        let mut child =
            filling.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start `restart`")?;
        let stdout = child.stdout.take().context("invariant: stdout is piped")?;
        let line = BufReader::new(stdout).lines().next().transpose();
        let killed = child.kill();
        child.wait()?;
        ensure!(line?.is_some_and(|line| line.contains("filled")), "`restart fill-and-wait` has failed");
        killed?;
        self.open()
    }

    fn open(&self) -> Result<Value> {
        serde_json::from_str(&command::text(&mut self.restart("open"))?).context("`restart` printed no JSON")
    }

    fn restart(&self, what: &str) -> Command {
        let mut restart = command::program(binary(self.profile, "restart"));
        restart.args([what, "--objects", &self.objects.to_string(), "--place"]).arg(self.place);
        restart
    }

    fn remove(&self) -> Result<()> {
        match std::fs::remove_file(self.place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.place.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Everything must be there: what was closed, or flushed before the kill, is not to be lost.
fn show(when: &str, args: &RestartArgs, opened: &Value, bar: f64) -> Result<bool> {
    let [seconds, objects, found, sample] =
        ["open_seconds", "objects", "sample_found", "sample"].map(|name| number(opened, &format!("/{name}")));
    let (seconds, objects) = (seconds?, objects?);
    println!("{when}: ready in {seconds:.3} s with {objects} objects; index {} bytes", opened["index_bytes"]);
    ensure!(objects >= args.objects as f64, "{when} only {objects} of {} objects are there", args.objects);
    ensure!(found? >= sample?, "{when} some records cannot be read: {opened}");
    // The bars are for a million objects. More may take longer; fewer are to try the bench with.
    let bar = bar * (args.objects as f64 / 1e6).max(1.0);
    Ok(tell(&format!("{when}, the tier is ready in less than {bar:.3} s"), seconds < bar))
}

/// For a million objects.
const CLEAN_SECONDS: f64 = 1.0;
const KILLED_SECONDS: f64 = 10.0;

const METHOD: &str = "\
records of 1 KiB through the disk tier's own API, in a new file; the process then closes the tier and ends, or flushes it and is
killed (SIGKILL). Timed: `Disk::open` in a new process until it returns, that is until every record can be found; where the file
system takes O_DIRECT the page cache plays no part. A thousand records, spread over all, are then read and compared";
