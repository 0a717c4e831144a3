//! A process that is killed while it stores: what it was told to be on the device is found, nothing else but what it stored.
//!
//! The test runs itself as the process to be killed. Seeded; `HOLM_ROUNDS` kills more often (a few in CI), `HOLM_SEED`
//! begins with another seed.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::HashMap;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use futures_executor::block_on as wait;
use holm_cache_store::{Disk, DiskConfig, Record, Stamp};
use holm_model::disk::DiskPlace;
use holm_model::ids::Seq;
use holm_model::units::ByteSize;

/// What a key was last said to be: each version is told before it is stored, and after a flush.
type Told = HashMap<u64, (u64, u64)>;

#[test]
fn killed_at_any_moment() {
    if let Ok(folder) = env::var("HOLM_KILL_FOLDER") {
        return store(Path::new(&folder), number("HOLM_SEED").unwrap_or(0));
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut found, mut told) = (0, Told::new());
    let first = number("HOLM_SEED").unwrap_or(0);
    let rounds = number("HOLM_ROUNDS").unwrap_or(12);
    for seed in first..first + rounds {
        run_and_kill(folder.path(), seed, &mut told);
        found = check(&open(folder.path()), &told, seed);
    }
    println!("killed {rounds} times from seed {first} on; {found} of {} found at last", told.len());
    assert!(found > 0);
}

/// Runs the process until it has told so many lines, then kills it.
fn run_and_kill(folder: &Path, seed: u64, told: &mut Told) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed_at_any_moment", "--nocapture"])
        .env("HOLM_KILL_FOLDER", folder)
        .env("HOLM_SEED", seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut begun: Told = HashMap::new();
    let mut left = Rng::with_seed(seed).u32(1..6000);
    let mut note = |line: &str| {
        let mut words = line.split(' ');
        match (words.next(), words.next().and_then(|n| n.parse().ok()), words.next().and_then(|v| v.parse().ok())) {
            // Nothing older than what was flushed, nothing newer than what was begun.
            (Some("begin"), Some(n), Some(version)) => {
                begun.entry(n).or_insert_with(|| told.get(&n).copied().unwrap_or((0, 0))).1 = version;
                told.insert(n, begun[&n]);
            }
            (Some("flushed"), ..) => {
                for (n, (_, version)) in begun.drain() {
                    told.insert(n, (version, version));
                }
            }
            _ => {}
        }
    };
    while left > 0 {
        let Some(Ok(line)) = lines.next() else { panic!("seed {seed}: the process ended by itself") };
        note(&line);
        left -= 1;
    }
    child.kill().unwrap();
    // What it told before it died counts, too.
    lines.map_while(Result::ok).for_each(|line| note(&line));
    child.wait().unwrap();
}

/// Stores until it is killed. A version that is a multiple of five is a removal.
fn store(folder: &Path, seed: u64) {
    let disk = open(folder);
    let mut rng = Rng::with_seed(!seed);
    let mut out = std::io::stdout();
    for step in 1.. {
        let version: u64 = seed * 1_000_000 + step;
        let n = rng.u64(..KEYS);
        writeln!(out, "begin {n} {version}").unwrap();
        if version.is_multiple_of(5) {
            disk.remove(key(n));
        } else {
            assert!(wait(disk.write(record(n, version))));
        }
        if version.is_multiple_of(37) {
            drop(disk.read(key(rng.u64(..KEYS))).map(wait));
        }
        if version.is_multiple_of(499) {
            assert!(disk.flush());
            writeln!(out, "flushed").unwrap();
        }
        if version.is_multiple_of(1501) {
            assert!(disk.sweep(Stamp { seq: Seq::new(version), ..Stamp::default() }, &mut |_| true));
            writeln!(out, "flushed").unwrap();
        }
    }
}

/// Everything is as it was stored. Returns how much was found.
fn check(disk: &Disk, told: &Told, seed: u64) -> u64 {
    let mut found = 0;
    for (n, (flushed, begun)) in told {
        let Some(read) = disk.read(key(*n)).and_then(wait) else { continue };
        let version = String::from_utf8(read.meta.to_vec()).unwrap().parse().unwrap();
        assert_eq!(read.body, record(*n, version).body, "seed {seed}: {n}");
        assert!((*flushed..=*begun).contains(&version), "seed {seed}: {n} has {version}, not {flushed} to {begun}");
        found += 1;
    }
    found
}

fn open(folder: &Path) -> Disk {
    let place = |name: &str, size| DiskPlace { path: folder.join(name), offset: 0, size: ByteSize::mib(size) };
    let alert = |alert| panic!("{alert:?}");
    let config = DiskConfig::new(vec![place("one", 8), place("two", 4)], Arc::new(alert));
    Disk::open(DiskConfig { segment: ByteSize::kib(256), ..config }).unwrap()
}

fn key(n: u64) -> u128 {
    blake3::hash(&n.to_le_bytes()).as_bytes().first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
}

fn record(n: u64, version: u64) -> Record {
    let mut body = vec![0; (version % 7 * 1500) as usize];
    blake3::Hasher::new().update(&n.to_le_bytes()).update(&version.to_le_bytes()).finalize_xof().fill(&mut body);
    let scope = Bytes::from(format!("scope {n}"));
    Record { key: key(n), stamp: Stamp::default(), scope, meta: version.to_string().into(), body: body.into() }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|text| text.parse().ok())
}

const KEYS: u64 = 1500;
