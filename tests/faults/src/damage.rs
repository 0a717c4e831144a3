//! Damage: what happens to files while no process looks.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use fastrand::Rng;

/// What was done to a file.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) what: String,
    /// It may have taken what a node remembers on its own, without a trace.
    pub(crate) took_memories: bool,
}

/// Does some damage to a random file below `folder`; nothing where there is none.
pub(crate) fn inflict(folder: &Path, rng: &mut Rng) -> io::Result<Option<Damage>> {
    let files = files(folder)?;
    let Some(path) = rng.choice(&files) else { return Ok(None) };
    let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
    let is_journal = JOURNALS.iter().any(|journal| name.starts_with(journal));
    let size = path.metadata()?.len();
    let (what, deleted) = match rng.u8(..10) {
        0 => {
            std::fs::remove_file(path)?;
            ("deleted".to_owned(), true)
        }
        1 | 2 if size > 0 => {
            // Mostly a torn tail.
            let left = if rng.bool() { size - rng.u64(1..=size.min(5000)) } else { rng.u64(..size) };
            OpenOptions::new().write(true).open(path)?.set_len(left)?;
            (format!("cut from {size} to {left} bytes"), false)
        }
        _ if size > 0 => (overwrite(path, size, rng)?, false),
        _ => return Ok(None),
    };
    // A journal that is not there at all is seen to be missing.
    Ok(Some(Damage { what: format!("{name}: {what}"), took_memories: is_journal && !deleted }))
}

fn overwrite(path: &Path, size: u64, rng: &mut Rng) -> io::Result<String> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut told = Vec::new();
    for _ in 0..rng.usize(1..=MOST_PLACES) {
        let at = somewhere(&file, size, rng)?;
        let kind = rng.u8(..3);
        let length = if kind == 0 { 1 } else { rng.usize(1..=MOST_BYTES) };
        let mut bytes = vec![0; length.min(usize::try_from(size - at).unwrap_or(usize::MAX))];
        match kind {
            0 => {
                file.read_exact_at(&mut bytes, at)?;
                bytes[0] ^= 1 << rng.u8(..8);
            }
            1 => {}
            _ => rng.fill(&mut bytes),
        }
        file.write_all_at(&bytes, at)?;
        told.push(format!("{} {} at {at}", bytes.len(), ["flipped", "zeroed", "scrambled"][usize::from(kind)]));
    }
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    if more > 0 {
        told.push(format!("and {more} more places"));
    }
    Ok(told.join(", "))
}

/// A place in a file, most likely one that was written to.
fn somewhere(file: &File, size: u64, rng: &mut Rng) -> io::Result<u64> {
    let mut at = 0;
    for _ in 0..TRIES {
        at = rng.u64(..size);
        let mut around = [0; 64];
        let read = file.read_at(&mut around, at)?;
        if around[..read].iter().any(|byte| *byte != 0) {
            break;
        }
    }
    Ok(at)
}

/// Every file below, in the order of their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => found.extend(files(&entry.path())?),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}

/// The folders of the roles' journals.
const JOURNALS: &[&str] = &["edge/", "shield/"];
/// How many places of a file are damaged at most.
const MOST_PLACES: usize = 20;
/// How many of them are told.
const TOLD: usize = 3;
/// How much of each.
const MOST_BYTES: usize = 20_000;
/// How often a place that was written to is sought.
const TRIES: usize = 40;
