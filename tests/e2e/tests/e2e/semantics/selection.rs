//! Selection: which of the stored responses a request is given, by its query, its content, and its fields.

use holm_e2e::{Gate, Holm, Origin, Protocol, get, ok, wait_for};

use super::{FRESH, Row, check, check_all, scripted};

#[test]
fn queries_that_say_nothing() {
    let origin = Origin::start(scripted);
    let holm = Holm::before(origin.url());
    let check = |rows: &[Row]| check(&holm, &origin, Protocol::Http1, rows);
    let purge = |target: &str| {
        holm.cli(&format!("purge --url http://{}/Http1{target}", holm.http())).ok("1 URL purged");
    };
    check(&[
        ("GET /o?a=1&b=2", "", "200|no-vary-search: key-order|cache-control: max-age=60|=o", "200 stored"),
        ("GET /o?b=2&a=1", "", "", "200 hit =o"),
        ("GET /o?b=2&a=2", "", FRESH, "200 !hit"),
        ("GET /p?x=1&y=1", "", "200|no-vary-search: params=(\"x\")|cache-control: max-age=60|=p", "200 stored"),
        ("GET /p?y=1", "", "", "200 hit =p"),
        ("GET /p?x=3&y=1&x=4", "", "", "200 hit =p"),
        ("GET /p?x=1&y=2", "", "200|no-vary-search: params=(\"x\")|cache-control: max-age=60|=p2", "200 !hit stored"),
        ("GET /p?y=2", "", "", "200 hit =p2"),
        (
            "GET /e?id=1&z=1",
            "",
            "200|no-vary-search: params, except=(\"id\")|cache-control: max-age=60|=e",
            "200 stored",
        ),
        ("GET /e?id=1", "", "", "200 hit =e"),
        ("GET /e?z=5&id=1", "", "", "200 hit =e"),
        ("GET /e?z=5&id=2", "", FRESH, "200 !hit"),
        ("GET /broken?a&b", "", "200|no-vary-search: key-order=5|cache-control: max-age=60", "200 stored"),
        ("GET /broken?b&a", "", FRESH, "200 !hit"),
        // A later response that does not say so is one for its own query.
        ("GET /l?x=1", "", "200|no-vary-search: params=(\"x\")|cache-control: max-age=60|=one", "200 stored"),
        ("GET /l?x=2", "cache-control: no-cache", "200|cache-control: max-age=60|=two", "200 fwd=request stored =two"),
        ("GET /l?x=2", "", "", "200 hit =two"),
        // Conditions, and a confirmation of what is stale.
        ("GET /s?x=1", "", "200|etag: \"s\"|no-vary-search: params|cache-control: max-age=0|=s", "200 stored =s"),
        (
            "GET /s?x=2",
            "",
            "200|etag: \"s\"|no-vary-search: params|cache-control: max-age=60|=s",
            "200 fwd=stale fwd-status=304 =s",
        ),
        ("GET /s?x=3", "", "", "200 hit =s"),
        ("GET /s?x=3", "if-none-match: \"s\"", "", "304 hit"),
    ]);
    purge("/p?x=9&y=1");
    check(&[("GET /p?y=1", "", FRESH, "200 !hit"), ("GET /p?x=1&y=1", "", FRESH, "200 !hit")]);
}

#[test]
fn query_method() {
    let large: &'static str = Box::leak(format!("content: {}", "x".repeat((64 << 10) + 1)).into());
    let fits: &'static str = Box::leak(format!("content: {}", "x".repeat(64 << 10)).into());
    let origin = Origin::start(scripted);
    let holm = Holm::before(origin.url());
    for protocol in [Protocol::Http1, Protocol::Http3] {
        check(
            &holm,
            &origin,
            protocol,
            &[
                (
                    "QUERY /q",
                    "content-type: text/a\ncontent: 1",
                    "200|cache-control: max-age=60|=1",
                    "200 fwd=uri-miss stored =1",
                ),
                ("QUERY /q", "content-type: text/a\ncontent: 1", "", "200 hit =1"),
                (
                    "QUERY /q",
                    "content-type: text/a\ncontent: 2",
                    "200|cache-control: max-age=60|=2",
                    "200 fwd=uri-miss =2",
                ),
                (
                    "QUERY /q",
                    "content-type: text/b\ncontent: 1",
                    "200|cache-control: max-age=60|=b",
                    "200 fwd=uri-miss =b",
                ),
                ("QUERY /q?x", "content-type: text/a\ncontent: 1", FRESH, "200 fwd=uri-miss"),
                ("GET /q", "", "200|cache-control: max-age=60|=get", "200 fwd=uri-miss =get"),
                ("QUERY /q", "content-type: text/a\ncontent: 1", "", "200 hit =1"),
                ("QUERY /q", "content-type: text/a\ncontent: 2", "", "200 hit =2"),
                ("QUERY /big", fits, FRESH, "200 fwd=uri-miss stored"),
                ("QUERY /big", fits, "", "200 hit"),
                ("QUERY /big", large, FRESH, "200 fwd=bypass !stored"),
                ("QUERY /big", large, FRESH, "200 fwd=bypass !stored"),
                ("QUERY /no", "content: 1", "200|cache-control: no-store", "200 detail=no-store"),
                ("QUERY /etag", "content: 1", "200|etag: \"a\"|cache-control: max-age=0|=a", "200 stored =a"),
                (
                    "QUERY /etag",
                    "content: 1",
                    "200|etag: \"a\"|cache-control: max-age=60|=b",
                    "200 fwd=stale fwd-status=304 =a",
                ),
                ("QUERY /etag", "content: 1\nif-none-match: \"a\"", "", "304 hit"),
            ],
        );
        holm.cli(&format!("purge --url http://{}/{protocol:?}/q", holm.http())).ok("1 URL purged");
        check(
            &holm,
            &origin,
            protocol,
            &[
                ("QUERY /q", "content-type: text/a\ncontent: 1", FRESH, "200 !hit"),
                ("QUERY /q", "content-type: text/a\ncontent: 2", FRESH, "200 !hit"),
            ],
        );
    }
    for asked in origin.log().iter().filter(|asked| asked.target.ends_with("/q") && asked.method == "QUERY") {
        assert_eq!(asked.fields.get("content-length"), "1");
    }
}

/// Many who ask the same share one fetch; those who ask something else do not.
#[test]
fn queries_of_one_content_are_collapsed() {
    let gate = Gate::new();
    let passing = gate.clone();
    let origin = Origin::start(move |_, exchange| {
        let content = exchange.content()?;
        passing.pass();
        ok(exchange, content)
    });
    let holm = Holm::before(origin.url());
    let query = |content: &str| {
        format!("QUERY /q HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: 1\r\n\r\n{content}", holm.http())
    };
    let clients: Vec<_> = (0..20).map(|number| (number % 2, holm.raw().send(query(["a", "b"][number % 2])))).collect();
    wait_for("all connections", || holm.metric("holm_connections") >= 20.0);
    origin.wait_asked("/q", 2);
    gate.open();
    for (kind, client) in clients {
        let answer = client.until_closed();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(["\r\n\r\na", "\r\n\r\nb"][kind]), "{answer}");
    }
    assert_eq!(origin.asked("/q"), 2);
}

#[test]
fn variants() {
    let two = "200|vary: x-a, x-b|cache-control: max-age=60|=two";
    check_all(&[
        // Responses of one URL that name different fields.
        ("GET /v", "x-a: 1", "200|vary: x-a|cache-control: max-age=60|=a1", "200 fwd=uri-miss stored"),
        ("GET /v", "x-a: 2\nx-b: 1", two, "200 fwd=vary-miss stored =two"),
        ("GET /v", "x-a: 1", "", "200 hit =a1"),
        ("GET /v", "x-a: 1\nx-b: 7", "", "200 hit =a1"),
        ("GET /v", "x-a: 2\nx-b: 1", "", "200 hit =two"),
        ("GET /v", "x-a: 2\nx-b: 2", "200|vary: x-a, x-b|cache-control: max-age=60|=other", "200 fwd=vary-miss =other"),
        ("GET /v", "x-a: 2\nx-b: 1", "", "200 hit =two"),
        // One that does not vary any more.
        ("GET /v", "x-a: 3", "200|cache-control: max-age=60|=all", "200 fwd=vary-miss stored =all"),
        ("GET /v", "x-a: 4", "", "200 hit =all"),
        ("GET /star", "", "200|vary: *|cache-control: max-age=60", "200 !stored detail=vary-star"),
        // RFC 9110 §12.5.4: the same wish in other words, and the response that fits the preferred one.
        (
            "GET /l",
            "accept-language: de, en;q=0.5",
            "200|vary: accept-language|content-language: de|cache-control: max-age=60|=de",
            "200 stored",
        ),
        ("GET /l", "accept-language: DE,en; q=0.5", "", "200 hit =de"),
        ("GET /l", "accept-language: de, fr;q=0.2", "", "200 hit =de"),
        (
            "GET /l",
            "accept-language: fr, de;q=0.2",
            "200|vary: accept-language|content-language: fr|cache-control: max-age=60|=fr",
            "200 fwd=vary-miss =fr",
        ),
        // Encodings that mean the same.
        ("GET /z", "accept-encoding: gzip, br", "200|vary: accept-encoding|cache-control: max-age=60|=z", "200 stored"),
        ("GET /z", "accept-encoding: br;q=1.0,gzip", "", "200 hit =z"),
    ]);
}

#[test]
fn the_variants_of_one_url_are_bounded() {
    const MANY: usize = 400;
    let origin = Origin::start(|asked, exchange| {
        let fields = [("cache-control", "max-age=60"), ("vary", "x-a"), ("content-range", "bytes 0-0/9")];
        match asked.path() {
            "/parts" => exchange.reply(206, &fields, "x"),
            _ => exchange.reply(200, &fields[..2], "x"),
        }
    });
    let holm = Holm::before(origin.url());
    let asking = |target: &str, number: usize| {
        let close = if number + 1 == MANY { "connection: close\r\n" } else { "" };
        format!("GET {target} HTTP/1.1\r\nhost: {}\r\n{close}x-a: {number}\r\n", holm.http())
    };
    for (target, range, status) in [("/parts", "range: bytes=0-0\r\n\r\n", "206"), ("/", "\r\n", "200")] {
        let all: String = (0..MANY).map(|number| asking(target, number) + range).collect();
        let answers = holm.raw().send(&all).until_closed();
        assert_eq!(answers.matches(&format!("HTTP/1.1 {status}")).count(), MANY, "{answers}");
        assert_eq!(origin.asked(target), MANY);
    }
    for tier in ["edge", "shield"] {
        wait_for("few objects", || holm.metric(&format!("holm_cache_objects{{tier=\"{tier}\"}}")) <= 260.0);
    }
    let ask = |number: usize| holm.ask(&get("/").field("x-a", number.to_string())).expect(200);
    ask(MANY - 1).expect_hit();
    ask(MANY - 100).expect_hit();
    ask(0).expect_miss("fwd=vary-miss");
}
