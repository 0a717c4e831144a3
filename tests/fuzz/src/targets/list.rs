//! All targets.

#[cfg(feature = "head")]
use super::head;
use super::{conditional, directives, groups, key, manifest, partial, path, range, search, storing, tags, vary};

/// A parser and what must hold of it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Panics if something does not hold.
    pub run: fn(&[u8]),
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "combining", run: partial::combining },
    Target { name: "conditional", run: conditional::run },
    Target { name: "content-range", run: partial::content_range },
    Target { name: "groups", run: groups::run },
    #[cfg(feature = "head")]
    Target { name: "head", run: head::run },
    #[cfg(feature = "head")]
    Target { name: "host", run: head::host },
    Target { name: "key", run: key::run },
    Target { name: "manifest", run: manifest::run },
    Target { name: "path", run: path::run },
    Target { name: "range", run: range::run },
    Target { name: "reference", run: groups::reference },
    Target { name: "request-directives", run: directives::request },
    Target { name: "response-directives", run: directives::response },
    Target { name: "search", run: search::run },
    Target { name: "selector", run: key::selector },
    Target { name: "storing", run: storing::run },
    Target { name: "tags", run: tags::run },
    Target { name: "targeted", run: directives::targeted },
    Target { name: "vary", run: vary::run },
];
