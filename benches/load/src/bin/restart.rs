//! `restart fill | open`: the disk tier through its own API. `fill` stores records, then closes the tier or is killed;
//! `open` says how long opening took and what is there. Prints one line of JSON.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::{Parser, Subcommand};
use holm_bench_load::tell;
use holm_cache_store::{Disk, DiskConfig, Record, Stamp};
use holm_model::disk::DiskPlace;
use holm_model::units::ByteSize;
use serde_json::{Value, json};

/// How long the disk tier takes to be ready
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
    /// The place: a file, made if it is missing
    #[arg(long, global = true, default_value = "disk")]
    place: PathBuf,
    /// Records
    #[arg(long, global = true, default_value_t = 1_000_000)]
    objects: u64,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// Store all records and close the tier
    Fill,
    /// Store all records, bring them to the device, print a line and wait to be killed
    FillAndWait,
    /// Open it, and read some records
    Open,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tell(run(&Args::parse()).await)
}

async fn run(args: &Args) -> Result<Value> {
    let begun = Instant::now();
    let disk = open(args)?;
    let opened = begun.elapsed();
    match args.what {
        What::Open => check(args, &disk, opened).await,
        What::Fill => {
            fill(args, &disk).await?;
            let begun = Instant::now();
            disk.close();
            Ok(json!({ "close_seconds": begun.elapsed().as_secs_f64() }))
        }
        What::FillAndWait => {
            fill(args, &disk).await?;
            ensure!(disk.flush(), "the device has failed");
            println!("{}", json!({ "filled": args.objects }));
            tokio::time::sleep(KILLED_WITHIN).await;
            anyhow::bail!("nobody has killed us");
        }
    }
}

fn open(args: &Args) -> Result<Disk> {
    let size = ByteSize::bytes(args.objects * PLACE_BYTES_AN_OBJECT + ByteSize::mib(256).get());
    let place = DiskPlace { path: args.place.clone(), offset: 0, size };
    let config = DiskConfig::new(vec![place], Arc::new(|alert| eprintln!("{alert:?}")));
    Disk::open(config).context("cannot open the disk tier")
}

async fn fill(args: &Args, disk: &Disk) -> Result<()> {
    for number in 0..args.objects {
        ensure!(disk.write(record(number)).await, "record {number} was refused");
    }
    Ok(())
}

/// Says what is there, and reads a thousand records, spread over all.
async fn check(args: &Args, disk: &Disk, opened: Duration) -> Result<Value> {
    let stats = disk.stats();
    let mut found = 0;
    for number in (0..args.objects).step_by((args.objects / SAMPLE).max(1) as usize) {
        let expected = record(number);
        let Some(reading) = disk.read(expected.key) else { continue };
        if let Some(read) = reading.await {
            ensure!(read.body == expected.body && read.meta == expected.meta, "record {number} is another");
            found += 1;
        }
    }
    Ok(json!({
        "open_seconds": opened.as_secs_f64(), "objects": stats.objects, "index_bytes": stats.index_bytes,
        "sample_found": found, "sample": args.objects.div_ceil((args.objects / SAMPLE).max(1)),
    }))
}

/// A small object, as a page has many: 1 KiB of body.
fn record(number: u64) -> Record {
    let mut body = [0_u8; 1024];
    body.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&number.to_le_bytes()));
    Record {
        key: key(number),
        stamp: Stamp::default(),
        scope: Bytes::from_static(&[7; 64]),
        meta: Bytes::copy_from_slice(&number.to_be_bytes().repeat(16)),
        body: Bytes::copy_from_slice(&body),
    }
}

/// Keys are hashes: two rounds of SplitMix64.
fn key(number: u64) -> u128 {
    let mix = |seed: u64| {
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let high = mix(number);
    u128::from(high) << 64 | u128::from(mix(high))
}

const PLACE_BYTES_AN_OBJECT: u64 = 4096;
const SAMPLE: u64 = 1000;
const KILLED_WITHIN: Duration = Duration::from_secs(60);
