//! Paths in their normal form. RFC 3986 §6.2.2.

use holm_model::path::{hides_structure, normalise};

pub(super) fn run(bytes: &[u8]) {
    // What hyper takes for a path, and what of it the scanner lets through.
    let Ok(uri) = http::uri::PathAndQuery::try_from(bytes) else { return };
    let path = uri.path();
    let normal = normalise(path);
    assert_eq!(normalise(&normal), normal, "{path} has two normal forms");
    assert_eq!(normal.starts_with('/'), path.starts_with('/'), "{path}");
    assert!(!normal.split('/').any(|segment| matches!(segment, "." | "..")), "{path} → {normal}");
    assert!(!hides_structure(&normal) || hides_structure(path), "{path} → {normal} hides what it did not");
    assert!(normal.len() <= path.len() || path.contains('%'), "{path} → {normal}");
}
