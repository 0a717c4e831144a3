//! docs/reference/reasons.md is made from the published list: `cargo xtask codegen` writes it, this compares it; and every
//! reason that the sources name is on the list.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holm_proxy::REASONS;

#[test]
fn reasons_page() {
    let path = root().join("docs/reference/reasons.md");
    let page = page();
    if std::env::var_os("HOLM_BLESS").is_some() {
        std::fs::write(&path, &page).expect("docs/reference is there");
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(held, page, "docs/reference/reasons.md is out of date: run `cargo xtask codegen`");
}

#[test]
fn each_reason_is_listed_once() {
    let names: Vec<_> = names().collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "{names:?}");
}

/// The enums whose words become a `detail`, by the files that hold them.
#[test]
fn what_the_sources_name_is_listed() {
    let listed: BTreeSet<_> = names().collect();
    let check = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(root().join(file)).expect("a source file");
        let begin = text.find(from).unwrap_or_else(|| panic!("{file} has no {from:?}"));
        let end = text[begin..].find(to).unwrap_or_else(|| panic!("{file} has no {to:?}")) + begin;
        let words: Vec<_> = text[begin..end].split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!words.is_empty(), "{file}: no words after {from:?}");
        for word in words {
            assert!(listed.contains(word), "{word} of {file} is not on the list in crates/proxy/src/reasons.rs");
        }
    };
    check("crates/cache-policy/src/meta.rs", "impl StaleReason", "impl MissReason");
    check("crates/cache-policy/src/meta.rs", "impl MissReason", "pub const fn outcome");
    check("crates/cache-policy/src/storing.rs", "impl NoStoreReason", "pub const fn is_of_request");
    check("crates/cache-policy/src/freshness.rs", "Self::Ttl =>", "}");
    check("crates/upstream/src/error.rs", "Self::NoEndpoint =>", "\n    }\n");
    check("crates/wasm-host/src/fault.rs", "Self::Trap =>", "}");
}

/// The words that the sources of proxy and transport give as literals.
#[test]
fn what_the_sources_say_is_listed() {
    let listed: BTreeSet<_> = names().collect();
    let mut seen = 0;
    let folders = ["crates/proxy/src", "crates/transport/src"];
    for file in folders.iter().flat_map(|folder| sources(&root().join(folder))) {
        let text = std::fs::read_to_string(&file).expect("a source file");
        for call in [
            "with_cause(\"",
            "Report::local(Outcome::Refused, \"",
            "Report::forward(Outcome::Bypass, \"",
            "then_some(\"",
            "Refusal::bad(\"",
            "refused(431, \"",
            "refused(400, \"",
            "refused(505, \"",
            "misbehaved(\"",
            "reason: \"",
        ] {
            for word in text.split(call).skip(1).filter_map(|rest| rest.split('"').next()) {
                seen += 1;
                assert!(
                    listed.contains(word),
                    "{word} of {} is not on the list in crates/proxy/src/reasons.rs",
                    file.display()
                );
            }
        }
    }
    assert!(seen > 20, "the search has found nothing");
}

fn names() -> impl Iterator<Item = &'static str> {
    REASONS.iter().flat_map(|(_, reasons)| reasons.iter().map(|reason| reason.name))
}

fn page() -> String {
    let mut page = String::from(
        "<!-- Written by `cargo xtask codegen` from crates/proxy/src/reasons.rs. -->\n\
         # Reasons\n\n\
         The `detail` of `Cache-Status` (RFC 9211 §2.8) is one of these words, and so is the reason in logs.\n",
    );
    for (about, reasons) in REASONS {
        let _ = writeln!(page, "\n## {about}\n\n| detail | meaning |\n|---|---|");
        for reason in *reasons {
            let _ = writeln!(page, "| `{}` | {} |", reason.name, reason.meaning);
        }
    }
    page
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}
