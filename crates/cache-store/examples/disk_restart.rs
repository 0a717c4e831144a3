//! How long a disk tier takes to open: after a clean stop, and after a crash.
//!
//!     cargo run --release -p holm-cache-store --example disk_restart -- FILE [OBJECTS]
//!
//! Fills FILE with that many objects (a million) of 1 KiB with a scope of 100 bytes, stops, opens it, has a process of its
//! own die in the midst of writing to it, and opens it again. The page cache is as it is: `sync; echo 3 >
//! /proc/sys/vm/drop_caches` between the steps changes little, for all reads are direct where the file system allows it.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Arc;
use std::time::Instant;

use holm_cache_store::{Disk, DiskConfig, Record, Stamp};
use holm_model::disk::DiskPlace;
use holm_model::units::ByteSize;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("name a file")?);
    let objects = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    if arguments.next().is_some() {
        die(&path, objects)?;
    }
    let began = Instant::now();
    let disk = open(&path, objects)?;
    fill(&disk, 0..objects);
    disk.flush();
    println!("filled with {objects} in {:?}", began.elapsed());
    let began = Instant::now();
    disk.close();
    drop(disk);
    println!("closed in {:?}", began.elapsed());
    timed(&path, objects, "after a clean stop")?;
    let status = Command::new(env::current_exe()?).arg(&path).arg(objects.to_string()).arg("die").status()?;
    println!("a process died: {status}");
    timed(&path, objects, "after a crash")
}

fn open(path: &Path, objects: u64) -> Result<Disk, Box<dyn Error>> {
    let place = DiskPlace { path: path.to_owned(), offset: 0, size: ByteSize::bytes(objects * 2048 + (64 << 20)) };
    Ok(Disk::open(DiskConfig::new(vec![place], Arc::new(|alert| eprintln!("{alert:?}"))))?)
}

fn timed(path: &Path, objects: u64, when: &str) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let disk = open(path, objects)?;
    let took = began.elapsed();
    let stats = disk.stats();
    let each = stats.index_bytes / stats.objects.max(1);
    println!("opened {when} in {took:?}: {} objects, {each} bytes of index each", stats.objects);
    Ok(())
}

fn fill(disk: &Disk, numbers: std::ops::Range<u64>) {
    for number in numbers {
        while !disk.offer(record(number)) {
            disk.flush();
        }
    }
}

fn record(number: u64) -> Record {
    let hash = blake3::hash(&number.to_le_bytes());
    let key = hash.as_bytes().first_chunk().map_or(0, |half| u128::from_le_bytes(*half));
    Record {
        key,
        stamp: Stamp::default(),
        scope: vec![1; 100].into(),
        meta: vec![2; 200].into(),
        body: vec![3; 1024].into(),
    }
}

fn die(path: &Path, objects: u64) -> Result<(), Box<dyn Error>> {
    let disk = open(path, objects)?;
    fill(&disk, 0..1000);
    disk.flush();
    fill(&disk, 1000..2000);
    process::abort();
}
