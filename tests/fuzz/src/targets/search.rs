//! `No-Vary-Search`. Parts: lines of the field, a query.

use holm_cache_policy::NoVarySearch;
use http::header::HeaderName;

use crate::input::{parts, values};

pub(super) fn run(bytes: &[u8]) {
    let [field, query] = parts(bytes);
    let Ok(query) = std::str::from_utf8(query) else { return };
    let fields = values(&HeaderName::from_static("no-vary-search"), field);
    let Some(search) = NoVarySearch::of(&fields) else { return };
    let canonical = search.canonical_query(Some(query));
    assert_eq!(search.canonical_query(Some(&canonical)), canonical, "{query} has two canonical forms");
    // Empty pairs say nothing (URL standard, application/x-www-form-urlencoded parsing).
    assert_eq!(search.canonical_query(Some(&format!("&{query}&&"))), canonical, "{query}");
    assert_eq!(search.canonical_query(Some("")), search.canonical_query(None));
}
