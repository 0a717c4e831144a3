//! `cache = { … }` of a route: how long responses are kept that do not say so, and what makes them differ.

use toml::de::DeValue;

use super::block::{Block, Keys};
use super::report::Report;
use super::value::{Value, Wanted};
use crate::manifest::{CacheRule, KeyRule, QueryRule};

/// Reads a rule: a table, or `false` for no caching at all.
pub(super) fn read<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<CacheRule> {
    if let DeValue::Boolean(enabled) = value.get_ref() {
        return Some(CacheRule { enabled: *enabled, ..CacheRule::default() });
    }
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        CACHE.refuse(value, report);
        return None;
    }
    let block = Block::open(value, "`cache`".to_owned(), &KEYS, report)?;
    let mut time = |wanted: &Wanted<'_>| match block.get(wanted.name) {
        None => Some(None),
        Some(value) => wanted.duration(value, report).map(Some),
    };
    let (default_ttl, stale_while_revalidate, stale_if_error) =
        (time(&DEFAULT_TTL), time(&REVALIDATE), time(&IF_ERROR));
    let key = block.get("key").map_or(Some(KeyRule::default()), |value| key(value, report));
    Some(CacheRule {
        enabled: true,
        default_ttl: default_ttl?,
        stale_while_revalidate: stale_while_revalidate?,
        stale_if_error: stale_if_error?,
        key: key?,
        ..CacheRule::default()
    })
}

fn key<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<KeyRule> {
    let block = Block::open(value, "the cache `key`".to_owned(), &KEY_KEYS, report)?;
    match block.get("query") {
        None => Some(KeyRule::default()),
        Some(value) => query(value, report).map(|query| KeyRule { query, ..KeyRule::default() }),
    }
}

/// `"all"`, `"none"`, or the names of the parameters that count.
fn query<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<QueryRule> {
    match value.get_ref() {
        DeValue::String(text) if text == "all" => Some(QueryRule::All),
        DeValue::String(text) if text == "none" => Some(QueryRule::None),
        DeValue::Array(list) if list.is_empty() => Some(QueryRule::None),
        DeValue::Array(_) => {
            let mut names: Vec<String> = QUERY.texts(value, report)?.into_iter().map(str::to_owned).collect();
            names.sort_unstable();
            names.dedup();
            Some(QueryRule::Only(names))
        }
        _ => {
            QUERY.refuse(value, report);
            None
        }
    }
}

const KEYS: Keys = Keys { known: &["default_ttl", "stale_while_revalidate", "stale_if_error", "key"], later: &[] };
const KEY_KEYS: Keys = Keys { known: &["query"], later: &[] };

const CACHE: Wanted<'_> =
    Wanted { name: "cache", what: "a table or false", example: "cache = { default_ttl = \"1h\" }" };
const DEFAULT_TTL: Wanted<'_> = Wanted { name: "default_ttl", what: "a duration", example: "default_ttl = \"1h\"" };
const REVALIDATE: Wanted<'_> =
    Wanted { name: "stale_while_revalidate", what: "a duration", example: "stale_while_revalidate = \"1m\"" };
const IF_ERROR: Wanted<'_> = Wanted { name: "stale_if_error", what: "a duration", example: "stale_if_error = \"1d\"" };
const QUERY: Wanted<'_> = Wanted {
    name: "query",
    what: "\"all\", \"none\" or a list of parameter names",
    example: "key = { query = [\"v\"] }",
};
