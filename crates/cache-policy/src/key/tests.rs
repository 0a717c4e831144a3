//! What makes keys differ and what does not.

use holm_model::manifest::{KeyRule, QueryRule};
use http::HeaderMap;

use super::{CacheKey, Explanation, KeyInput};

/// A request: `https://a.example:1/x?q`, with fields.
struct Asked<'a> {
    url: &'a str,
    fields: &'a [(&'static str, &'a str)],
    content: Option<[u8; 32]>,
}

fn with_input<T>(asked: &Asked<'_>, rule: &KeyRule, then: impl FnOnce(&KeyInput<'_>) -> T) -> T {
    let mut request = HeaderMap::new();
    for (name, value) in asked.fields {
        request.append(*name, value.parse().expect("a value"));
    }
    let (scheme, rest) = asked.url.split_once("://").expect("a URL");
    let (target, query) = rest.split_once('?').map_or((rest, None), |(target, query)| (target, Some(query)));
    let (authority, path) = target.split_at(target.find('/').expect("a path"));
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let content = asked.content;
    then(&KeyInput { site: "s", scheme, host, port, path, query, request: &request, content, rule })
}

fn key(url: &str, fields: &[(&'static str, &str)], rule: &KeyRule) -> CacheKey {
    with_input(&Asked { url, fields, content: None }, rule, CacheKey::primary)
}

#[track_caller]
fn check_urls(rule: &KeyRule, one: &str, other: &str, same: bool) {
    assert_eq!(key(one, &[], rule) == key(other, &[], rule), same, "{rule:?}: {one} and {other}");
}

#[track_caller]
fn check_queries(rule: &KeyRule, one: &str, other: &str, same: bool) {
    check_urls(rule, &format!("http://a/{one}"), &format!("http://a/{other}"), same);
}

type Fields<'a> = &'a [(&'static str, &'a str)];

#[track_caller]
fn check_fields(rule: &KeyRule, one: Fields<'_>, other: Fields<'_>, same: bool) {
    assert_eq!(key("http://a/", one, rule) == key("http://a/", other, rule), same, "{rule:?}: {one:?} and {other:?}");
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn only(names: &[&str]) -> KeyRule {
    KeyRule { query: QueryRule::Only(strings(names)), ..KeyRule::default() }
}

fn except(names: &[&str]) -> KeyRule {
    KeyRule { query: QueryRule::Except(strings(names)), ..KeyRule::default() }
}

#[test]
fn the_url() {
    let check = |other: &str, same: bool| check_urls(&KeyRule::default(), "http://a/x", other, same);
    check("http://a/x", true);
    check("https://a/x", false);
    check("http://b/x", false);
    check("http://a:1/x", false);
    check("http://a/y", false);
    check("http://a/x?", false);
    check("http://a/x?q", false);
    check("http://a/X", false);
}

#[test]
fn the_whole_query_as_it_stands() {
    let check = |one: &str, other: &str| check_queries(&KeyRule::default(), one, other, false);
    check("?v=1&w=2", "?w=2&v=1");
    check("?v=1", "?%76=1");
    check("?v=%2f", "?v=%2F");
}

#[test]
fn no_query() {
    let none = KeyRule { query: QueryRule::None, ..KeyRule::default() };
    check_queries(&none, "?a", "?b", true);
    check_queries(&none, "", "?b;c", true);
}

#[test]
fn listed_parameters() {
    let rule = only(&["v", "w"]);
    let check = |one: &str, other: &str, same: bool| check_queries(&rule, one, other, same);
    check("?v=1&x=2", "?x=3&v=1", true);
    check("?w=1&v=2", "?v=2&w=1", true);
    check("", "?x=1", true);
    check("?", "", true);
    check("?v=1", "?v=2", false);
    check("?v=1&v=2", "?v=2&v=1", false);
    check("?v", "", false);
    check("?v", "?v=", false);
    check("?vv=1", "", true);
}

/// What some origins take for `v`, though its name is written otherwise.
#[test]
fn parameters_under_a_cloak() {
    let check = |cloaked: &str| {
        check_queries(&only(&["v", "w_x"]), cloaked, "", false);
        check_queries(&except(&["utm_*", "u"]), cloaked, "", false);
    };
    check("?%76=1");
    check("?V=1");
    check("?v[]=1");
    check("?v%5B0%5D=1");
    check("?+v=1");
    check("?%20v=1");
    check("?v%00=1");
    check("?w.x=1");
    check("?w+x=1");
    check("?x=1;v=2");
    check("?utm_x=1;v=2");
    check("?%75tm_x=1&v=2");
}

#[test]
fn ignored_parameters() {
    let rule = except(&["fbclid", "utm_*"]);
    let check = |one: &str, other: &str, same: bool| check_queries(&rule, one, other, same);
    check("?utm_source=a&v=1&fbclid=b", "?v=1", true);
    check("?utm_=a", "", true);
    check("?fbclid", "", true);
    check("?fbclid2=a", "", false);
    check("?utm=a", "", false);
    check("?v=1&w=2", "?w=2&v=1", false);
    // Ignored only where every reader takes it for that name.
    check("?UTM_source=a", "", false);
    check("?%75tm_source=a", "", false);
    check("?utm_source=a;v=1", "?utm_source=b;v=1", false);
}

#[test]
fn sorted_parameters() {
    let rule = KeyRule { sort: true, ..KeyRule::default() };
    let check = |one: &str, other: &str, same: bool| check_queries(&rule, one, other, same);
    check("?b=2&a=1", "?a=1&b=2", true);
    check("?a=1&&b=2&", "?a=1&b=2", true);
    check("?a=1&a=2", "?a=2&a=1", false);
    check("?a=1&A=2", "?A=2&a=1", false);
    check("?a=1&%61=2", "?%61=2&a=1", false);
    check("?b=2&a=1;c", "?a=1;c&b=2", false);
    let ignoring = KeyRule { sort: true, ..except(&["u"]) };
    check_queries(&ignoring, "?b=2&u=1&a=1", "?a=1&b=2", true);
    let many: Vec<String> = (0..50).map(|n| format!("p{n}={n}")).collect();
    let reversed: Vec<String> = many.iter().rev().cloned().collect();
    check(&format!("?{}", many.join("&")), &format!("?{}", reversed.join("&")), true);
}

#[test]
fn declared_fields() {
    let rule = KeyRule { headers: strings(&["x-plan", "x-region"]), ..KeyRule::default() };
    let check = |one: Fields<'_>, other: Fields<'_>, same: bool| check_fields(&rule, one, other, same);
    check(&[], &[("x-other", "1")], true);
    check(&[("x-plan", "a,b")], &[("x-plan", " a , b ")], true);
    check(&[("x-plan", "a"), ("x-plan", "b")], &[("x-plan", "a, b")], true);
    check(&[("x-plan", "a")], &[("x-plan", "b")], false);
    check(&[("x-plan", "a")], &[("x-plan", "A")], false);
    check(&[("x-plan", "")], &[], false);
    check(&[("x-plan", "a,,b")], &[("x-plan", "a,b")], false);
    check(&[("x-plan", "\"a ,b\"")], &[("x-plan", "\"a,b\"")], false);
    check(&[("x-plan", "a")], &[("x-region", "a")], false);
    check(&[("x-plan", "é")], &[("x-plan", "è")], false);
}

#[test]
fn declared_cookies() {
    let rule = KeyRule { cookies: strings(&["currency", "lang"]), ..KeyRule::default() };
    let check = |one: &[&str], other: &[&str], same: bool| {
        let one: Vec<_> = one.iter().map(|line| ("cookie", *line)).collect();
        let other: Vec<_> = other.iter().map(|line| ("cookie", *line)).collect();
        check_fields(&rule, &one, &other, same);
    };
    check(&["currency=EUR; id=1"], &["id=2; currency=EUR"], true);
    check(&["currency=EUR", "id=1"], &["currency=EUR; id=1"], true);
    check(&["lang=de; currency=EUR"], &["currency=EUR;lang=de"], true);
    check(&["id=1"], &[], true);
    check(&["currency=EUR"], &["currency=USD"], false);
    check(&["currency="], &[], false);
    check(&["currency"], &["currency="], false);
    check(&["currency=a; currency=b"], &["currency=b; currency=a"], false);
    check(&["lang=EUR"], &["currency=EUR"], false);
    // Readers differ on these: they share nothing with what is plain.
    check(&["Currency=EUR"], &[], false);
    check(&["id=\"; currency=EUR; x=\""], &["currency=EUR"], false);
    check(&["id=1,currency=EUR"], &["id=1"], false);
    check(&["id=1,currency=EUR"], &["currency=EUR"], false);
    check(&["id=\"a,b\""], &["id=2"], true);
}

#[test]
fn shared_hosts() {
    let rule = KeyRule { share_hosts: true, ..KeyRule::default() };
    check_urls(&rule, "http://a/x", "http://b:81/x", true);
    check_urls(&rule, "http://a/x", "https://a/x", false);
    check_urls(&rule, "http://a/x", "http://a/y", false);
}

#[test]
fn content() {
    let key =
        |content| with_input(&Asked { url: "http://a/", fields: &[], content }, &KeyRule::default(), CacheKey::primary);
    assert_ne!(key(None), key(Some([0; 32])));
    assert_ne!(key(Some([1; 32])), key(Some([0; 32])));
    assert_eq!(key(Some([1; 32])), key(Some([1; 32])));
}

/// After a release, what the old rule let through is not found.
#[test]
fn another_rule_is_another_key() {
    let with = |query: QueryRule| KeyRule { query, ..KeyRule::default() };
    let rules = [
        KeyRule::default(),
        with(QueryRule::None),
        only(&["v"]),
        only(&["v", "w"]),
        except(&["v"]),
        KeyRule { sort: true, ..KeyRule::default() },
        KeyRule { headers: strings(&["x"]), ..KeyRule::default() },
        KeyRule { headers: strings(&["x", "y"]), ..KeyRule::default() },
        KeyRule { cookies: strings(&["x"]), ..KeyRule::default() },
        KeyRule { share_hosts: true, ..KeyRule::default() },
    ];
    let keys: std::collections::HashSet<CacheKey> = rules.iter().map(|rule| key("http://a/", &[], rule)).collect();
    assert_eq!(keys.len(), rules.len());
}

#[test]
fn long_texts_hash_as_a_whole() {
    let long = |end: &str| format!("http://a/{}{end}", "x".repeat(1000));
    check_urls(&KeyRule::default(), &long("x"), &long("y"), false);
    check_urls(&KeyRule::default(), &long("x"), &long("x"), true);
}

#[test]
fn keys_are_explained() {
    let check = |rule: &KeyRule, entered: &[(&str, Option<&str>)], left_out: &[(&str, Option<&str>)]| {
        let fields = [("x-plan", "a"), ("x-plan", "b"), ("cookie", "currency=EUR; id=1"), ("accept", "*/*")];
        let asked = Asked { url: "https://a:1/x?v=1&utm_x=2", fields: &fields, content: None };
        let Explanation { entered: found, left_out: rest } = with_input(&asked, rule, |input| input.explain());
        let plain = |parts: &[super::KeyPart]| {
            parts.iter().map(|part| (part.name.clone(), part.value.clone())).collect::<Vec<_>>()
        };
        let own = |parts: &[(&str, Option<&str>)]| {
            parts.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect::<Vec<_>>()
        };
        assert_eq!(plain(&found), own(entered));
        assert_eq!(plain(&rest), own(left_out));
    };
    let rule = KeyRule {
        headers: strings(&["x-plan", "x-region"]),
        cookies: strings(&["currency", "lang"]),
        share_hosts: true,
        ..except(&["utm_*"])
    };
    check(
        &rule,
        &[
            ("site", Some("s")),
            ("scheme", Some("https")),
            ("path", Some("/x")),
            ("parameter", Some("v=1")),
            ("header x-plan", Some("a, b")),
            ("header x-region", None),
            ("cookie currency", Some("EUR")),
            ("cookie lang", None),
        ],
        &[
            ("host", Some("a")),
            ("port", Some("1")),
            ("parameter", Some("utm_x=2")),
            ("header accept", Some("*/*")),
            ("cookie", Some("id=1")),
        ],
    );
}

/// What the origin may read of a QUERY's content enters, all lines of it.
#[test]
fn contents() {
    type Fields<'a> = &'a [(&'static str, &'a str)];
    let check = |one: (Fields<'_>, &str), other: (Fields<'_>, &str)| {
        let digest = |(fields, content): (Fields<'_>, &str)| {
            super::content_digest(&crate::testing::headers(fields), content.as_bytes())
        };
        assert_ne!(digest(one), digest(other), "{one:?} {other:?}");
    };
    check((&[], "a"), (&[], "b"));
    check((&[("content-type", "a")], ""), (&[], ""));
    check((&[("content-type", "a")], ""), (&[("content-encoding", "a")], ""));
    check((&[("content-type", "a"), ("content-type", "b")], ""), (&[("content-type", "a")], ""));
    check((&[("content-type", "a"), ("content-type", "b")], ""), (&[("content-type", "a"), ("content-type", "c")], ""));
    check((&[("content-type", "")], ""), (&[], ""));
    check(
        (&[("content-encoding", "x"), ("content-encoding", "y")], ""),
        (&[("content-encoding", "x"), ("content-language", "y")], ""),
    );
}
