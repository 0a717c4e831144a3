//! Each target over its corpus and seeded mutations of it. `HOLM_FUZZ_TARGET`, `HOLM_FUZZ_SEED` and
//! `HOLM_FUZZ_ROUNDS` change what is tried.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use holm_fuzz::mutate::Mutations;
use holm_fuzz::{TARGETS, Target};

#[test]
fn targets() {
    let seed = setting("HOLM_FUZZ_SEED").unwrap_or(SEED);
    let rounds = setting("HOLM_FUZZ_ROUNDS").unwrap_or(ROUNDS);
    let only = std::env::var("HOLM_FUZZ_TARGET").ok();
    for target in TARGETS.iter().filter(|target| only.as_ref().is_none_or(|only| only == target.name)) {
        let corpus = corpus(target.name);
        println!("{}: {} texts, {rounds} mutations, seed {seed}", target.name, corpus.len());
        for (round, input) in corpus.iter().enumerate() {
            attempt(target, input, &format!("text {round} of the corpus"));
        }
        let mut mutations = Mutations::new(seed, &corpus);
        for round in 0..rounds {
            attempt(target, &mutations.next_input(), &format!("round {round}, seed {seed}"));
        }
    }
}

/// Every corpus is some target's.
#[test]
fn corpora() {
    for entry in std::fs::read_dir(folder()).expect("a folder") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(holm_fuzz::target(&name).is_some(), "corpus/{name} is no target's");
    }
}

/// Runs it; what fails is kept, so that it can be tried again and put into the corpus.
fn attempt(target: &Target, input: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.failed", target.name));
        let kept = std::fs::write(&file, input).map(|()| file.display().to_string()).unwrap_or_default();
        panic!("target {}, {what}: {:?}\nkept in {kept}", target.name, String::from_utf8_lossy(input));
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = std::fs::read_dir(folder().join(name))
        .unwrap_or_else(|error| panic!("corpus/{name}: {error}"))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    // So that a seed means the same everywhere.
    files.sort();
    assert!(!files.is_empty(), "corpus/{name} is empty");
    files.iter().map(|file| std::fs::read(file).expect("a readable file")).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The same in every run: what CI finds is found again.
const SEED: u64 = 9111;
/// Some seconds in all, unoptimised.
const ROUNDS: u64 = 2000;
