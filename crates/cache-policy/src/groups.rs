//! Cache groups: names that responses share, so that one request's response can invalidate all of them. RFC 9875.

use holm_model::limits::{MAX_TAG_BYTES, MAX_TAGS};
use http::Method;
use http::header::{HeaderMap, HeaderName};
use sfv::{BareItem, List, ListEntry, Parser};
use smallvec::SmallVec;

use crate::methods::is_safe;

/// The groups whose responses a response invalidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidatedGroups {
    /// These, or none.
    Named(SmallVec<[String; 4]>),
    /// Those of the origin, whatever they are called: the response names more than we take note of, and what is left out
    /// would stay.
    All,
}

/// §2: the groups that a response belongs to; only within its origin do they mean the same as those of others. How many
/// of what length are kept is the limit of tags, which is above the 32 of 32 characters that §2 asks for.
#[must_use]
pub fn cache_groups(response: &HeaderMap) -> SmallVec<[String; 4]> {
    strings(response, &CACHE_GROUPS).unwrap_or_default()
}

/// §3: the groups whose responses are invalidated by the response to such a request. A safe one invalidates nothing.
#[must_use]
pub fn invalidated_groups(method: &Method, response: &HeaderMap) -> InvalidatedGroups {
    if is_safe(method) {
        return InvalidatedGroups::Named(SmallVec::new());
    }
    let mut groups = strings(response, &CACHE_GROUP_INVALIDATION).unwrap_or_default();
    // What is in a group of a longer name is not stored.
    groups.retain(|group| group.len() <= MAX_TAG_BYTES);
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > MAX_TAGS { InvalidatedGroups::All } else { InvalidatedGroups::Named(groups) }
}

impl InvalidatedGroups {
    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Named(groups) if groups.is_empty())
    }
}

/// A list of Strings, all its lines taken together, without the parameters. One that cannot be parsed, or that holds
/// anything else, is ignored as a whole (RFC 9651 §4.2 and §1.1).
fn strings(headers: &HeaderMap, name: &HeaderName) -> Option<SmallVec<[String; 4]>> {
    let mut lines = headers.get_all(name).iter();
    let first: List = Parser::new(lines.next()?.as_bytes()).parse().ok()?;
    let all = lines.try_fold(first, |all, line| Parser::new(line.as_bytes()).parse_list_with_visitor(all).ok())?;
    all.into_iter().map(string).collect()
}

fn string(entry: ListEntry) -> Option<String> {
    match entry {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(text) => Some(text.into()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    }
}

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn lists() {
        let check = |lines: &[&str], expected: &[&str]| {
            let fields: Vec<_> = lines.iter().map(|line| ("cache-groups", *line)).collect();
            assert_eq!(cache_groups(&headers(&fields)).as_slice(), expected, "{lines:?}");
        };
        check(&[], &[]);
        check(&[""], &[]);
        check(&["\"scripts\""], &["scripts"]);
        check(&["\"a\", \"B c\\\"\""], &["a", "B c\""]);
        check(&["\"a\"", "\"b\""], &["a", "b"]);
        check(&["\"a\";x=1"], &["a"]);
        // Not a list of Strings.
        check(&["a"], &[]);
        check(&["\"a\", b"], &[]);
        check(&["(\"a\")"], &[]);
        check(&["\"a\",", "\"b\""], &[]);
        // §2: at least so many of such length.
        let name = |number: usize| format!("{number:032}");
        let many: Vec<_> = (0..32).map(name).collect();
        let line = many.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        assert_eq!(cache_groups(&headers(&[("cache-groups", &line)])).as_slice(), many);
    }

    #[test]
    fn invalidation_is_for_unsafe_methods() {
        let check = |method: &str, expected: &[&str]| {
            let response = headers(&[("cache-group-invalidation", "\"results\", \"australia\"")]);
            let found = invalidated_groups(&method.parse().unwrap(), &response);
            let expected = expected.iter().map(|group| (*group).to_owned()).collect();
            assert_eq!(found, InvalidatedGroups::Named(expected), "{method}");
        };
        check("POST", &["australia", "results"]);
        check("M-SEARCH", &["australia", "results"]);
        check("GET", &[]);
        check("QUERY", &[]);
    }

    #[test]
    fn more_than_can_be_noted_are_all() {
        let check = |groups: &[String], expected: Option<usize>| {
            let line = groups.iter().map(|group| format!("\"{group}\"")).collect::<Vec<_>>().join(",");
            let found = match invalidated_groups(&Method::POST, &headers(&[("cache-group-invalidation", &line)])) {
                InvalidatedGroups::Named(groups) => Some(groups.len()),
                InvalidatedGroups::All => None,
            };
            assert_eq!(found, expected, "{} groups", groups.len());
        };
        let many = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        check(&many(MAX_TAGS), Some(MAX_TAGS));
        check(&many(MAX_TAGS + 1), None);
        check(&vec!["a".to_owned(); MAX_TAGS + 1], Some(1));
        check(&["a".to_owned(), "b".repeat(MAX_TAG_BYTES + 1)], Some(1));
    }
}
