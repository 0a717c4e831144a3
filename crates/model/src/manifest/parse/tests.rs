//! Manifests and what the reader says to them.

use super::super::Manifest;
use super::{MAX_ERRORS, parse};

/// The manifest that every case changes one thing of.
const GOOD: &str = r#"name  = "shop"
hosts = ["shop.example", "*.shop.example"]

[[routes]]
path    = "/assets/*"
origin  = "web"
cache   = { default_ttl = "1h", stale_while_revalidate = "1m", stale_if_error = "1d", key = { query = ["v"] } }

[[routes]]
path    = "/api/*"
handler = "api"

[[routes]]
path    = "/*"
files   = "./public"

[handlers.api]
component = "api"
memory = "32MiB"
cpu    = "20ms"
wall   = "5s"
reuse  = 1
env    = { MODE = "live" }
outbound = []

[origins.web]
balance   = "weighted"
endpoints = ["https://10.0.0.1:8443", { url = "http://10.0.0.2", weight = 2 }]
host      = "web.internal"
retry     = { attempts = 3 }
timeout   = { connect = "2s" }
"#;

/// Replaces `from` in [`GOOD`] with `to`, in which «» mark the offending text, and wants one error about exactly that
/// text, whose message and help hold the given words.
#[track_caller]
fn check(from: &str, to: &str, message: &str, help: &str) {
    assert_eq!(GOOD.matches(from).count(), 1, "`{from}` must stand once in the good manifest");
    check_text(&GOOD.replace(from, to), message, help);
}

#[track_caller]
fn check_text(marked: &str, message: &str, help: &str) {
    let text = marked.replace(['«', '»'], "");
    let errors = parse("holm.toml", &text).expect_err("this manifest is wrong");
    let error = &errors.0[0];
    assert_eq!(errors.0.len(), 1, "one error only:\n{errors}");
    let start = marked.find('«').expect("a mark");
    let end = marked.find('»').expect("a mark") - '«'.len_utf8();
    assert_eq!(error.span, start..end, "the marked text:\n{error}");
    assert_eq!(error.text, text[start..end], "{error}");
    assert!(error.message.contains(message), "`{message}` is missing in:\n{error}");
    assert!(error.help.as_deref().unwrap_or("").contains(help), "`{help}` is missing in:\n{error}");
}

#[test]
fn a_good_manifest_is_resolved() {
    let manifest = parse("holm.toml", GOOD).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(manifest.name.to_string(), "shop");
    assert_eq!(manifest.hosts.len(), 2);
    assert_eq!(manifest.routes.len(), 3);
    assert_eq!(manifest.origins["web"].endpoints[1].weight, 2);
    assert_eq!(manifest.origins["web"].retry.attempts, 3);
    assert_eq!(manifest.origins["web"].timeout.idle.as_secs(), 60);
    assert_eq!(manifest.handlers["api"].cpu.as_millis(), 20);
    assert_eq!(manifest.routes[0].cache.stale_if_error.map(|time| time.as_secs()), Some(86_400));
    assert_eq!(manifest.routes[2].files.as_ref().map(|files| files.dir.as_str()), Some("./public"));
}

#[test]
fn the_resolved_form_survives_json() {
    let manifest = parse("holm.toml", GOOD).unwrap_or_else(|errors| panic!("{errors}"));
    let json = serde_json::to_string(&manifest).expect("a manifest is serializable");
    let back: Manifest = serde_json::from_str(&json).expect("its own JSON is readable");
    assert_eq!(serde_json::to_string(&back).expect("serializable"), json);
}

#[test]
fn unknown_keys_name_the_nearest() {
    check("hosts =", "«host» =", "unknown key `host`", "did you mean `hosts`?");
    check("origin  =", "«orgin»  =", "unknown key `orgin` in a route", "did you mean `origin`?");
    check("default_ttl", "«default-ttl»", "unknown key", "`default_ttl`");
    check("query =", "«querry» =", "unknown key", "`query`");
    check("memory =", "«mem» =", "[handlers.api]", "known: component, memory");
    check("weight =", "«wieght» =", "an endpoint", "`weight`");
    check("connect =", "«conect» =", "`timeout`", "`connect`");
    check("attempts =", "«tries» =", "`retry`", "known: attempts");
    check("[handlers.api]", "[[«wibble»]]\n[handlers.api]", "unknown key", "known: name");
}

#[test]
fn wrong_types_show_an_example() {
    check("[\"shop.example\", \"*.shop.example\"]", "«\"x\"»", "a list of host names, found a string", "hosts = [");
    check("\"shop\"", "«7»", "`name` must be the site's name, found a number", "name = \"shop\"");
    check("\"1h\"", "«3600»", "`default_ttl` has no unit", "\"3600s\"");
    check("\"live\"", "«1»", "`MODE` must be text, found a number", "env =");
    check("weight = 2", "weight = «\"2\"»", "a whole number, found a string", "weight = 2");
    check("{ attempts = 3 }", "«3»", "`retry` must be a table, found a number", "");
    check("\"./public\"", "«[]»", "`files` must be a folder, found a list", "");
}

#[test]
fn values_that_make_no_sense_are_refused() {
    check("\"shop\"", "«\"My Shop\"»", "`name` is not valid", "name = \"shop\"");
    check("\"20ms\"", "«\"20 parsecs\"»", "`cpu` is not valid", "cpu = \"50ms\"");
    check("\"20ms\"", "«\"0s\"»", "more than zero", "");
    check("\"32MiB\"", "«\"32 moles\"»", "`memory` is not valid", "memory = \"64MiB\"");
    check("\"32MiB\"", "«\"64GiB\"»", "must be from 1MiB to 4GiB", "");
    check("\"32MiB\"", "«12»", "must be from 1MiB to 4GiB", "");
    check("weight = 2", "weight = «0»", "from 1 to 1000", "");
    check("attempts = 3", "attempts = «-1»", "from 1 to 10", "");
    check("\"http://10.0.0.2\"", "«\"ftp://10.0.0.2\"»", "`url` is not valid", "https://");
    check("\"http://10.0.0.2\"", "«\"10.0.0.2\"»", "`url` is not valid", "https://");
    check("\"/assets/*\"", "«\"assets/*\"»", "`path` is not valid", "path = \"/assets/*\"");
    check("\"/assets/*\"", "«\"/a*b\"»", "`path` is not valid", "");
    check("\"*.shop.example\"", "«\"shop.*\"»", "`hosts` is not valid", "");
    check("\"./public\"", "«\"\"»", "it is empty", "");
    check("\"web.internal\"", "«\"web\\r\\nX: y\"»", "is not a host", "host = \"web.internal\"");
}

#[test]
fn references_must_exist() {
    check("\"web\"", "«\"wbe\"»", "there is no origin `wbe`", "did you mean `web`?");
    check("handler = \"api\"", "handler = «\"app\"»", "no handler `app`", "did you mean `api`?");
    let text = "name = \"a\"\nhosts = [\"*\"]\n[[routes]]\npath = \"/*\"\norigin = «\"web\"»\n";
    check_text(text, "there is no origin `web`", "define it: [origins.web]");
}

#[test]
fn duplicates_are_refused() {
    check("\"*.shop.example\"", "«\"shop.example\"»", "listed twice", "remove");
    check("\"/*\"", "«\"/assets/*\"»", "an earlier route", "the first match wins");
    check("{ url = \"http://10.0.0.2\", weight = 2 }", "«\"https://10.0.0.1:8443/\"»", "listed twice", "");
    check("hosts =", "«name» = \"again\"\nhosts =", "duplicate key", "");
}

#[test]
fn a_handler_alone_leaves_its_path_to_content() {
    let text = GOOD.replace("\"/*\"", "\"/api/*\"");
    assert!(parse("holm.toml", &text).is_ok(), "the handler's own fetches go to the second route");
}

#[test]
fn routes_need_content() {
    let last = "[[routes]]\npath    = \"/*\"\nfiles   = \"./public\"\n";
    check(last, "«[[routes]]»\npath = \"/*\"\n", "needs an origin, files or a handler", "add");
    check(last, "«[[routes]]»\nfiles = \"./public\"\n", "a route has no `path`", "add: path");
    check("files   = \"./public\"", "origin = \"web\"\nfiles = «\"./public\"»", "not both", "keep one");
    check_text("«»name = \"a\"\nhosts = [\"*\"]\n", "no routes", "[[routes]]");
    check_text("name = \"a\"\nhosts = [\"*\"]\nroutes = «[]»\n", "is empty", "[[routes]]");
}

#[test]
fn what_a_later_version_brings_is_refused_by_name() {
    let later = "is not available in this version";
    check("host      =", "«sticky» = { cookie = \"c\" }\nhost =", later, "remove it");
    check("host      =", "«discover» = 1\nhost =", later, "remove it");
    check("host      =", "«health» = {}\nhost =", later, "[origins.web]");
    check("host      =", "«eject» = {}\nhost =", later, "");
    check("attempts = 3", "«budget» = \"20%\"", later, "");
    check("weight = 2", "«zone» = \"b\"", later, "");
    check("\"weighted\"", "«\"ewma\"»", later, "round-robin");
    check("\"weighted\"", "«\"weigthed\"»", "no way to balance", "did you mean `weighted`?");
    check("\"http://10.0.0.2\"", "«\"h3://10.0.0.2\"»", later, "https://");
    check("reuse  = 1", "reuse = «5»", later, "reuse = 1");
    check("reuse  = 1", "«secrets» = [\"K\"]", later, "");
    check("reuse  = 1", "«kv» = [\"sessions\"]", later, "");
    check("outbound = []", "outbound = «[\"https://x\"]»", later, "routes");
    check("handler = \"api\"", "handler = «[\"api\"]»", "a list of handlers is not", "");
    check("handler = \"api\"", "handler = \"api\"\nposition = «\"origin\"»", later, "viewer");
}

#[test]
fn syntax_errors_have_a_place() {
    check("\"shop\"", "«shop»", "not valid TOML", "");
    check("\"shop\"", "\"shop«»", "not valid TOML", "");
}

#[test]
fn all_errors_are_shown_in_the_order_of_the_file() {
    let text = GOOD.replace("\"web\"", "\"wbe\"").replace("hosts =", "host =").replace("\"20ms\"", "\"soon\"");
    let errors = parse("holm.toml", &text).expect_err("three mistakes");
    let lines: Vec<usize> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 6, 20], "{errors}");
    let many = format!("name = \"a\"\nhosts = [{}]\n", "\"?\",".repeat(MAX_ERRORS * 2));
    assert_eq!(parse("holm.toml", &many).expect_err("many mistakes").0.len(), MAX_ERRORS);
}

#[test]
fn an_error_reads_like_a_compilers() {
    let text = GOOD.replace("origin  =", "orgin  =");
    let errors = parse("site/holm.toml", &text).expect_err("a mistake");
    let expected = "\
error: unknown key `orgin` in a route
 --> site/holm.toml:6:1
  |
6 | orgin  = \"web\"
  | ^^^^^
  = help: did you mean `origin`?";
    assert!(errors.to_string().contains(expected), "{errors}");
}

#[test]
fn any_text_gets_an_answer() {
    for text in
        ["", "\0", "=", "[", "[[routes]]\n", "name = \"\u{1b}[31m\"", "a\u{301}\u{1F980} = \"\t\"", "\r\n\r\n[x\r\n"]
    {
        let errors = parse("holm.toml", text).expect_err("no manifest");
        assert!(!errors.0.is_empty() && !errors.to_string().is_empty());
    }
    for end in 0..GOOD.len() {
        let _ = parse("holm.toml", &GOOD[..end]).map_err(|errors| errors.to_string());
    }
}
