//! `key`: what of a request makes its response another one.

use std::fmt::Display;

use toml::de::DeValue;

use super::super::block::{Block, Keys};
use super::super::report::Report;
use super::super::value::{Value, Wanted};
use super::flag;
use crate::fields;
use crate::limits::{MAX_KEY_NAME_BYTES, MAX_KEY_NAMES};
use crate::manifest::{HostPattern, KeyRule, QueryRule};

pub(super) fn read<'a>(
    value: &'a Value<'a>,
    hosts: Option<&[HostPattern]>,
    report: &mut Report<'_>,
) -> Option<KeyRule> {
    let block = Block::open(value, "the cache `key`".to_owned(), &KEYS, report)?;
    let query = block.get("query").map_or(Some(QueryRule::All), |value| query(value, report));
    let sort = flag(&block, &SORT, false, report);
    let headers = block.get("headers").map_or(Some(Vec::new()), |value| headers(value, report));
    let cookies = block.get("cookies").map_or(Some(Vec::new()), |value| names(&COOKIES, value, is_cookie, report));
    let share_hosts = flag(&block, &SHARE_HOSTS, false, report);
    if let (Some(value), Some(true), Some(QueryRule::None)) = (block.get("sort"), sort, &query) {
        let help = "remove `sort`, or let some of the query enter";
        report.error_with_help(value.span(), "no query enters the key: there is nothing to sort", help);
    }
    if let (Some(value), Some(true)) = (block.get("share_hosts"), share_hosts) {
        check_hosts(value, hosts, report);
    }
    Some(KeyRule { query: query?, sort: sort?, headers: headers?, cookies: cookies?, share_hosts: share_hosts? })
}

/// What is shared is fetched in the name of one host, or a client could choose the name that an origin writes into what
/// all others get.
fn check_hosts(value: &Value<'_>, hosts: Option<&[HostPattern]>, report: &mut Report<'_>) {
    let named = |hosts: &[HostPattern]| hosts.iter().any(|host| matches!(host, HostPattern::Exact(_)));
    if hosts.is_some_and(|hosts| !named(hosts)) {
        let help = "name one in `hosts`, for example: hosts = [\"shop.example\", \"*.shop.example\"]";
        report.error_with_help(value.span(), "`share_hosts` needs a host to fetch under", help);
    }
}

/// `"all"`, `"none"`, the names of the parameters that count, or `{ ignore = […] }` of those that do not.
fn query<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<QueryRule> {
    match value.get_ref() {
        DeValue::String(text) if text == "all" => Some(QueryRule::All),
        DeValue::String(text) if text == "none" => Some(QueryRule::None),
        DeValue::Array(list) if list.is_empty() => Some(QueryRule::None),
        DeValue::Array(_) => names(&QUERY, value, |name| is_parameter(name, false), report).map(QueryRule::Only),
        DeValue::Table(_) => {
            let block = Block::open(value, "the key's `query`".to_owned(), &QUERY_KEYS, report)?;
            let value = block.require("ignore", IGNORE.example, report)?;
            names(&IGNORE, value, |name| is_parameter(name, true), report).map(QueryRule::Except)
        }
        _ => {
            QUERY.refuse(value, report);
            None
        }
    }
}

fn headers<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let mut names = names(&HEADERS, value, is_header, report)?;
    names.iter_mut().for_each(|name| name.make_ascii_lowercase());
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// A list of names, each once and in order.
fn names<'a, E: Display>(
    wanted: &Wanted<'_>,
    value: &'a Value<'a>,
    check: impl Fn(&str) -> Result<(), E>,
    report: &mut Report<'_>,
) -> Option<Vec<String>> {
    let list = wanted.list(value, report)?;
    if list.len() > MAX_KEY_NAMES {
        wanted.refuse_content(value, format!("it must name at most {MAX_KEY_NAMES}"), report);
        return None;
    }
    let mut read: Vec<String> = Vec::with_capacity(list.len());
    for item in list {
        let Some(name) = wanted.text(item, report) else { continue };
        if name.len() > MAX_KEY_NAME_BYTES {
            wanted.refuse_content(item, format!("a name has at most {MAX_KEY_NAME_BYTES} bytes"), report);
        } else if let Err(reason) = check(name) {
            wanted.refuse_content(item, reason, report);
        } else {
            read.push(name.to_owned());
        }
    }
    if read.len() != list.len() {
        return None;
    }
    read.sort_unstable();
    read.dedup();
    Some(read)
}

/// As queries bear it, decoded.
fn is_parameter(name: &str, wildcard: bool) -> Result<(), &'static str> {
    let stem = if wildcard { name.strip_suffix('*').unwrap_or(name) } else { name };
    if stem.is_empty() {
        return Err("to ignore every parameter, write query = \"none\"");
    }
    if stem.contains('*') {
        return Err(if wildcard { "`*` may stand at a name's end only" } else { "`*` is for { ignore = […] } only" });
    }
    let separates = |c: char| matches!(c, '&' | '=' | ';' | '?' | '#') || c.is_control();
    if stem.contains(separates) { Err("no parameter has such a name") } else { Ok(()) }
}

fn is_cookie(name: &str) -> Result<(), &'static str> {
    if is_token(name) { Ok(()) } else { Err("no cookie has such a name") }
}

/// May this field enter the key? It may not if no client's value reaches the look-up, or if the key is not its place.
fn is_header(name: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    let reason = match lower.as_str() {
        "host" => "the host enters already, unless `share_hosts` is set",
        "cookie" => "whole, it would differ for every client; name the cookies: cookies = [\"currency\"]",
        "authorization" => {
            "a response to it is not stored unless it says that everyone may have it (RFC 9111 §3.5), and then it needs \
             no key"
        }
        "cache-control" | "pragma" => "it tells the cache what to do and does not name a response",
        "range" | "if-range" | "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" => {
            "it is answered from the whole response, which is stored once"
        }
        "content-length" | "content-type" | "content-encoding" => "it describes a body, and the key holds that itself",
        "expect" | "max-forwards" | "proxy-authorization" => "it does not reach the origin",
        other if fields::is_hop_by_hop(other) => "it concerns one connection and does not reach the origin",
        other if fields::is_about_the_client(other) || fields::is_written_by_tiers(other) => {
            "the tiers write or remove it: what the client sent does not reach the origin"
        }
        other if fields::overrides_method(other) => "it is removed from requests that may be stored",
        other if !is_token(other) => "no field has such a name",
        _ => return Ok(()),
    };
    Err(format!("`{name}` cannot enter the key: {reason}"))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let symbol = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || symbol(b))
}

const KEYS: Keys = Keys { known: &["query", "sort", "headers", "cookies", "share_hosts"], later: &[] };
const QUERY_KEYS: Keys = Keys { known: &["ignore"], later: &[] };

const QUERY: Wanted<'_> = Wanted {
    name: "query",
    what: "\"all\", \"none\", a list of parameter names, or { ignore = […] }",
    example: "key = { query = [\"v\"] }",
};
const IGNORE: Wanted<'_> =
    Wanted { name: "ignore", what: "a list of parameter names", example: "key = { query = { ignore = [\"utm_*\"] } }" };
const SORT: Wanted<'_> = Wanted { name: "sort", what: "true or false", example: "key = { sort = true }" };
const HEADERS: Wanted<'_> =
    Wanted { name: "headers", what: "a list of field names", example: "key = { headers = [\"x-plan\"] }" };
const COOKIES: Wanted<'_> =
    Wanted { name: "cookies", what: "a list of cookie names", example: "key = { cookies = [\"currency\"] }" };
const SHARE_HOSTS: Wanted<'_> =
    Wanted { name: "share_hosts", what: "true or false", example: "key = { share_hosts = true }" };
