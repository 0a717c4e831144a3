//! Cache rules and what the reader says to them.

use std::time::Duration;

use super::super::parse;
use crate::limits::MAX_KEY_NAMES;
use crate::manifest::{CacheRule, DiskAdmission, KeyRule, Languages, Manifest, QueryRule};

fn manifest(hosts: &str, cache: &str) -> String {
    format!("name = \"a\"\nhosts = {hosts}\n[[routes]]\npath = \"/*\"\nfiles = \".\"\ncache = {cache}\n")
}

/// Reads a rule.
#[track_caller]
fn rule(cache: &str) -> CacheRule {
    let manifest = parse("holm.toml", &manifest("[\"a.example\"]", cache)).unwrap_or_else(|errors| panic!("{errors}"));
    manifest.routes[0].cache.clone()
}

#[track_caller]
fn key(key: &str) -> KeyRule {
    rule(&format!("{{ key = {{ {key} }} }}")).key
}

/// Wants one error about the text between «», whose message and help hold these words.
#[track_caller]
fn check(marked: &str, message: &str, help: &str) {
    check_with_hosts("[\"a.example\"]", marked, message, help);
}

#[track_caller]
fn check_with_hosts(hosts: &str, marked: &str, message: &str, help: &str) {
    let marked = manifest(hosts, marked);
    let errors = parse("holm.toml", &marked.replace(['«', '»'], "")).expect_err("this rule is wrong");
    assert_eq!(errors.0.len(), 1, "one error only:\n{errors}");
    let error = &errors.0[0];
    let wanted = marked.split('«').nth(1).and_then(|rest| rest.split('»').next()).expect("marks");
    assert_eq!(error.text, wanted, "{error}");
    assert!(error.message.contains(message), "`{message}` is missing in:\n{error}");
    assert!(error.help.as_deref().unwrap_or("").contains(help), "`{help}` is missing in:\n{error}");
}

#[test]
fn every_option() {
    let secs = Duration::from_secs;
    assert_eq!(rule("true"), CacheRule::default());
    assert_eq!(rule("{}"), CacheRule::default());
    assert!(!rule("false").enabled);
    assert_eq!(rule("{ ttl = \"1h\" }").ttl, Some(secs(3600)));
    let bounded = rule("{ default_ttl = \"1m\", min_ttl = \"10s\", max_ttl = \"1d\", heuristic = false }");
    assert_eq!((bounded.default_ttl, bounded.min_ttl), (Some(secs(60)), Some(secs(10))));
    assert_eq!((bounded.max_ttl, bounded.heuristic), (Some(secs(86_400)), false));
    let negative = rule("{ negative_ttl = { 404 = \"10s\", 503 = \"1s\" }, negative_max = \"1m\" }");
    assert_eq!(negative.negative_ttl, [(404, secs(10)), (503, secs(1))].into());
    assert_eq!(negative.negative_max, secs(60));
    let stale = rule("{ stale_while_revalidate = \"1m\", stale_if_error = \"1d\", early_hints = true }");
    assert_eq!((stale.stale_while_revalidate, stale.stale_if_error), (Some(secs(60)), Some(secs(86_400))));
    assert!(stale.early_hints);
}

#[test]
fn admission_to_disk() {
    let check = |text: &str, expected: DiskAdmission| {
        assert_eq!(rule(&format!("{{ disk = \"{text}\" }}")).disk, expected, "{text}");
    };
    assert_eq!(rule("{}").disk, DiskAdmission::SecondRequest);
    check("second-request", DiskAdmission::SecondRequest);
    check("always", DiskAdmission::Always);
    check("never", DiskAdmission::Never);
}

#[test]
fn languages() {
    let check = |text: &str, expected: Languages| {
        assert_eq!(rule(&format!("{{ languages = {text} }}")).languages, expected, "{text}");
    };
    check("\"normalised\"", Languages::Normalised);
    check("\"exact\"", Languages::Exact);
    check("[\"en\", \"de-CH\"]", Languages::Offered(vec!["en".into(), "de-CH".into()]));
}

#[test]
fn keys() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(key(""), KeyRule::default());
    assert_eq!(key("query = \"all\"").query, QueryRule::All);
    assert_eq!(key("query = \"none\"").query, QueryRule::None);
    assert_eq!(key("query = []").query, QueryRule::None);
    assert_eq!(key("query = [\"w\", \"v\", \"w\"]").query, QueryRule::Only(names(&["v", "w"])));
    assert_eq!(
        key("query = { ignore = [\"utm_*\", \"fbclid\"] }").query,
        QueryRule::Except(names(&["fbclid", "utm_*"]))
    );
    assert_eq!(key("headers = [\"X-Plan\", \"x-plan\"]").headers, names(&["x-plan"]));
    assert_eq!(key("cookies = [\"currency\", \"Currency\"]").cookies, names(&["Currency", "currency"]));
    assert!(key("sort = true").sort && key("share_hosts = true").share_hosts);
}

#[test]
fn unknown_keys_name_the_nearest() {
    check("{ «tll» = \"1s\" }", "unknown key `tll` in `cache`", "`ttl`");
    check("{ «heuristics» = false }", "unknown key", "`heuristic`");
    check("{ «negative-ttl» = {} }", "unknown key", "`negative_ttl`");
    check("{ key = { «header» = [] } }", "the cache `key`", "`headers`");
    check("{ key = { query = { «ignored» = [] } } }", "the key's `query`", "`ignore`");
    check("{ disk = «\"alway\"» }", "`disk` cannot be `alway`", "`always`");
    check("{ disk = «\"second_request\"» }", "`disk` cannot be `second_request`", "`second-request`");
    check("{ languages = «\"normalized\"» }", "cannot be `normalized`", "`normalised`");
}

#[test]
fn wrong_types_show_an_example() {
    check("«7»", "a table or false", "cache =");
    check("{ heuristic = «\"no\"» }", "`heuristic` must be true or false, found a string", "heuristic = false");
    check("{ negative_ttl = «\"10s\"» }", "`negative_ttl` must be a table", "");
    check("{ negative_ttl = { 404 = «10» } }", "`404` has no unit", "\"10s\"");
    check("{ disk = «true» }", "`disk` must be \"second-request\", \"always\" or \"never\"", "disk = \"always\"");
    check("{ languages = «true» }", "a list of language tags", "languages = [");
    check("{ key = { query = «\"some\"» } }", "`query` must be", "key = {");
    check("{ key = { query = «{}» } }", "has no `ignore`", "utm_*");
    check("{ key = { headers = «\"x-plan\"» } }", "a list of field names", "[\"x-plan\"]");
}

#[test]
fn contradictions_show_their_cure() {
    check("{ ttl = \"1h\", default_ttl = «\"1m\"» }", "`default_ttl` beside it has no effect", "remove `ttl` or");
    check("{ min_ttl = «\"2h\"», max_ttl = \"1h\" }", "`min_ttl` is longer than `max_ttl`", "lower `min_ttl`");
    check("{ min_ttl = «\"2h\"», default_ttl = \"1h\" }", "longer than `default_ttl`", "raise `default_ttl`");
    check("{ default_ttl = «\"2h\"», max_ttl = \"1h\" }", "longer than `max_ttl`", "raise `max_ttl`");
    check("{ negative_ttl = { 404 = «\"2h\"» } }", "longer than `negative_max`", "raise `negative_max`");
    check("{ key = { query = \"none\", sort = «true» } }", "nothing to sort", "remove `sort`");
    let shared = "{ key = { share_hosts = «true» } }";
    check_with_hosts("[\"*\", \"*.a.example\"]", shared, "needs a host to fetch under", "hosts = [");
}

#[test]
fn values_that_make_no_sense() {
    check("{ ttl = «\"20000d\"» }", "at most 3650d", "ttl =");
    check("{ negative_ttl = { «200» = \"1s\" } }", "`200` is not the status of an error", "400 to 599");
    check("{ negative_ttl = { «\"4xx\"» = \"1s\" } }", "is not the status", "404 =");
    check("{ negative_ttl = { «429» = \"1s\" } }", "is never stored (RFC 6585)", "remove `429`");
    check("{ languages = «[]» }", "must name 1 to", "");
    check("{ languages = [«\"en_GB\"»] }", "`en_GB` is not a language tag", "");
    check("{ languages = [\"en\", «\"EN\"»] }", "listed twice", "");
    check("{ key = { query = { ignore = [«\"*\"»] } } }", "query = \"none\"", "");
    check("{ key = { query = { ignore = [«\"a*b\"»] } } }", "at a name's end only", "");
    check("{ key = { query = [«\"utm_*\"»] } }", "{ ignore = […] } only", "");
    check("{ key = { query = [«\"a=b\"»] } }", "no parameter has such a name", "");
    check("{ key = { cookies = [«\"a b\"»] } }", "no cookie has such a name", "");
    let many = format!("{{ key = {{ query = «[{}]» }} }}", "\"a\",".repeat(MAX_KEY_NAMES + 1));
    check(&many, "at most 32", "");
    check(&format!("{{ key = {{ cookies = [«\"{}\"»] }} }}", "a".repeat(65)), "at most 64 bytes", "");
}

#[test]
fn fields_that_cannot_enter_the_key() {
    let check = |name: &str, reason: &str| {
        check(&format!("{{ key = {{ headers = [«\"{name}\"»] }} }}"), reason, "headers = [");
    };
    check("Host", "`share_hosts`");
    check("Cookie", "cookies = [");
    check("Authorization", "§3.5");
    check("Connection", "one connection");
    check("TE", "one connection");
    check("X-Forwarded-For", "the tiers write or remove it");
    check("X-Real-IP", "the tiers write or remove it");
    check("Via", "the tiers write or remove it");
    check("Holm-Site", "the tiers write or remove it");
    check("X-HTTP-Method-Override", "it is removed");
    check("If-None-Match", "the whole response");
    check("Range", "the whole response");
    check("Cache-Control", "tells the cache");
    check("x plan", "no field has such a name");
}

/// Releases are kept as JSON; those of version 0.1 know four of the fields.
#[test]
fn rules_of_old_releases_are_read() {
    let check = |json: &str, expected: CacheRule| {
        assert_eq!(serde_json::from_str::<CacheRule>(json).expect("an old rule"), expected, "{json}");
    };
    let old = r#"{"enabled":true,"default_ttl":{"secs":3600,"nanos":0},"stale_while_revalidate":null,
        "stale_if_error":null,"key":{"query":{"Only":["v"]}}}"#;
    let query = QueryRule::Only(vec!["v".into()]);
    let key = KeyRule { query, ..KeyRule::default() };
    check(old, CacheRule { default_ttl: Some(Duration::from_secs(3600)), key, ..CacheRule::default() });
    let off = r#"{"enabled":false,"default_ttl":null,"stale_while_revalidate":null,"stale_if_error":null,
        "key":{"query":"All"}}"#;
    check(off, CacheRule { enabled: false, ..CacheRule::default() });
    check("{}", CacheRule::default());
}

#[test]
fn every_option_survives_json() {
    let text = manifest(
        "[\"a.example\"]",
        "{ min_ttl = \"1s\", negative_ttl = { 404 = \"10s\" }, disk = \"never\", languages = [\"en\"], key = { query = { ignore = \
         [\"utm_*\"] }, sort = true, headers = [\"x-plan\"], cookies = [\"c\"], share_hosts = true } }",
    );
    let manifest = parse("holm.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    let json = serde_json::to_string(&manifest).expect("a manifest is serializable");
    let back: Manifest = serde_json::from_str(&json).expect("its own JSON is readable");
    assert_eq!(back.routes[0].cache, manifest.routes[0].cache);
}
