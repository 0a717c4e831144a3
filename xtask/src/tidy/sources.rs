//! Rules about Rust sources: module docs, lengths, `mod.rs`, ignored tests.

use anyhow::Result;

use super::length;
use crate::repo;

/// Checks every Rust source.
pub(super) fn check(breaches: &mut Vec<String>) -> Result<()> {
    let mut excused = vec![false; LONG_ON_PURPOSE.len()];
    for file in repo::files(".rs")? {
        let source = repo::read(&repo::path(&file))?;
        for (line, breach) in breaches_of(&file, &source) {
            let excuse = LONG_ON_PURPOSE.iter().position(|(long, _)| *long == file);
            match excuse {
                Some(index) if breach.contains("lines") => excused[index] = true,
                _ => breaches.push(format!("{file}:{line}: {breach}")),
            }
        }
    }
    for ((file, _), _) in LONG_ON_PURPOSE.iter().zip(&excused).filter(|(_, used)| !**used) {
        breaches.push(format!("{file} is excused for its length, and is not long"));
    }
    Ok(())
}

/// What a source does wrong, each with its line.
fn breaches_of(file: &str, source: &str) -> Vec<(usize, String)> {
    let mut breaches = Vec::new();
    if !source.starts_with("//! ") {
        breaches.push((1, "begins without //!, which says what it is about".to_owned()));
    }
    let lines = lines_without_tests(source);
    if lines > LONGEST_FILE {
        breaches
            .push((1, format!("has {lines} lines; the most is {LONGEST_FILE}: split it where a concept has a name")));
    }
    for long in length::functions(source).iter().filter(|function| function.lines > LONGEST_FUNCTION) {
        let message = format!("`{}` has {} lines; the most is {LONGEST_FUNCTION}", long.name, long.lines);
        breaches.push((long.line, message));
    }
    let only_declares = file.ends_with("/mod.rs");
    for (index, line) in source.lines().enumerate() {
        if only_declares && !declares(line) {
            breaches.push((index + 1, "mod.rs declares modules and nothing else".to_owned()));
        }
        if line.trim() == concat!("#[", "ignore]") {
            breaches.push((index + 1, "a test is ignored without a reason".to_owned()));
        }
    }
    breaches
}

/// Lines before the tests that stand in the same file, if any do.
fn lines_without_tests(source: &str) -> usize {
    let tests = source.find("\n#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    source[..tests].lines().count()
}

fn declares(line: &str) -> bool {
    let begins = ["//", "mod ", "pub", "use ", "#["].iter().any(|start| line.starts_with(start));
    // The inside of a `pub use a::{…};`.
    line.is_empty() || begins && !line.contains("fn ") || line.starts_with([' ', '}'])
}

/// Lines of a file, its tests left out.
const LONGEST_FILE: usize = 600;
/// Lines of a function.
const LONGEST_FUNCTION: usize = 70;
/// Files that may be longer or hold longer functions, each with the reason. One that is not needed is a breach.
const LONG_ON_PURPOSE: &[(&str, &str)] = &[];

#[cfg(test)]
mod tests {
    use super::breaches_of;

    #[test]
    fn rules() {
        let check = |file: &str, source: &str, expected: &[&str]| {
            let found = breaches_of(file, source);
            let found: Vec<_> = found.iter().map(|(line, breach)| format!("{line} {breach}")).collect();
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{found:?} is not {expected:?}");
            }
        };
        check("a.rs", "//! A noun.\n", &[]);
        check("a.rs", "use b;\n", &["1 begins without //!"]);
        check("a.rs", &format!("//! A.\n{}", "\n".repeat(600)), &["1 has 601 lines"]);
        check("a.rs", &format!("//! A.\n\n#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(600)), &[]);
        check("a.rs", &format!("//! A.\nfn b() {{{}}}\n", "\n".repeat(70)), &["2 `b` has 71 lines"]);
        check("a.rs", concat!("//! A.\n#[", "ignore]\n#[ignore = \"why\"]\n"), &["2 a test is ignored"]);
        check("a/mod.rs", "//! A.\n\nmod b;\n\npub(crate) use self::b::{\n    C,\n};\n", &[]);
        check("a/mod.rs", "//! A.\nstruct B;\n", &["2 mod.rs declares"]);
    }
}
