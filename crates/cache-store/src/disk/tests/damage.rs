//! Damage: flipped bits, torn blocks, cut files. What is found is what was once stored under that key; what a sweep has
//! removed is never found.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use fastrand::Rng;

use super::*;

/// A file of some history, in which versions of each key follow one another, and odd keys were swept away.
fn history(rig: &Rig, rng: &mut Rng) {
    let disk = rig.open();
    for version in 1..4 {
        (0..KEYS).for_each(|n| assert!(wait(disk.write(record(n, version, rng.usize(..4000), ZERO)))));
        disk.flush();
    }
    assert!(disk.sweep(stamp(1, 0), &mut |entry| number(entry.key).is_multiple_of(2)));
    if rng.bool() {
        (0..KEYS / 4).for_each(|n| assert!(wait(disk.write(record(4 * n, 4, rng.usize(..4000), stamp(1, 0))))));
        disk.flush();
    }
    match rng.u32(..3) {
        0 => disk.crash(),
        _ => drop(disk),
    }
}

fn number(key: u128) -> u64 {
    (0..KEYS).find(|n| super::key(*n) == key).unwrap()
}

/// Damages a file in one of many ways.
fn damage(rig: &Rig, rng: &mut Rng) -> String {
    let file = OpenOptions::new().read(true).write(true).open(rig.path(0)).unwrap();
    let len = file.metadata().unwrap().len();
    let at = |rng: &mut Rng| if rng.u32(..4) == 0 { rng.u64(..8192) } else { rng.u64(..len) };
    match rng.u32(..5) {
        0 => {
            let at = at(rng);
            file.set_len(at).unwrap();
            format!("cut at {at}")
        }
        1 => {
            let (at, count) = (at(rng) & !4095, rng.u64(1..40));
            let bytes = vec![0; usize::try_from((count * 4096).min(len - at)).unwrap()];
            file.write_all_at(&bytes, at).unwrap();
            format!("{count} blocks of zeros at {at}")
        }
        2 => {
            let (from, to) = (at(rng) & !4095, at(rng) & !4095);
            let mut block = [0; 4096];
            file.read_exact_at(&mut block, from).unwrap();
            file.write_all_at(&block, to).unwrap();
            format!("the block at {from} also at {to}")
        }
        3 => {
            let at = at(rng);
            flip(&file, at);
            format!("a flip at {at}")
        }
        _ => {
            let count = rng.usize(2..200);
            (0..count).for_each(|_| flip(&file, at(rng)));
            format!("{count} flips")
        }
    }
}

fn flip(file: &File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << (at % 8)], at).unwrap();
}

#[test]
fn nothing_wrong_comes_of_damage() {
    let variable = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match variable("HOLM_SEED") {
        Some(seed) => vec![seed],
        None => (0..variable("HOLM_ROUNDS").unwrap_or(60)).collect::<Vec<u64>>(),
    };
    let (mut found, mut missed) = (0, 0);
    for seed in seeds {
        let mut rng = Rng::with_seed(seed);
        let rig = Rig { segment: ByteSize::kib(128), ..Rig::in_memory(&[ByteSize::mib(4)]) };
        history(&rig, &mut rng);
        let what = damage(&rig, &mut rng);
        let mut disk = match Disk::open(rig.config()) {
            Ok(disk) => disk,
            Err(DiskError::Foreign { .. }) => continue,
            Err(error) => panic!("seed {seed}, {what}: {error}"),
        };
        // What was recovered is recovered again, from what the first recovery left.
        for again in [false, true] {
            for n in 0..KEYS {
                let Some(read) = read(&disk, n) else {
                    missed += 1;
                    continue;
                };
                found += 1;
                let version = (1..=4).find(|version| read.meta == format!("version {version} of {n}"));
                let version = version.unwrap_or_else(|| panic!("seed {seed}, {what}: {read:?}"));
                assert_eq!(read.body, body(n, version, read.body.len()), "seed {seed}, {what}");
                assert!(n.is_multiple_of(2), "seed {seed}, {what}, again: {again}: {n} was swept away");
                assert!(read.stamp.covers(stamp(1, 0)), "seed {seed}, {what}");
            }
            // It works as well as any.
            assert!(wait(disk.write(record(0, 4, 100, stamp(1, 0)))));
            assert!(disk.flush());
            disk.crash();
            disk = rig.open();
        }
    }
    eprintln!("found {found}, missed {missed}");
    assert!(found > missed / 10);
}

const KEYS: u64 = 100;
