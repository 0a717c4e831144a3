//! Refusals: what no server should take from a client, and what is left of the connection.

use holm_e2e::{Holm, Origin, Protocol, ask, get, ok};

fn chain() -> (Origin, Holm) {
    let origin = Origin::start(|_, exchange| {
        let content = exchange.content()?;
        ok(exchange, format!("got {}", content.len()))
    });
    let holm = Holm::before(origin.url());
    (origin, holm)
}

/// A second request, which must never be answered after what stands before it.
const NEXT: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn bad_heads_are_refused_and_the_connection_is_closed() {
    let (origin, holm) = chain();
    let check = |head: &str, status: u16, reason: &str| {
        let answer = holm.raw().send(format!("{head}{NEXT}")).until_closed();
        let shown = &head[..head.len().min(200)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}:\n{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "one answer to {shown:?}:\n{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{shown:?}:\n{answer}");
        assert!(answer.contains(reason), "`{reason}` for {shown:?}:\n{answer}");
        assert_eq!(origin.asked("/smuggled"), 0, "{shown:?}");
    };
    let head = |fields: &str| format!("POST /bad HTTP/1.1\r\n{fields}\r\n\r\n");
    // Hosts: RFC 9112 §3.2.
    check("GET / HTTP/1.1\r\n\r\n", 400, "detail=host-missing");
    check(&head("host: a\r\nhost: a"), 400, "detail=host-duplicate");
    for host in ["a b", "user@a", "a:b", "a/b", "a:123456", "[::1", "é", "a,b", "a?b"] {
        check(&head(&format!("host: {host}")), 400, "detail=host-invalid");
    }
    // Framing: RFC 9112 §6.3.
    check(&head("host: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked"), 400, "length-and-transfer-encoding");
    check(&head("host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5"), 400, "length-and-transfer-encoding");
    check(&head("host: a\r\ncontent-length: 5\r\ncontent-length: 5"), 400, "length-duplicate");
    check(&head("host: a\r\ncontent-length: 5\r\ncontent-length: 6"), 400, "length-duplicate");
    for length in ["+5", "-5", "5, 5", "0x5", "", "99999999999999999999"] {
        check(&head(&format!("host: a\r\ncontent-length: {length}")), 400, "length-invalid");
    }
    for coding in ["gzip", "gzip, chunked", "chunked, chunked", "xchunked", "chunked;q=1", "\"chunked\""] {
        check(&head(&format!("host: a\r\ntransfer-encoding: {coding}")), 501, "transfer-encoding-unknown");
    }
    check(
        &head("host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked"),
        400,
        "transfer-encoding-duplicate",
    );
    check("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", 400, "transfer-encoding-in-http-1.0");
    // Syntax: RFC 9112 §2.2, §5.
    for fields in [
        "host: a\r\ncontent-length : 5",
        "host: a\r\n folded: 1",
        "host: a\r\nx: a\0b",
        "host: a\r\nx",
        "host: a\r\n: x",
        "host: a\r\nx: a\rb",
        "host: a\r\nx: a\x07b",
    ] {
        check(&head(fields), 400, "malformed-head");
    }
    check("GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505, "http-version");
    check("GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", 400, "malformed-head");
    check("GET /a\x01b HTTP/1.1\r\nhost: a\r\n\r\n", 400, "malformed-head");
    check("\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n", 400, "malformed-head");
    // Sizes.
    check(&head(&format!("host: a\r\nx: {}", "y".repeat(70_000))), 431, "head-too-large");
    check(&head(&format!("host: a\r\n{}z: 1", "x: 1\r\n".repeat(200))), 431, "too-many-fields");
    check(&format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(20_000)), 414, "uri-too-long");
}

#[test]
fn a_head_that_never_ends_is_refused() {
    let (_origin, holm) = chain();
    let answer = holm.raw().send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(200_000))).until_closed();
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[test]
fn bad_content_ends_the_connection() {
    let (origin, holm) = chain();
    for (chunks, what) in [
        ("zz\r\nhello\r\n0\r\n\r\n", "no size"),
        ("5\r\nhelloX0\r\n\r\n", "no line end after a chunk"),
        ("fffffffffffffffff\r\n", "a size without bounds"),
        ("5\nhello\r\n0\r\n\r\n", "a bare line feed"),
        ("-5\r\nhello\r\n0\r\n\r\n", "a sign"),
        ("0x5\r\nhello\r\n0\r\n\r\n", "a prefix"),
        ("\r\n0\r\n\r\n", "an empty size"),
    ] {
        let head = "POST /chunks HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = holm.raw().send(format!("{head}{chunks}{NEXT}")).until_closed();
        assert!(!answer.starts_with("HTTP/1.1 2") && answer.matches("HTTP/1.1").count() <= 1, "{what}:\n{answer}");
        assert_eq!(origin.asked("/smuggled"), 0, "{what}");
    }
    // Content that breaks off is no request that was answered, either.
    let answer =
        holm.raw().send("POST /cut HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello").end().until_closed();
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
}

#[test]
fn content_never_becomes_a_request() {
    let (origin, holm) = chain();
    holm.ask(&get("/hit")).expect(200);
    let content = NEXT;
    let length = content.len();
    // Of a GET that is answered from the cache, too (CVE-2025-4366): it is read, or the connection closed.
    for target in ["GET /hit", "GET /other", "POST /post", "HEAD /hit", "GET /none/such"] {
        let request =
            format!("{target} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{content}");
        let answer = holm.raw().send(request).until_closed();
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{target}:\n{answer}");
        let request = format!(
            "{target} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{content}GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        );
        let answer = holm.raw().send(request).until_closed();
        assert!(answer.matches("HTTP/1.1").count() <= 2, "{target}:\n{answer}");
        assert_eq!(origin.asked("/smuggled"), 0, "{target}");
    }
    let chunked = format!("{length:x}\r\n{content}\r\n0\r\n\r\n");
    let request = format!(
        "GET /hit HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunked}GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    );
    let answer = holm.raw().send(request).until_closed();
    assert!(answer.matches("HTTP/1.1").count() <= 2 && origin.asked("/smuggled") == 0, "{answer}");
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let origin = Origin::start(|asked, exchange| ok(exchange, format!("<{}>", asked.path())));
    let holm = Holm::before(origin.url());
    let requests: String = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n")).collect();
    let last = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = holm.raw().send(format!("\r\n{requests}{last}")).until_closed();
    let found: Vec<_> = answer.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect();
    let expected: Vec<_> = (0..20).map(|n| format!("/{n}")).chain(["/last".to_owned()]).collect();
    assert_eq!(found, expected, "{answer}");
}

#[test]
fn targets_and_methods() {
    let (origin, holm) = chain();
    let check = |request: &str, status: u16, words: &str| {
        let answer = holm.raw().send(format!("{request}\r\nconnection: close\r\n\r\n")).until_closed();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words), "{request}:\n{answer}");
    };
    check("GET http://other.example/absolute HTTP/1.1\r\nhost: a", 200, "got 0");
    assert_eq!(origin.last("/absolute").fields.get("host"), "other.example", "RFC 9112 §3.2.2");
    check("TRACE / HTTP/1.1\r\nhost: a", 405, "allow:");
    check("CONNECT a:443 HTTP/1.1\r\nhost: a:443", 405, "allow:");
    check("OPTIONS * HTTP/1.1\r\nhost: a", 204, "allow:");
    check("OPTIONS /x HTTP/1.1\r\nhost: a", 200, "got 0");
    let old = holm.raw().send("GET / HTTP/1.0\r\n\r\n").until_closed();
    assert!(old.starts_with("HTTP/1.0 400") || old.starts_with("HTTP/1.1 400"), "a site is found by its host:\n{old}");
    let old = holm.raw().send("GET / HTTP/1.0\r\nhost: a\r\n\r\n").until_closed();
    assert!(old.starts_with("HTTP/1.0 200") && old.ends_with("got 0") && !old.contains("chunked"), "{old}");
    check("BREW /pot HTTP/1.1\r\nhost: a", 200, "got 0");
    assert_eq!(origin.last("/pot").method, "BREW");
}

#[test]
fn the_same_over_http2_and_http3() {
    let (_origin, holm) = chain();
    for protocol in [Protocol::Http2, Protocol::Http3] {
        let refused = |response: &holm_e2e::Response, statuses: &[u16]| {
            let ended = response.status == 0 && !response.error.is_empty();
            assert!(ended || statuses.contains(&response.status), "{}", response.show());
        };
        refused(&holm.ask(&get("/").field("host", "a b").over(protocol)), &[400]);
        refused(&holm.ask(&get("/").field("host", "user@a").over(protocol)), &[400]);
        // A little more than we take, and not more than curl sends.
        let large = ["x", "y", "z"].into_iter().fold(get("/"), |ask, name| ask.field(name, name.repeat(21_700)));
        assert_eq!(holm.ask(&large.over(protocol)).status, 431);
        refused(&holm.ask(&get(format!("/{}", "x".repeat(20_000))).over(protocol)), &[414, 431]);
        refused(&holm.ask(&ask("TRACE", "/").over(protocol)), &[405]);
        let many = (0..200).fold(get("/"), |ask, number| ask.field(&format!("x-{number}"), "y"));
        assert_eq!(holm.ask(&many.over(protocol)).status, 431);
        // What was wrong ends nobody else's connection.
        holm.ask(&get("/").over(protocol)).expect(200);
    }
}

#[test]
fn a_host_of_no_site() {
    let origin = Origin::start(|_, exchange| ok(exchange, "x"));
    let holm = Holm::with_manifest(&format!(
        "name = \"shop\"\nhosts = [\"shop.example\", \"*.shop.example\"]\n[[routes]]\npath = \"/a/*\"\norigin = \"web\"\n\
         [origins.web]\nendpoints = [\"{}\"]\n",
        origin.url()
    ));
    let check = |host: &str, path: &str, status: u16, reason: &str| {
        let response = holm.ask(&get(path).field("host", host)).expect(status);
        assert!(response.cache().ends_with(reason), "{host}: {}", response.show());
    };
    check("shop.example", "/a/b", 200, "detail=uri-miss");
    check("SHOP.example:8080", "/a/b", 200, "");
    check("www.shop.example", "/a/b", 200, "detail=uri-miss");
    check("other.example", "/a/b", 404, "detail=no-such-site");
    check("shop.example.evil", "/a/b", 404, "detail=no-such-site");
    check("evilshop.example", "/a/b", 404, "detail=no-such-site");
    check("shop.example", "/b", 404, "detail=no-route");
}
