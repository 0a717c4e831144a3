//! `No-Vary-Search`. Parts: lines of the field, a query.

use holm_cache_policy::NoVarySearch;
use http::header::HeaderName;

use crate::input::{parts, values};

pub(super) fn run(bytes: &[u8]) {
    let [field, query] = parts(bytes);
    let Ok(query) = std::str::from_utf8(query) else { return };
    let fields = values(&HeaderName::from_static("no-vary-search"), field);
    let Some(search) = NoVarySearch::of(&fields) else { return };
    let text = search.equivalence(Some(query));
    let canonical = text.split_once('?').map(|(_, canonical)| canonical);
    assert_eq!(search.equivalence(canonical), text, "{query} has two canonical forms");
    // Empty pairs say nothing (URL standard, application/x-www-form-urlencoded parsing).
    assert_eq!(search.equivalence(Some(&format!("&{query}&&"))), text, "{query}");
    assert_eq!(search.equivalence(Some("")), search.equivalence(None));
}
