//! `cache = { … }` of a route: how long responses are kept, and what makes them differ.

mod disk;
mod key;
mod languages;
mod negative;

use std::time::Duration;

use toml::de::DeValue;

use super::block::{Block, Keys};
use super::report::Report;
use super::value::{Value, Wanted};
use crate::limits::MAX_LIFETIME;
use crate::manifest::{CacheRule, DiskAdmission, HostPattern, KeyRule, Languages};
use crate::units::HumanDuration;

/// Reads a rule: a table, or `false` for no caching at all. `hosts` are the site's, where they could be read.
pub(super) fn read<'a>(
    value: &'a Value<'a>,
    hosts: Option<&[HostPattern]>,
    report: &mut Report<'_>,
) -> Option<CacheRule> {
    if let DeValue::Boolean(enabled) = value.get_ref() {
        return Some(CacheRule { enabled: *enabled, ..CacheRule::default() });
    }
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        CACHE.refuse(value, report);
        return None;
    }
    let block = Block::open(value, "`cache`".to_owned(), &KEYS, report)?;
    let lifetimes = Lifetimes::read(&block, report);
    let default = CacheRule::default();
    let heuristic = flag(&block, &HEURISTIC, default.heuristic, report);
    let early_hints = flag(&block, &EARLY_HINTS, default.early_hints, report);
    let negative = negative::read(&block, report);
    let (revalidate, if_error) = (time(&block, &REVALIDATE, report), time(&block, &IF_ERROR, report));
    let disk = block.get("disk").map_or(Some(DiskAdmission::default()), |value| disk::read(value, report));
    let languages = block.get("languages").map_or(Some(Languages::default()), |value| languages::read(value, report));
    let key = block.get("key").map_or(Some(KeyRule::default()), |value| key::read(value, hosts, report));
    let (lifetimes, (negative_ttl, negative_max)) = (lifetimes?, negative?);
    Some(CacheRule {
        enabled: true,
        ttl: lifetimes.always,
        default_ttl: lifetimes.default,
        min_ttl: lifetimes.min,
        max_ttl: lifetimes.max,
        heuristic: heuristic?,
        negative_ttl,
        negative_max,
        stale_while_revalidate: revalidate?,
        stale_if_error: if_error?,
        early_hints: early_hints?,
        disk: disk?,
        languages: languages?,
        key: key?,
    })
}

/// The lifetimes that a route rules, none of which contradicts another.
struct Lifetimes {
    always: Option<Duration>,
    default: Option<Duration>,
    min: Option<Duration>,
    max: Option<Duration>,
}

impl Lifetimes {
    fn read(block: &Block<'_>, report: &mut Report<'_>) -> Option<Self> {
        let (always, default) = (time(block, &TTL, report), time(block, &DEFAULT_TTL, report));
        let (min, max) = (time(block, &MIN_TTL, report), time(block, &MAX_TTL, report));
        let read = Self { always: always?, default: default?, min: min?, max: max? };
        if read.always.is_some() {
            for name in ["default_ttl", "min_ttl", "max_ttl"] {
                let Some(value) = block.get(name) else { continue };
                let message = format!("`ttl` is every response's lifetime: `{name}` beside it has no effect");
                report.error_with_help(value.span(), message, format!("remove `ttl` or `{name}`"));
            }
            return Some(read);
        }
        let pairs = [
            (("min_ttl", read.min), ("max_ttl", read.max)),
            (("min_ttl", read.min), ("default_ttl", read.default)),
            (("default_ttl", read.default), ("max_ttl", read.max)),
        ];
        for ((short, least), (long, most)) in pairs {
            if let (Some(value), Some(least), Some(most)) = (block.get(short), least, most)
                && least > most
            {
                let message = format!("`{short}` is longer than `{long}`");
                report.error_with_help(value.span(), message, format!("lower `{short}` or raise `{long}`"));
                break;
            }
        }
        Some(read)
    }
}

/// A span of time that may be absent.
fn time(block: &Block<'_>, wanted: &Wanted<'_>, report: &mut Report<'_>) -> Option<Option<Duration>> {
    match block.get(wanted.name) {
        None => Some(None),
        Some(value) => lifetime(wanted, value, report).map(Some),
    }
}

fn lifetime(wanted: &Wanted<'_>, value: &Value<'_>, report: &mut Report<'_>) -> Option<Duration> {
    let time = wanted.duration(value, report)?;
    if time > MAX_LIFETIME {
        wanted.refuse_content(value, format!("it must be at most {}", HumanDuration(MAX_LIFETIME)), report);
        return None;
    }
    Some(time)
}

fn flag(block: &Block<'_>, wanted: &Wanted<'_>, default: bool, report: &mut Report<'_>) -> Option<bool> {
    block.get(wanted.name).map_or(Some(default), |value| wanted.boolean(value, report))
}

const KEYS: Keys = Keys {
    known: &[
        "ttl",
        "default_ttl",
        "min_ttl",
        "max_ttl",
        "heuristic",
        "negative_ttl",
        "negative_max",
        "stale_while_revalidate",
        "stale_if_error",
        "early_hints",
        "disk",
        "languages",
        "key",
    ],
    later: &[],
};

const CACHE: Wanted<'_> =
    Wanted { name: "cache", what: "a table or false", example: "cache = { default_ttl = \"1h\" }" };
const TTL: Wanted<'_> = Wanted { name: "ttl", what: "a duration", example: "ttl = \"1h\"" };
const DEFAULT_TTL: Wanted<'_> = Wanted { name: "default_ttl", what: "a duration", example: "default_ttl = \"1h\"" };
const MIN_TTL: Wanted<'_> = Wanted { name: "min_ttl", what: "a duration", example: "min_ttl = \"10s\"" };
const MAX_TTL: Wanted<'_> = Wanted { name: "max_ttl", what: "a duration", example: "max_ttl = \"1d\"" };
const REVALIDATE: Wanted<'_> =
    Wanted { name: "stale_while_revalidate", what: "a duration", example: "stale_while_revalidate = \"1m\"" };
const IF_ERROR: Wanted<'_> = Wanted { name: "stale_if_error", what: "a duration", example: "stale_if_error = \"1d\"" };
const HEURISTIC: Wanted<'_> = Wanted { name: "heuristic", what: "true or false", example: "heuristic = false" };
const EARLY_HINTS: Wanted<'_> = Wanted { name: "early_hints", what: "true or false", example: "early_hints = true" };

#[cfg(test)]
mod tests;
