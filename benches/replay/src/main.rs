//! `replay`: object and byte hit ratios of cache policies at equal bytes, for generated workloads and a trace.

mod policy;
mod replay;
mod rows;
mod sequence;
mod trace;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use serde_json::{Value, json};

use self::replay::{COLUMNS, OURS, Outcome, S3_FIFO, replay};
use self::rows::Row;
use self::workload::{Pattern, Sizes, Workload};

/// Hit ratios of cache policies at equal bytes
#[derive(Debug, Parser)]
struct Args {
    /// A trace in libCacheSim's oracleGeneral format (.zst: compressed); a generated one by default
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the generated trace here and end (.zst: compressed)
    #[arg(long, value_name = "FILE", conflicts_with = "trace")]
    write: Option<PathBuf>,
    /// Objects that a workload chooses from
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1000..))]
    objects: u32,
    /// Requests of each row
    #[arg(long, default_value_t = 4_000_000, value_parser = clap::value_parser!(u32).range(1000..))]
    requests: u32,
    /// The first row's seed; each row has the next
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only rows whose name holds this text; the trace's is `trace`
    #[arg(long, default_value = "", value_name = "TEXT")]
    only: String,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Replays. Is no row below the bar?
fn run(args: &Args) -> Result<bool> {
    if let Some(path) = &args.write {
        trace::write(path, &generated(args).generate())?;
        return Ok(true);
    }
    let mut report = Report { json: args.json.then(Vec::new), below: Vec::new() };
    report.begin(args);
    for row in rows::rows(args.objects, args.requests, args.seed) {
        if row.name.contains(&args.only) {
            report.add(&row.name, Some(&row), &replay(row.workload.generate(), row.share)?);
        }
    }
    if "trace".contains(&args.only) {
        let sequence = match &args.trace {
            Some(path) => trace::read(path, args.requests as usize)?,
            None => through_a_file(&generated(args))?,
        };
        for share in [0.01, 0.1] {
            let name =
                args.trace.as_deref().and_then(Path::file_name).map_or("generated".into(), |n| n.to_string_lossy());
            report.add(&format!("trace {name}, {:.0} %", share * 100.0), None, &replay(sequence.clone(), share)?);
        }
    }
    report.end();
    Ok(report.below.is_empty())
}

/// What stands in for a trace where none is given: objects of all sizes that come and go.
fn generated(args: &Args) -> Workload {
    let Args { objects, requests, seed, .. } = *args;
    Workload { pattern: Pattern::Drift(1.0), sizes: Sizes::Web, objects, requests, seed }
}

/// The sequence, written to a file and read again.
fn through_a_file(workload: &Workload) -> Result<sequence::Sequence> {
    let dir = tempfile::tempdir().context("no temporary folder")?;
    let path = dir.path().join("generated.oracleGeneral.zst");
    trace::write(&path, &workload.generate())?;
    trace::read(&path, usize::MAX)
}

/// What is printed.
struct Report {
    /// The rows so far, where JSON is wanted.
    json: Option<Vec<Value>>,
    /// The names of the rows that miss the bar.
    below: Vec<String>,
}

impl Report {
    fn begin(&self, args: &Args) {
        if self.json.is_some() {
            return;
        }
        println!("{METHOD}\n{} requests a row, {} objects to choose from\n", args.requests, args.objects);
        print!("{:<36}{:>5}", "object/byte hit ratio, %", "seed");
        COLUMNS.iter().for_each(|column| print!("{column:>12}"));
        println!();
    }

    fn add(&mut self, name: &str, row: Option<&Row>, outcome: &Outcome) {
        let ahead = 100.0 * (outcome.ratios[OURS].objects - outcome.ratios[S3_FIFO].objects);
        let is_below = row.is_some_and(Row::has_bar) && ahead < -BAR_POINTS;
        if is_below {
            self.below.push(name.to_owned());
        }
        let seed = row.map(|row| row.workload.seed);
        match &mut self.json {
            Some(rows) => {
                let ratio = |(column, ratio): (&&str, &replay::Ratio)| {
                    ((*column).to_owned(), json!({ "objects": ratio.objects, "bytes": ratio.bytes }))
                };
                let ratios: serde_json::Map<_, _> = COLUMNS.iter().zip(&outcome.ratios).map(ratio).collect();
                rows.push(json!({ "row": name, "seed": seed, "objects": outcome.objects,
                    "cache_bytes": outcome.capacity, "hit_ratios": ratios, "below_bar": is_below }));
            }
            None => {
                print!("{name:<36}{:>5}", seed.map_or("-".to_owned(), |seed| seed.to_string()));
                let cell = |ratio: &replay::Ratio| format!("{:.1}/{:.1}", 100.0 * ratio.objects, 100.0 * ratio.bytes);
                outcome.ratios.iter().for_each(|ratio| print!("{:>12}", cell(ratio)));
                println!("{}", if is_below { "  below the bar" } else { "" });
            }
        }
    }

    fn end(&self) {
        match &self.json {
            Some(rows) => println!("{}", json!({ "rows": rows, "bar_points": BAR_POINTS, "below_bar": self.below })),
            None => println!(
                "\nbar: on every Zipf row our object hit ratio is at least that of S3-FIFO less {BAR_POINTS} point; {}",
                if self.below.is_empty() { "met".to_owned() } else { format!("missed: {}", self.below.join("; ")) }
            ),
        }
    }
}

const BAR_POINTS: f64 = 1.0;

const METHOD: &str = "\
Every policy has a cache of the same bytes, a share of those of all objects that the row asks for, and is charged the same for
an object: its bytes and what our memory tier charges for an entry. All requests count, from an empty cache on. An object that was not there is offered to the cache.
  LRU      the least recently used makes room
  SIEVE    Zhang et al., NSDI 2024
  S3-FIFO  Yang et al., SOSP 2023, as in libCacheSim
  ours     holm-cache-store's memory tier as a node has it
  Belady   MIN (1966), with bypass: the best where all objects have one size, else an approximation, for that is NP-hard
  bound    PFOO-L (Berger et al., SIGMETRICS 2018): for objects and bytes each, no policy can do better
web sizes: log-normal, median 8 KiB, σ 1.7, at most 1 MiB";
