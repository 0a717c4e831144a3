//! Rules about other files: documents that must stay short, lock files that must not say where packages came from.

use anyhow::Result;

use crate::repo;

/// Checks them.
pub(super) fn check(breaches: &mut Vec<String>) -> Result<()> {
    for (document, most) in SHORT_DOCUMENTS {
        let lines = repo::read(&repo::path(document))?.lines().count();
        if lines > *most {
            breaches.push(format!("{document} has {lines} lines; the most is {most}"));
        }
    }
    for lock in repo::files("package-lock.json")? {
        // The address is whichever mirror its writer used; npm finds the packages by name and integrity without it.
        if repo::read(&repo::path(&lock))?.contains("\"resolved\"") {
            breaches
                .push(format!("{lock} holds download addresses; write it with omit-lockfile-registry-resolved=true"));
        }
    }
    Ok(())
}

/// Documents that people read whole, with the most lines of each.
const SHORT_DOCUMENTS: &[(&str, usize)] = &[("docs/ARCHITECTURE.md", 200)];
