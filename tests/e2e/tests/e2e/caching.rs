//! Caching: RFC 9111 through both tiers. What is stored, for how long, for whom, and what is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use holm_e2e::{Ask, Asked, Holm, Origin, Protocol, ask, get, ok, wait_for};

/// A path, its response's fields, and what the second of two requests is told in `Cache-Status`.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const CASES: &[Case] = &[
    ("/max-age", &[("cache-control", "max-age=60")], "hit"),
    ("/s-maxage", &[("cache-control", "max-age=0, s-maxage=60")], "hit"),
    ("/s-maxage-0", &[("cache-control", "max-age=60, s-maxage=0"), ("etag", "\"a\"")], "fwd=stale"),
    ("/public", &[("cache-control", "public, max-age=60")], "hit"),
    ("/expires", &[("date", PAST), ("expires", FUTURE)], "hit"),
    ("/heuristic", &[("date", FUTURE), ("last-modified", PAST)], "hit"),
    ("/no-cache", &[("cache-control", "no-cache"), ("etag", "\"a\"")], "fwd=stale"),
    ("/cdn", &[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")], "hit"),
    ("/holm", &[("cdn-cache-control", "no-store"), ("holm-cache-control", "max-age=60")], "hit"),
    ("/no-store", &[("cache-control", "no-store, max-age=60")], "detail=no-store"),
    ("/private", &[("cache-control", "private, max-age=60")], "detail=private"),
    ("/nothing", &[], "detail=no-freshness"),
    ("/cookie", &[("set-cookie", "a=1"), ("last-modified", PAST)], "detail=set-cookie"),
    ("/vary-star", &[("vary", "*"), ("cache-control", "max-age=60")], "detail=vary-star"),
    ("/old", &[("age", "100"), ("cache-control", "max-age=60")], "fwd=miss"),
    ("/broken", &[("cache-control", "max-age=soon")], "fwd="),
];

const PAST: &str = "Mon, 01 Jan 2001 00:00:00 GMT";
const LATER: &str = "Thu, 01 Feb 2001 00:00:00 GMT";
const FUTURE: &str = "Sun, 01 Jan 2096 00:00:00 GMT";

#[test]
fn what_is_stored_and_what_is_not() {
    let origin = Origin::start(|asked, exchange| {
        let (_, fields, _) = CASES.iter().find(|(path, ..)| *path == asked.path()).expect("one of the cases");
        exchange.reply(200, fields, "x")
    });
    let holm = Holm::before(origin.url());
    for (path, _, expected) in CASES {
        let first = holm.ask(&get(*path)).expect(200);
        assert!(first.cache().contains("fwd=uri-miss; fwd-status=200"), "{path}: {}", first.show());
        let second = holm.ask(&get(*path)).expect(200);
        assert!(second.cache().contains(expected), "{path}: expected `{expected}`: {}", second.show());
        assert_eq!(origin.asked(path), if *expected == "hit" { 1 } else { 2 }, "{path}");
        // Only what is stored is said to be.
        let stored = expected.contains("hit") || expected.contains("stale");
        assert_eq!(first.cache().contains("; stored"), stored, "{path}: {}", first.show());
    }
}

#[test]
fn statuses() {
    let origin = Origin::start(|asked, exchange| {
        let (status, cache) = asked.target.trim_start_matches('/').split_once('?').expect("status and cache");
        exchange.reply(status.parse().expect("a status"), &[("cache-control", cache), ("location", "/x")], "x")
    });
    let holm = Holm::before(origin.url());
    for (status, cache, hit) in [
        (200, "max-age=60", true),
        (404, "max-age=60", true),
        (410, "max-age=60", true),
        (301, "max-age=60", true),
        (302, "max-age=60", true),
        (500, "max-age=60", true),
        (503, "no-cache", false),
        (404, "no-store", false),
        (302, "", false),
        (500, "", false),
        (206, "max-age=60", false),
    ] {
        let path = format!("/{status}?{cache}");
        holm.ask(&get(&path)).expect(status);
        let second = holm.ask(&get(&path)).expect(status);
        assert_eq!(second.is_hit(), hit, "{path}: {}", second.show());
        assert_eq!(second.text(), "x");
    }
}

#[test]
fn age_counts_from_the_origin_on() {
    let origin =
        Origin::start(|_, exchange| exchange.reply(200, &[("cache-control", "max-age=60"), ("age", "10")], "x"));
    let holm = Holm::before(origin.url());
    for hit in [false, true] {
        let response = holm.ask(&get("/")).expect(200);
        assert_eq!(response.is_hit(), hit);
        let age: i64 = response.fields.get("age").parse().expect("a number");
        assert!((10..20).contains(&age), "{}", response.show());
        if hit {
            assert_eq!(response.ttl(), Some(60 - age), "{}", response.show());
        }
    }
}

#[test]
fn a_stale_response_is_confirmed_or_replaced() {
    let version = Arc::new(AtomicUsize::new(1));
    let current = Arc::clone(&version);
    let origin = Origin::start(move |asked, exchange| {
        let version = current.load(Ordering::SeqCst);
        let etag = format!("\"v{version}\"");
        let modified = if version == 1 { PAST } else { LATER };
        let by_date = asked.path() == "/date";
        let validator = if by_date { ("last-modified", modified) } else { ("etag", etag.as_str()) };
        let known =
            asked.fields.get("if-none-match") == etag || by_date && asked.fields.get("if-modified-since") == modified;
        let number = version.to_string();
        let fields = [validator, ("cache-control", "max-age=0"), ("x-version", number.as_str())];
        if known {
            exchange.reply(304, &fields, "")
        } else {
            exchange.reply(200, &fields, format!("version {version}"))
        }
    });
    let holm = Holm::before(origin.url());
    for path in ["/etag", "/date"] {
        version.store(1, Ordering::SeqCst);
        holm.ask(&get(path)).expect(200).expect_miss("stored");
        let confirmed = holm.ask(&get(path)).expect(200).expect_miss("fwd=stale; fwd-status=304");
        assert_eq!(confirmed.text(), "version 1", "{}", confirmed.show());
        // The client's own condition is answered with what was confirmed.
        if path == "/etag" {
            holm.ask(&get(path).field("if-none-match", "\"v1\"")).expect(304);
            holm.ask(&get(path).field("if-none-match", "\"other\"")).expect(200);
        }
        version.store(2, Ordering::SeqCst);
        let replaced = holm.ask(&get(path)).expect(200).expect_miss("fwd=stale; fwd-status=200");
        assert_eq!((replaced.text().as_str(), replaced.fields.get("x-version")), ("version 2", "2"));
    }
    let conditional = |asked: &Asked| asked.fields.has("if-none-match") || asked.fields.has("if-modified-since");
    assert!(origin.log().iter().filter(|asked| asked.path() == "/etag").skip(1).all(conditional), "all but the first");
}

#[test]
fn variants() {
    let origin = Origin::start(|asked, exchange| {
        let language = asked.fields.get("accept-language").to_owned();
        let fields = [("vary", "accept-language"), ("cache-control", "max-age=60")];
        exchange.reply(200, &fields, format!("in {language}"))
    });
    let holm = Holm::before(origin.url());
    let in_language = |language: &str| holm.ask(&get("/").field("accept-language", language)).expect(200);
    in_language("de").expect_miss("fwd=uri-miss");
    assert_eq!(in_language("de").expect_hit().text(), "in de");
    assert_eq!(in_language("fr").expect_miss("fwd=vary-miss").text(), "in fr");
    assert_eq!(in_language("fr").expect_hit().text(), "in fr");
    assert_eq!(in_language("de").expect_hit().text(), "in de");
    assert_eq!(holm.ask(&get("/")).expect(200).expect_miss("fwd=vary-miss").text(), "in ");
    assert_eq!(origin.asked("/"), 3);
}

#[test]
fn encodings_are_told_apart_by_what_matters() {
    let origin = Origin::start(|asked, exchange| {
        let gzip = asked.fields.get("accept-encoding").contains("gzip");
        let coding = if gzip { "gzip" } else { "identity" };
        let fields = [("vary", "Accept-Encoding"), ("cache-control", "max-age=60"), ("content-encoding", coding)];
        exchange.reply(200, if gzip { &fields } else { &fields[..2] }, coding)
    });
    let holm = Holm::before(origin.url());
    let accepting = |codings: &str| holm.ask(&get("/").field("accept-encoding", codings)).expect(200);
    accepting("gzip").expect_miss("fwd=uri-miss");
    let hit = accepting("gzip").expect_hit();
    assert_eq!((hit.fields.get("content-encoding"), hit.text().as_str()), ("gzip", "gzip"), "{}", hit.show());
    let plain = accepting("identity").expect_miss("fwd=vary-miss");
    assert_eq!((plain.fields.has("content-encoding"), plain.text().as_str()), (false, "identity"));
}

#[test]
fn content_without_a_length_or_an_end_of_its_own() {
    // HTTP/1.0's way: the connection's end is the content's.
    let origin = Origin::start(|_, exchange| {
        std::io::Write::write_all(exchange, b"HTTP/1.0 200 OK\r\ncache-control: max-age=60\r\n\r\nto the end")?;
        exchange.close();
        Ok(())
    });
    let holm = Holm::before(origin.url());
    for protocol in Protocol::ALL {
        let response = holm.ask(&get("/").over(protocol)).expect(200);
        assert_eq!(response.text(), "to the end", "{}", response.show());
    }
    holm.ask(&get("/")).expect_hit();
}

#[test]
fn interim_responses_do_no_harm() {
    let origin = Origin::start(|_, exchange| {
        exchange.head(103, &[("link", "</a.css>; rel=preload")])?;
        exchange.head(102, &[])?;
        ok(exchange, "final")
    });
    let holm = Holm::before(origin.url());
    for protocol in Protocol::ALL {
        let response = holm.ask(&get(format!("/{protocol:?}")).over(protocol)).expect(200);
        assert_eq!(response.text(), "final", "{}", response.show());
    }
}

#[test]
fn what_a_request_says_itself() {
    let origin = Origin::start(|asked, exchange| {
        let cache = if asked.path().starts_with("/public") { "public, max-age=60" } else { "max-age=60" };
        exchange.reply(200, &[("cache-control", cache), ("etag", "\"a\"")], "x")
    });
    let holm = Holm::before(origin.url());
    let check = |request: Ask, status: u16, words: &str| {
        let shown = format!("{request:?}");
        let response = holm.ask(&request).expect(status);
        assert!(response.cache().contains(words), "expected `{words}` for {shown}: {}", response.show());
    };
    check(get("/auth").field("authorization", "Bearer x"), 200, "detail=authorization");
    // What one user was given for their name is not for all; what is for all, is.
    check(get("/auth"), 200, "fwd=uri-miss");
    check(get("/public").field("authorization", "Bearer x"), 200, "stored");
    check(get("/public").field("authorization", "Bearer y"), 200, "hit");
    check(get("/a"), 200, "stored");
    check(get("/a"), 200, "hit");
    check(get("/a").field("cache-control", "no-cache"), 200, "fwd=request; fwd-status=304");
    check(get("/a").field("cache-control", "max-age=30, min-fresh=20"), 200, "hit");
    check(get("/a").field("cache-control", "min-fresh=100"), 200, "fwd=request");
    check(get("/a").field("cache-control", "only-if-cached"), 200, "hit");
    check(get("/b").field("cache-control", "only-if-cached"), 504, "detail=only-if-cached");
    check(get("/b").field("cache-control", "no-store"), 200, "detail=request-no-store");
    check(get("/b"), 200, "fwd=uri-miss");
    check(get("/a?x=1"), 200, "fwd=uri-miss");
    // RFC 9111 §4.4: a success of an unsafe method.
    check(ask("POST", "/a").body("y"), 200, "fwd=method");
    check(get("/a"), 200, "detail=invalidated");
    check(get("/a?x=1"), 200, "hit");
}

#[test]
fn stale_while_revalidate() {
    let version = AtomicUsize::new(0);
    let origin = Origin::start(move |_, exchange| {
        let version = version.fetch_add(1, Ordering::SeqCst) + 1;
        let cache = if version < 4 { "max-age=0, stale-while-revalidate=60" } else { "max-age=60" };
        exchange.reply(200, &[("cache-control", cache)], format!("version {version}"))
    });
    let holm = Holm::before(origin.url());
    holm.ask(&get("/")).expect(200).expect_miss("stored");
    let second = holm.ask(&get("/")).expect(200).expect_hit();
    assert_eq!(second.text(), "version 1", "{}", second.show());
    assert!(second.cache().contains("detail=stale-while-revalidate"), "{}", second.show());
    // Renewed behind the clients' backs, by both tiers: each of them waits for nothing.
    wait_for("the fourth version", || holm.ask(&get("/")).expect(200).expect_hit().text() == "version 4");
    assert_eq!(origin.asked("/"), 4, "the fourth one stays fresh");
}

#[test]
fn stale_if_error() {
    let status = Arc::new(AtomicU16::new(200));
    let current = Arc::clone(&status);
    let origin = Origin::start(move |asked, exchange| {
        let cache = match asked.path() {
            "/never" => "max-age=0, must-revalidate, stale-if-error=60",
            "/unsaid" => "max-age=0",
            _ => "max-age=0, stale-if-error=60",
        };
        match current.load(Ordering::SeqCst) {
            0 => Err(holm_e2e::broken_off()),
            200 => exchange.reply(200, &[("cache-control", cache), ("etag", "\"a\"")], "good"),
            status => exchange.reply(status, &[], "bad"),
        }
    });
    let holm = Holm::before(origin.url());
    for failure in [503, 500, 0] {
        status.store(200, Ordering::SeqCst);
        for path in ["/", "/unsaid", "/never"] {
            holm.ask(&get(path)).expect(200);
        }
        status.store(failure, Ordering::SeqCst);
        let saved = holm.ask(&get("/")).expect(200);
        assert_eq!(saved.text(), "good", "{failure}: {}", saved.show());
        let expected = if failure == 0 { 502 } else { failure };
        holm.ask(&get("/unsaid")).expect(expected);
        holm.ask(&get("/never")).expect(expected);
    }
}

#[test]
fn an_error_is_not_confirmed_by_what_confirms_the_content() {
    // RFC 9110 §15.4.5: a 304 stands for a 200. An error that bears the content's validator is still an error.
    let status = Arc::new(AtomicU16::new(503));
    let current = Arc::clone(&status);
    let origin = Origin::start(move |asked, exchange| {
        let fields = [("cache-control", "max-age=0"), ("etag", "\"a\"")];
        match current.load(Ordering::SeqCst) {
            200 if asked.fields.get("if-none-match") == "\"a\"" => exchange.reply(304, &fields, ""),
            status => exchange.reply(status, &fields, status.to_string()),
        }
    });
    let holm = Holm::before(origin.url());
    holm.ask(&get("/")).expect(503);
    status.store(200, Ordering::SeqCst);
    let response = holm.ask(&get("/")).expect(200);
    assert_eq!(response.text(), "200", "{}", response.show());
}
