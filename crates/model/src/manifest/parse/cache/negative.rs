//! `negative_ttl` and `negative_max`: how long errors are kept.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::block::Block;
use super::super::report::Report;
use super::super::value::{Value, Wanted};
use super::{lifetime, time};
use crate::manifest::CacheRule;

/// The lifetime by status, and the longest of any error.
pub(super) fn read(block: &Block<'_>, report: &mut Report<'_>) -> Option<(BTreeMap<u16, Duration>, Duration)> {
    let max = time(block, &MAX, report);
    let by_status = block.get("negative_ttl").map_or(Some(BTreeMap::new()), |value| by_status(value, max?, report));
    Some((by_status?, max?.unwrap_or(CacheRule::default().negative_max)))
}

/// `{ 404 = "10s" }`.
fn by_status<'a>(
    value: &'a Value<'a>,
    max: Option<Duration>,
    report: &mut Report<'_>,
) -> Option<BTreeMap<u16, Duration>> {
    let block = Block::open_any(value, "`negative_ttl`".to_owned(), report)?;
    let max = max.unwrap_or(CacheRule::default().negative_max);
    let mut read = Some(BTreeMap::new());
    for (name, span, value) in block.entries() {
        let status = name.parse::<u16>().ok().filter(|status| STATUSES.contains(status));
        if status.is_none() {
            report.error_with_help(span, format!("`{name}` is not the status of an error"), STATUS_HELP);
        } else if status.is_some_and(|status| NEVER_STORED.contains(&status)) {
            let message = format!("a response with status {name} is never stored (RFC 6585)");
            report.error_with_help(span, message, format!("remove `{name}`"));
        } else if let (Some(status), Some(ttl)) = (status, lifetime(&Wanted { name, ..TTL }, value, report)) {
            if ttl > max {
                let help = "lower it, or raise `negative_max`: no error is kept longer than that";
                report.error_with_help(value.span(), format!("`{name}` is longer than `negative_max`"), help);
            }
            if let Some(read) = &mut read {
                read.insert(status, ttl);
            }
            continue;
        }
        read = None;
    }
    read
}

/// Client and server errors (RFC 9110 §15.5, §15.6). There can be no more entries than these.
const STATUSES: RangeInclusive<u16> = 400..=599;
/// RFC 6585 §3 to §6: "MUST NOT be stored by a cache".
const NEVER_STORED: [u16; 4] = [428, 429, 431, 511];
const STATUS_HELP: &str = "use 400 to 599, for example: negative_ttl = { 404 = \"10s\", 503 = \"1s\" }";

const TTL: Wanted<'_> = Wanted { name: "404", what: "a duration", example: "negative_ttl = { 404 = \"10s\" }" };
const MAX: Wanted<'_> = Wanted { name: "negative_max", what: "a duration", example: "negative_max = \"1h\"" };
