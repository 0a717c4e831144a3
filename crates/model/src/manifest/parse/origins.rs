//! `[origins.NAME]`: a pool of endpoints, and how it is used.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::de::DeValue;

use super::block::{Block, Keys};
use super::report::Report;
use super::value::{Value, Wanted};
use crate::manifest::{Balance, Endpoint, EndpointUrl, OriginSpec, Retry, Timeouts};

/// Reads all origins: a name with `None` is there, and wrong.
pub(super) fn read<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> BTreeMap<String, Option<OriginSpec>> {
    let Some(block) = Block::open_any(value, "`origins`".to_owned(), report) else { return BTreeMap::new() };
    let mut origins = BTreeMap::new();
    for (name, span, value) in block.entries() {
        let valid = check_name("origin", name, span, report);
        let spec = origin(name, value, report);
        origins.insert(name.to_owned(), valid.and(spec));
    }
    origins
}

/// Names of origins and handlers become labels of metrics and parts of paths.
pub(super) fn check_name(kind: &str, name: &str, span: Range<usize>, report: &mut Report<'_>) -> Option<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=MOST_NAME).contains(&name.len()) && name.chars().all(fits) {
        return Some(());
    }
    let help = format!("use 1 to {MOST_NAME} letters, digits, `-` and `_`");
    report.error_with_help(span, format!("`{name}` cannot be the name of {} {kind}", article(kind)), help);
    None
}

fn origin<'a>(name: &str, value: &'a Value<'a>, report: &mut Report<'_>) -> Option<OriginSpec> {
    let block = Block::open(value, format!("[origins.{name}]"), &KEYS, report)?;
    let balance = block.get("balance").map_or(Some(Balance::default()), |value| balance(value, report));
    let endpoints = endpoints(&block, report);
    let host = optional_host(&block, &HOST, report);
    let sni = optional_host(&block, &SNI, report);
    let retry = block.get("retry").map_or(Some(Retry::default()), |value| retry(value, report));
    let timeout = block.get("timeout").map_or(Some(Timeouts::default()), |value| timeouts(value, report));
    Some(OriginSpec {
        balance: balance?,
        endpoints: endpoints?,
        host: host?,
        sni: sni?,
        retry: retry?,
        timeout: timeout?,
    })
}

fn balance(value: &Value<'_>, report: &mut Report<'_>) -> Option<Balance> {
    let name = BALANCE.text(value, report)?;
    match name {
        "round-robin" => return Some(Balance::RoundRobin),
        "weighted" => return Some(Balance::Weighted),
        other if LATER_BALANCE.contains(&other) => {
            let help = "use \"round-robin\" or \"weighted\"";
            report.not_available(value.span(), &format!("`balance = \"{other}\"`"), help);
        }
        other => {
            let message = format!("there is no way to balance called `{other}`");
            report.unknown(value.span(), message, other, &["round-robin", "weighted"]);
        }
    }
    None
}

fn endpoints<'a>(block: &Block<'a>, report: &mut Report<'_>) -> Option<Vec<Endpoint>> {
    let value = block.require("endpoints", ENDPOINTS.example, report)?;
    let list = ENDPOINTS.list(value, report)?;
    if list.is_empty() {
        let message = format!("{} has no endpoints", block.name());
        report.error_with_help(value.span(), message, format!("for example: {}", ENDPOINTS.example));
    }
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(list.len());
    for item in list {
        let Some(endpoint) = endpoint(item, report) else { continue };
        if endpoints.iter().any(|other| other.url == endpoint.url) {
            let help = "list it once; { url = \"…\", weight = 2 } gives it a double share";
            report.error_with_help(item.span(), "this endpoint is listed twice", help);
        }
        endpoints.push(endpoint);
    }
    (endpoints.len() == list.len()).then_some(endpoints)
}

/// `"https://10.0.0.1:8443"` or `{ url = "https://10.0.0.1:8443", weight = 2 }`.
fn endpoint<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<Endpoint> {
    match value.get_ref() {
        DeValue::String(_) => Some(Endpoint { url: url(value, report)?, weight: DEFAULT_WEIGHT }),
        DeValue::Table(_) => {
            let block = Block::open(value, "an endpoint".to_owned(), &ENDPOINT_KEYS, report)?;
            let url = block.require("url", URL.example, report).and_then(|value| url(value, report));
            let weight = block.get("weight").map_or(Some(u64::from(DEFAULT_WEIGHT)), |value| {
                WEIGHT.integer(value, 1..=u64::from(MOST_WEIGHT), report)
            });
            Some(Endpoint { url: url?, weight: u32::try_from(weight?).unwrap_or(MOST_WEIGHT) })
        }
        _ => {
            ENDPOINT.refuse(value, report);
            None
        }
    }
}

fn url(value: &Value<'_>, report: &mut Report<'_>) -> Option<EndpointUrl> {
    if let DeValue::String(text) = value.get_ref()
        && text.starts_with("h3://")
    {
        report.not_available(value.span(), "HTTP/3 to an origin", "use https://");
        return None;
    }
    URL.parsed(value, report)
}

fn retry<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<Retry> {
    let block = Block::open(value, "`retry`".to_owned(), &RETRY_KEYS, report)?;
    let Some(value) = block.get("attempts") else { return Some(Retry::default()) };
    let attempts = ATTEMPTS.integer(value, 1..=u64::from(MOST_ATTEMPTS), report)?;
    Some(Retry { attempts: u32::try_from(attempts).unwrap_or(MOST_ATTEMPTS) })
}

fn timeouts<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<Timeouts> {
    let block = Block::open(value, "`timeout`".to_owned(), &TIMEOUT_KEYS, report)?;
    let mut time = |wanted: &Wanted<'_>, default: Duration| match block.get(wanted.name) {
        None => Some(default),
        Some(value) => wanted.positive_duration(value, report),
    };
    let default = Timeouts::default();
    let connect = time(&CONNECT, default.connect);
    let first_byte = time(&FIRST_BYTE, default.first_byte);
    let idle = time(&IDLE, default.idle);
    Some(Timeouts { connect: connect?, first_byte: first_byte?, idle: idle? })
}

/// A host, with a port where one belongs: it is sent as it stands, so nothing else may be in it. `Some(None)` for what
/// is absent, `None` for what is there and wrong.
fn optional_host(block: &Block<'_>, wanted: &Wanted<'_>, report: &mut Report<'_>) -> Option<Option<String>> {
    let Some(value) = block.get(wanted.name) else { return Some(None) };
    let text = wanted.text(value, report)?;
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b)) {
        wanted.refuse_content(value, format!("`{}` is not a host", text.escape_debug()), report);
        return None;
    }
    Some(Some(text.to_owned()))
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

const KEYS: Keys = Keys {
    known: &["balance", "endpoints", "host", "sni", "retry", "timeout"],
    later: &["discover", "health", "eject", "sticky", "headers"],
};
const ENDPOINT_KEYS: Keys = Keys { known: &["url", "weight"], later: &["zone"] };
const RETRY_KEYS: Keys = Keys { known: &["attempts"], later: &["budget"] };
const TIMEOUT_KEYS: Keys = Keys { known: &["connect", "first_byte", "idle"], later: &[] };
const LATER_BALANCE: &[&str] = &["least-connections", "ewma", "ip-hash", "consistent-hash"];

/// Longest name of an origin or a handler, as for a site.
const MOST_NAME: usize = 63;
/// An even share.
const DEFAULT_WEIGHT: u32 = 1;
/// Finer shares than a thousandth are below what anybody measures.
const MOST_WEIGHT: u32 = 1000;
/// More attempts than this only multiply an outage.
const MOST_ATTEMPTS: u32 = 10;

const BALANCE: Wanted<'_> =
    Wanted { name: "balance", what: "the name of a way to balance", example: "balance = \"round-robin\"" };
const ENDPOINTS: Wanted<'_> =
    Wanted { name: "endpoints", what: "a list of URLs", example: "endpoints = [\"https://10.0.0.1:8443\"]" };
const ENDPOINT: Wanted<'_> = Wanted {
    name: "endpoints",
    what: "a list of URLs or tables",
    example: "endpoints = [{ url = \"https://10.0.0.1:8443\", weight = 2 }]",
};
const URL: Wanted<'_> = Wanted { name: "url", what: "a URL", example: "\"https://10.0.0.1:8443\"" };
const WEIGHT: Wanted<'_> = Wanted { name: "weight", what: "a whole number", example: "weight = 2" };
const HOST: Wanted<'_> = Wanted { name: "host", what: "a host name", example: "host = \"web.internal\"" };
const SNI: Wanted<'_> = Wanted { name: "sni", what: "a host name", example: "sni = \"web.internal\"" };
const ATTEMPTS: Wanted<'_> = Wanted { name: "attempts", what: "a whole number", example: "attempts = 2" };
const CONNECT: Wanted<'_> = Wanted { name: "connect", what: "a duration", example: "connect = \"1s\"" };
const FIRST_BYTE: Wanted<'_> = Wanted { name: "first_byte", what: "a duration", example: "first_byte = \"15s\"" };
const IDLE: Wanted<'_> = Wanted { name: "idle", what: "a duration", example: "idle = \"60s\"" };
