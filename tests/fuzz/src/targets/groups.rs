//! `Cache-Groups`, and what references in a response name. RFC 9875, RFC 3986 §5.

use holm_cache_policy::{TargetUri, cache_groups, invalidated_groups};
use holm_model::path::normalise;
use http::Method;
use http::header::HeaderName;

use crate::input::{joined, values};

/// Lines of the field.
pub(super) fn run(bytes: &[u8]) {
    let [name, invalidation] = ["cache-groups", "cache-group-invalidation"].map(HeaderName::from_static);
    let fields = values(&name, bytes);
    let groups = cache_groups(&fields);
    // RFC 9651 §4.2: a string that begins in one line and ends in another may be refused, or not.
    if !groups.is_empty() {
        assert_eq!(cache_groups(&joined(&fields, &name)), groups, "lines of Cache-Groups");
    }
    let fields = values(&invalidation, bytes);
    assert!(invalidated_groups(&Method::GET, &fields).is_empty(), "a safe method invalidates");
}

/// A reference.
pub(super) fn reference(bytes: &[u8]) {
    let Ok(reference) = std::str::from_utf8(bytes) else { return };
    let target = TargetUri { scheme: "https", host: "a.example", port: "", path: "/b/c/d", query: Some("q") };
    if let Some(named) = target.resolve(reference) {
        assert_eq!(normalise(&named.path), named.path, "{reference} → {}", named.path);
        assert!(named.path.starts_with('/'), "{reference} → {}", named.path);
        assert!(!named.path.contains('#'), "{reference} → {}", named.path);
    }
}
