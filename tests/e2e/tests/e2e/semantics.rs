//! Semantics: tables of exchanges through both tiers. Each row says what a client sends, what the origin would answer, and
//! what the client is told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use holm_e2e::{
    Ask, Asked, Exchange, Gate, Holm, Origin, Pattern, Protocol, Response, ask, get, head, ok, sha256, wait_for,
};

/// A method and a target; request fields, one a line; the origin's answer (nothing where it shall not be asked); the status,
/// words of `Cache-Status` (not there with `!`), and the content after `=`.
///
/// An answer is a status, then fields, then the content after `=`, with bars between them. `@` is the table's own folder.
type Row = (&'static str, &'static str, &'static str, &'static str);

const FRESH: &str = "200|cache-control: max-age=60|=new";

/// Answers as the request's `x-reply` says. A condition that its `ETag` meets is answered with 304.
fn scripted(asked: &Asked, exchange: &mut Exchange) -> io::Result<()> {
    io::copy(exchange, &mut io::sink())?;
    let mut parts = asked.fields.get("x-reply").split('|');
    let status = parts.next().and_then(|status| status.parse().ok()).unwrap_or(599);
    let (mut fields, mut content) = (Vec::new(), "");
    for part in parts {
        match part.strip_prefix('=') {
            Some(text) => content = text,
            None => fields.extend(part.split_once(": ")),
        }
    }
    let etag = fields.iter().find(|(name, _)| *name == "etag").map(|(_, value)| *value);
    let known = status == 200 && etag.is_some_and(|etag| asked.fields.get("if-none-match") == etag);
    exchange.reply(if known { 304 } else { status }, &fields, content)
}

#[track_caller]
fn check(holm: &Holm, origin: &Origin, protocol: Protocol, rows: &[Row]) {
    let folder = format!("/{protocol:?}");
    for (number, (request, fields, reply, expected)) in rows.iter().enumerate() {
        let before = origin.log().len();
        let response = holm.ask(&ask_of(request, fields, reply, &folder).over(protocol));
        let show = format!("row {number}, {request} {fields} → {reply}, expected {expected}: {}", response.show());
        let (expected, content) = match expected.split_once(" =") {
            Some((expected, content)) => (expected, Some(content)),
            None => (*expected, None),
        };
        let mut words = expected.split_whitespace();
        assert_eq!(words.next(), Some(response.status.to_string().as_str()), "{show}");
        for word in words {
            let (word, there) = word.strip_prefix('!').map_or((word, true), |word| (word, false));
            let found = response.cache().split("; ").any(|parameter| parameter == word);
            assert_eq!(found, there, "`{word}`: {show}");
        }
        if let Some(content) = content {
            assert_eq!(response.text(), content, "{show}");
        }
        assert!(response.error.is_empty(), "{show}");
        assert_eq!(origin.log().len() > before, !reply.is_empty(), "asked of the origin: {show}");
        for hidden in ["surrogate-control", "cdn-cache-control", "holm-cache-control", "warning", "surrogate-key"] {
            assert!(!response.fields.has(hidden), "{hidden}: {show}");
        }
    }
}

fn ask_of(request: &str, fields: &str, reply: &str, folder: &str) -> Ask {
    let (method, target) = request.split_once(' ').expect("a method and a target");
    let ask = ask(method, format!("{folder}{target}")).field("x-reply", reply.replace('@', folder));
    let ask = fields.lines().filter_map(|line| line.split_once(": ")).fold(ask, |ask, (name, value)| match name {
        "content" => ask.body(value),
        name => ask.field(name, value),
    });
    if matches!(method, "POST" | "PUT" | "PATCH") && !fields.contains("content: ") { ask.body("x") } else { ask }
}

/// The rows over HTTP/1.1, and over HTTP/3.
#[track_caller]
fn check_all(rows: &[Row]) {
    let origin = Origin::start(scripted);
    let holm = Holm::before(origin.url());
    for protocol in [Protocol::Http1, Protocol::Http3] {
        check(&holm, &origin, protocol, rows);
    }
}

/// RFC 9110 §9.3.3.
#[test]
fn what_a_post_makes_its_target_to_be() {
    check_all(&[
        ("POST /a", "", "200|content-location: @/a|cache-control: max-age=60|=posted", "200 fwd=method stored =posted"),
        ("GET /a", "", "", "200 hit =posted"),
        ("HEAD /a", "", "", "200 hit ="),
        ("POST /a", "", "200|cache-control: max-age=60|=other", "200 fwd=method !stored =other"),
        ("GET /a", "", FRESH, "200 fwd=uri-miss detail=invalidated stored =new"),
        // The next one takes its place.
        ("POST /a", "", "200|content-location: @/a|cache-control: s-maxage=60|=third", "200 stored =third"),
        ("GET /a", "", "", "200 hit =third"),
        ("POST /b", "", "200|content-location: @/c|cache-control: max-age=60", "200 !stored"),
        ("GET /b", "", FRESH, "200 fwd=uri-miss"),
        ("GET /c", "", FRESH, "200 fwd=uri-miss"),
        ("POST /d", "", "200|content-location: @/d|last-modified: Mon, 01 Jan 2001 00:00:00 GMT", "200 !stored"),
        ("POST /d", "", "200|content-location: @/d|cache-control: max-age=60, no-store", "200 !stored"),
        ("POST /d", "", "200|content-location: @/d|cache-control: max-age=60, private", "200 !stored"),
        ("POST /d", "cache-control: no-store", "200|content-location: @/d|cache-control: max-age=60", "200 !stored"),
        ("POST /d", "authorization: x", "200|content-location: @/d|cache-control: max-age=60", "200 !stored"),
        ("POST /d", "", "400|content-location: @/d|cache-control: max-age=60", "400 !stored"),
        ("POST /d", "", "500|content-location: @/d|cache-control: max-age=60", "500 !stored"),
        ("POST /d", "", "303|location: @/e|content-location: @/d|cache-control: max-age=60", "303 !stored"),
        ("PUT /d", "", "200|content-location: @/d|cache-control: max-age=60", "200 fwd=method !stored"),
        ("GET /d", "", FRESH, "200 fwd=uri-miss =new"),
    ]);
}

/// RFC 9111 §4.4.
#[test]
fn what_unsafe_methods_change() {
    check_all(&[
        ("GET /a", "", FRESH, "200 stored"),
        ("POST /a", "", "204", "204 fwd=method"),
        ("GET /a", "", FRESH, "200 fwd=uri-miss detail=invalidated"),
        ("PUT /a", "", "201", "201 fwd=method"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("DELETE /a", "", "200", "200"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("PATCH /a", "", "302|location: http://other.example/b", "302"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("LOCK /a", "", "200", "200 fwd=method"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        // Safe ones, and errors.
        ("OPTIONS /a", "", "200", "200 fwd=method"),
        ("GET /a", "", "", "200 hit"),
        ("POST /a", "", "400", "400"),
        ("POST /a", "", "404", "404"),
        ("POST /a", "", "500", "500"),
        ("GET /a", "", "", "200 hit"),
        // Others of the same path.
        ("GET /a?x", "", FRESH, "200 stored"),
        ("POST /a", "", "204", "204"),
        ("GET /a?x", "", "", "200 hit"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("POST /a?x", "", "204", "204"),
        ("GET /a?x", "", FRESH, "200 detail=invalidated"),
        ("GET /a", "", "", "200 hit"),
        // What the response names.
        ("GET /b", "", FRESH, "200 stored"),
        ("GET /c?d", "", FRESH, "200 stored"),
        ("POST /x", "", "201|location: @/b", "201"),
        ("GET /b", "", FRESH, "200 detail=invalidated"),
        ("GET /c?d", "", "", "200 hit"),
        ("POST /x", "", "200|content-location: c?d", "200"),
        ("GET /c?d", "", FRESH, "200 detail=invalidated"),
        ("POST /x", "", "404|location: @/b", "404"),
        ("POST /x", "", "201|location: http://other.example@/b", "201"),
        ("POST /x", "", "201|location: https://127.0.0.1@/b", "201"),
        ("GET /x", "", "303|location: @/b", "303"),
        ("GET /b", "", "", "200 hit"),
        // Every variant.
        ("GET /v", "x-a: 1", "200|vary: x-a|cache-control: max-age=60", "200 stored"),
        ("GET /v", "x-a: 2", "200|vary: x-a|cache-control: max-age=60", "200 fwd=vary-miss"),
        ("POST /v", "", "204", "204"),
        ("GET /v", "x-a: 1", "200|vary: x-a|cache-control: max-age=60", "200 fwd=uri-miss"),
        ("GET /v", "x-a: 2", "200|vary: x-a|cache-control: max-age=60", "200 !hit"),
        // A QUERY's.
        ("QUERY /q", "content: 1", FRESH, "200 stored"),
        ("QUERY /q", "content: 1", "", "200 hit"),
        ("POST /q", "", "204", "204"),
        ("QUERY /q", "content: 1", FRESH, "200 detail=invalidated"),
        // Equivalent queries.
        ("GET /n?a&b", "", "200|no-vary-search: key-order|cache-control: max-age=60", "200 stored"),
        ("POST /n?b&a", "", "204", "204"),
        ("GET /n?a&b", "", FRESH, "200 !hit"),
    ]);
}

/// RFC 9875.
#[test]
fn groups() {
    let both = "200|cache-groups: \"a\", \"b\"|cache-control: max-age=60";
    check_all(&[
        ("GET /a", "", "200|cache-groups: \"a\"|cache-control: max-age=60", "200 stored"),
        ("GET /ab", "", "200|cache-groups: \"a\", \"b\"|cache-control: max-age=60", "200 stored"),
        ("GET /b", "", "200|cache-groups: \"b\";x|cache-control: max-age=60", "200 stored"),
        ("GET /none", "", "200|cache-groups: b|cache-control: max-age=60", "200 stored"),
        ("GET /x", "", "200|cache-group-invalidation: \"a\"", "200"),
        ("POST /x", "", "200|cache-group-invalidation: a", "200"),
        ("POST /x", "", "200|cache-group-invalidation: \"c\"", "200"),
        ("GET /a", "", "", "200 hit"),
        ("POST /x", "", "200|cache-group-invalidation: \"a\"", "200"),
        ("GET /b", "", "", "200 hit"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("GET /ab", "", both, "200 detail=invalidated"),
        ("POST /x", "", "200|cache-group-invalidation: \"c\", \"b\"", "200"),
        ("GET /a", "", "", "200 hit"),
        ("GET /none", "", "", "200 hit"),
        ("GET /b", "", FRESH, "200 detail=invalidated"),
        ("GET /ab", "", FRESH, "200 detail=invalidated"),
    ]);
}

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

/// What is under way when a change comes is from before it.
#[test]
fn what_was_under_way_at_a_change_is_not_stored() {
    let gate = Gate::new();
    let passing = gate.clone();
    let number = AtomicUsize::new(0);
    let origin = Origin::start(move |asked, exchange| {
        io::copy(exchange, &mut io::sink())?;
        if asked.method == "POST" {
            return exchange.reply(204, &[], "");
        }
        let number = number.fetch_add(1, Ordering::SeqCst);
        if asked.target.ends_with("?slow") && asked.fields.has("x-first") {
            passing.pass();
        }
        exchange.reply(200, &[("cache-control", "max-age=60"), ("vary", "x-a")], number.to_string())
    });
    let holm = Holm::before(origin.url());
    let kinds =
        [ask("GET", "/get?slow"), ask("QUERY", "/query?slow").body("1"), ask("GET", "/variant?slow").field("x-a", "1")];
    let targets = ["/get?slow", "/query?slow", "/variant?slow"];
    let first: Vec<_> = kinds.iter().map(|ask| holm.curl(&ask.clone().field("x-first", "1")).start()).collect();
    for target in targets {
        origin.wait_asked(target, 1);
        holm.ask(&ask("POST", target).body("x")).expect(204);
    }
    let is_new = |response: &Response| {
        let number: usize = response.text().parse().expect("a number");
        assert!(number >= targets.len(), "from before the change: {}", response.show());
    };
    // Who asks after the change does not wait for what was before it.
    kinds.iter().for_each(|ask| is_new(&holm.ask(ask).expect(200).expect_miss("stored")));
    gate.open();
    for curl in first {
        curl.finish().expect(200);
    }
    kinds.iter().for_each(|ask| is_new(&holm.ask(ask).expect_hit()));
}

/// RFC 9111 §4.3.2, §4.3.5.
#[test]
fn conditions_and_heads() {
    let origin = Origin::start(scripted);
    let holm = Holm::before(origin.url());
    let rows: &[Row] = &[
        ("GET /m", "", "200|etag: \"a\"|cache-control: max-age=60|=a", "200 stored"),
        ("GET /m", "if-match: \"b\"", "412", "412 fwd=bypass detail=precondition"),
        ("GET /m", "if-unmodified-since: Mon, 01 Jan 2001 00:00:00 GMT", "412", "412 fwd=bypass detail=precondition"),
        ("HEAD /m", "if-match: \"a\"", "200", "200 fwd=bypass"),
        ("GET /m", "", "", "200 hit =a"),
        // A HEAD renews what is stored …
        ("GET /h", "", "200|etag: \"a\"|cache-control: max-age=0|=old", "200 stored"),
        ("HEAD /h", "", "304|etag: \"a\"|cache-control: max-age=60|x-b: 1", "200 fwd=stale fwd-status=304 ="),
        ("GET /h", "", "", "200 hit =old"),
        ("GET /i", "", "200|etag: \"a\"|cache-control: max-age=0|content-type: text/a|=old", "200 stored"),
        ("HEAD /i", "", "200|etag: \"a\"|cache-control: max-age=60|=new", "200 fwd=stale ="),
        ("GET /i", "", "", "200 hit =old"),
        // … or tells that it is another one.
        ("GET /j", "", "200|etag: \"a\"|cache-control: max-age=0|=old", "200 stored"),
        ("HEAD /j", "", "200|etag: \"b\"|cache-control: max-age=60|=new", "200 fwd=stale fwd-status=200 ="),
        ("GET /j", "", "200|etag: \"b\"|cache-control: max-age=60|=new", "200 !hit =new"),
        ("GET /k", "", "200|etag: \"a\"|cache-control: max-age=0, stale-if-error=60|=old", "200 stored"),
        ("HEAD /k", "", "503", "200 fwd=stale fwd-status=503 detail=stale-if-error !hit ="),
        // A cold one stores nothing.
        ("HEAD /cold", "", FRESH, "200 fwd=uri-miss !stored detail=head"),
        ("GET /cold", "", FRESH, "200 fwd=uri-miss stored =new"),
    ];
    for protocol in [Protocol::Http1, Protocol::Http3] {
        check(&holm, &origin, protocol, rows);
    }
    let methods = |target: &str| -> Vec<_> {
        origin.log().into_iter().filter(|asked| asked.target == target).map(|asked| asked.method).collect()
    };
    for path in ["/h", "/i", "/k"] {
        assert_eq!(methods(&format!("/Http1{path}")), ["GET", "HEAD"], "{path}");
    }
    assert_eq!(methods("/Http1/j"), ["GET", "HEAD", "GET"]);
    assert_eq!(origin.log().iter().filter(|asked| asked.fields.get("if-match") == "\"b\"").count(), 2);
}

/// RFC 5861, and what `Cache-Status` says of it.
#[test]
fn stale_responses() {
    let error = "200|etag: \"a\"|cache-control: max-age=0, stale-if-error=60|=old";
    let origin = Origin::start(scripted);
    let holm = Holm::before(origin.url());
    check(
        &holm,
        &origin,
        Protocol::Http1,
        &[
            ("GET /e", "", error, "200 stored"),
            ("GET /e", "", "503|=bad", "200 fwd=stale fwd-status=503 detail=stale-if-error !hit !stored =old"),
            ("GET /e", "", "404|=gone", "404 fwd=stale fwd-status=404 =gone"),
            ("GET /e2", "", error, "200 stored"),
            ("GET /e2", "range: bytes=0-0", "500", "206 fwd=stale fwd-status=500 detail=stale-if-error =o"),
            ("GET /e2", "if-none-match: \"a\"", "500", "304 fwd=stale detail=stale-if-error"),
            ("GET /e2", "cache-control: stale-if-error=0", "500|=bad", "500 fwd=stale =bad"),
            (
                "GET /never",
                "",
                "200|etag: \"a\"|cache-control: max-age=0, must-revalidate, stale-if-error=60",
                "200 stored",
            ),
            ("GET /never", "", "500|=bad", "500 fwd=stale !hit =bad"),
            ("GET /max", "", "200|etag: \"a\"|cache-control: max-age=0|=old", "200 stored"),
        ],
    );
    // A renewal behind the back follows: whether the origin has been asked yet is not said.
    let stale = holm.ask(&get("/Http1/max").field("cache-control", "max-stale").field("x-reply", "500")).expect_hit();
    assert!(stale.cache().ends_with("detail=max-stale") && stale.text() == "old", "{}", stale.show());
    // RFC 5861 §3: behind the back of whoever asks, a HEAD too.
    let renewed = |request: &str| {
        let path = format!("/while-{request}");
        let old = "200|etag: \"a\"|cache-control: max-age=0, stale-while-revalidate=60|=old";
        let new = "200|etag: \"b\"|cache-control: max-age=60|=new";
        holm.ask(&get(&path).field("x-reply", old)).expect(200).expect_miss("stored");
        let asking = || holm.ask(&ask(request, &path).field("x-reply", new)).expect(200).expect_hit();
        let first = asking();
        assert!(first.cache().ends_with("detail=stale-while-revalidate"), "{}", first.show());
        wait_for("the new one", || asking().fields.get("etag") == "\"b\"");
        assert_eq!(holm.ask(&get(&path)).expect_hit().text(), "new");
    };
    renewed("GET");
    renewed("HEAD");
}

/// What the route rules, and that each response it changes says so.
#[test]
fn routes() {
    let origin = Origin::start(scripted);
    let route = |name: &str, cache: &str| {
        format!("[[routes]]\npath = \"/Http1/{name}/*\"\norigin = \"web\"\ncache = {cache}\n")
    };
    let routes: String = [
        ("ttl", "{ ttl = \"60s\" }"),
        ("default", "{ default_ttl = \"60s\" }"),
        ("min", "{ min_ttl = \"60s\" }"),
        ("max", "{ max_ttl = \"60s\" }"),
        ("negative", "{ negative_ttl = { 404 = \"50s\", 500 = \"40s\" }, negative_max = \"55s\" }"),
        ("exact", "{ heuristic = false }"),
        ("off", "false"),
        ("language", "{ languages = [\"en\", \"de\"] }"),
        ("key", "{ key = { query = [\"a\"], headers = [\"x-k\"], cookies = [\"c\"] } }"),
        ("sort", "{ key = { sort = true } }"),
        ("sie", "{ stale_if_error = \"1h\" }"),
    ]
    .iter()
    .map(|(name, cache)| route(name, cache))
    .collect();
    let origins = format!("[origins.web]\nendpoints = [\"{}\"]\n", origin.url());
    let holm = Holm::with_manifest(&format!("name = \"shop\"\nhosts = [\"*\"]\n{routes}{origins}"));
    let modified = "200|last-modified: Mon, 01 Jan 2001 00:00:00 GMT";
    check(
        &holm,
        &origin,
        Protocol::Http1,
        &[
            ("GET /ttl/", "", "200|cache-control: max-age=5", "200 stored detail=route-ttl"),
            ("GET /ttl/", "", "", "200 hit detail=route-ttl"),
            ("GET /ttl/?1", "", "200", "200 stored detail=route-ttl"),
            ("GET /ttl/?2", "", "200|cache-control: no-store", "200 !stored detail=no-store"),
            ("GET /ttl/?3", "", "200|cache-control: private", "200 !stored detail=private"),
            ("GET /default/", "", "200", "200 stored detail=route-default-ttl"),
            ("GET /default/", "", "", "200 hit detail=route-default-ttl"),
            ("GET /default/?1", "", "200|cache-control: max-age=9", "200 stored !detail=route-default-ttl"),
            ("GET /default/?2", "", "201", "201 !stored"),
            ("GET /min/", "", "200|cache-control: max-age=0", "200 stored detail=route-min-ttl"),
            ("GET /min/", "", "", "200 hit detail=route-min-ttl"),
            ("GET /min/?1", "", "200|cache-control: max-age=90", "200 stored !detail=route-min-ttl"),
            ("GET /max/", "", "200|cache-control: max-age=90", "200 stored detail=route-max-ttl"),
            ("GET /max/", "", "", "200 hit detail=route-max-ttl"),
            ("GET /negative/", "", "404", "404 stored detail=route-negative-ttl"),
            ("GET /negative/", "", "", "404 hit detail=route-negative-ttl"),
            ("GET /negative/?1", "", "500", "500 stored detail=route-negative-ttl"),
            ("GET /negative/?2", "", "404|cache-control: max-age=90", "404 stored detail=route-negative-max"),
            ("GET /negative/?3", "", "502", "502 !stored"),
            ("GET /negative/?4", "", "200|cache-control: max-age=90", "200 stored !detail=route-negative-max"),
            ("GET /exact/", "", modified, "200 fwd=uri-miss !stored detail=no-freshness"),
            ("GET /off/", "", FRESH, "200 fwd=bypass detail=route"),
            ("GET /off/", "", FRESH, "200 fwd=bypass detail=route"),
            (
                "GET /language/",
                "accept-language: de-AT, en;q=0.5",
                "200|vary: accept-language|cache-control: max-age=60|=de",
                "200 stored",
            ),
            ("GET /language/", "accept-language: DE", "", "200 hit =de"),
            (
                "GET /language/",
                "accept-language: fr",
                "200|vary: accept-language|cache-control: max-age=60|=en",
                "200 fwd=vary-miss =en",
            ),
            ("GET /language/", "accept-language: en, fr;q=0.1", "", "200 hit =en"),
            ("GET /key/?a=1&b=2", "", FRESH, "200 stored"),
            ("GET /key/?a=1&b=3", "", "", "200 hit"),
            ("GET /key/?a=2", "", FRESH, "200 !hit"),
            ("GET /key/?a=1", "x-k: 1", FRESH, "200 !hit"),
            ("GET /key/?a=1", "cookie: d=1; c=1", FRESH, "200 !hit"),
            ("GET /key/?a=1", "cookie: c=1; d=2", "", "200 hit"),
            ("POST /key/?a=1&b=9", "", "204", "204"),
            ("GET /key/?a=1&b=2", "", FRESH, "200 detail=invalidated"),
            ("GET /key/?a=1", "cookie: c=1", FRESH, "200 detail=invalidated"),
            ("GET /sort/?b&a", "", FRESH, "200 stored"),
            ("GET /sort/?a&b", "", "", "200 hit"),
            ("POST /sort/?a&b", "", "204", "204"),
            ("GET /sort/?b&a", "", FRESH, "200 detail=invalidated"),
            ("GET /sie/", "", "200|etag: \"a\"|cache-control: max-age=0|=old", "200 stored"),
            ("GET /sie/", "", "503", "200 fwd=stale fwd-status=503 detail=stale-if-error =old"),
        ],
    );
}

/// RFC 9213. That no client is told, the check looks at in every row.
#[test]
fn targeted_fields() {
    check_all(&[
        ("GET /1", "", "200|surrogate-control: max-age=60|cache-control: no-store", "200 stored"),
        ("GET /1", "", "", "200 hit"),
        ("GET /2", "", "200|surrogate-control: no-store|cache-control: max-age=60", "200 !stored detail=no-store"),
        (
            "GET /3",
            "",
            "200|cdn-cache-control: max-age=60|surrogate-control: no-store|cache-control: no-store",
            "200 stored",
        ),
        ("GET /3", "", "", "200 hit"),
        (
            "GET /4",
            "",
            "200|holm-cache-control: no-store|cdn-cache-control: max-age=60|cache-control: max-age=60",
            "200 !stored",
        ),
        ("GET /5", "", "200|holm-cache-control: max-age=60|cdn-cache-control: no-store", "200 stored"),
        ("GET /5", "", "", "200 hit"),
        // What can't be read is not there.
        ("GET /6", "", "200|cdn-cache-control: max-age=60,,|cache-control: no-store", "200 !stored detail=no-store"),
        ("GET /7", "", "200|cdn-cache-control: max-age=0|expires: Sun, 01 Jan 2096 00:00:00 GMT", "200 !stored"),
        (
            "POST /8",
            "",
            "200|surrogate-control: max-age=60|surrogate-key: a|cdn-cache-control: max-age=9",
            "200 !stored",
        ),
        ("GET /9", "", "404|surrogate-control: max-age=60|holm-cache-control: no-store", "404 !stored"),
    ]);
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

/// RFC 9111 §4.2.3: `Age` counts from the origin on, each delay once.
#[test]
fn ages() {
    let gate = Gate::new();
    let passing = gate.clone();
    let date = "Mon, 01 Jan 2001 00:00:00 GMT";
    let origin = Origin::start(move |asked, exchange| match asked.path() {
        "/slow" => {
            passing.pass();
            ok(exchange, "x")
        }
        "/aged" => exchange.reply(200, &[("cache-control", "max-age=200"), ("age", "100")], "x"),
        "/dated" => exchange.reply(200, &[("cache-control", "max-age=60"), ("date", date), ("age", "1")], "x"),
        "/confirmed" => {
            let known = asked.fields.has("if-none-match");
            let age = if known { "0" } else { "50" };
            let fields = [("cache-control", "max-age=10"), ("etag", "\"a\""), ("age", age)];
            exchange.reply(if known { 304 } else { 200 }, &fields, "x")
        }
        _ => exchange.reply(404, &[], ""),
    });
    let holm = Holm::before(origin.url());
    let age = |response: &Response| -> u64 {
        assert_eq!(response.fields.all("age").count(), 1, "{}", response.show());
        response.fields.get("age").parse().expect("a number")
    };
    let begun = Instant::now();
    let slow = holm.curl(&get("/slow")).start();
    origin.wait_asked("/slow", 1);
    // Time itself is under test.
    thread::sleep(Duration::from_millis(1300));
    gate.open();
    let slow = slow.finish().expect(200);
    let most = begun.elapsed().as_secs();
    assert!((1..=most).contains(&age(&slow)), "{most}: {}", slow.show());
    let again = holm.ask(&get("/slow")).expect_hit();
    assert!((1..=begun.elapsed().as_secs()).contains(&age(&again)), "{}", again.show());
    for hit in [false, true] {
        let aged = holm.ask(&get("/aged")).expect(200);
        assert!(aged.is_hit() == hit && (100..110).contains(&age(&aged)), "{}", aged.show());
        let dated = holm.ask(&get("/dated")).expect(200);
        assert_eq!(dated.fields.all("date").collect::<Vec<_>>(), [date], "{}", dated.show());
    }
    assert_eq!(holm.ask(&get("/confirmed")).expect(200).expect_miss("stored").fields.get("age"), "50");
    let confirmed = holm.ask(&get("/confirmed")).expect(200).expect_miss("fwd-status=304");
    assert!(age(&confirmed) < 5, "{}", confirmed.show());
    holm.ask(&get("/confirmed")).expect_hit();
}

/// RFC 9211 on whatever is sent, over every protocol.
#[test]
fn every_response_says_what_the_cache_did() {
    let origin = Origin::start(|asked, exchange| match asked.path() {
        "/broken" => Err(holm_e2e::broken_off()),
        _ => scripted(asked, exchange),
    });
    let holm = Holm::before(origin.url());
    let gone = Holm::before(format!("http://127.0.0.1:{}", holm_e2e::unused_port()));
    for protocol in Protocol::ALL {
        let check = |holm: &Holm, ask: Ask, status: u16, words: &str| {
            let response = holm.ask(&ask.over(protocol));
            let show = response.show();
            assert_eq!(response.status, status, "{show}");
            assert_eq!(response.cache(), format!("holm-edge; {words}"), "{show}");
        };
        check(&holm, ask("TRACE", "/"), 405, "detail=method");
        check(&holm, get("/a/..%2fb"), 400, "detail=target-invalid");
        check(&holm, get("/x").field("cache-control", "only-if-cached"), 504, "detail=only-if-cached");
        check(&holm, get("/x").field("cdn-loop", "holm,holm,holm"), 508, "fwd=uri-miss; detail=loop");
        check(
            &holm,
            get(format!("/{protocol:?}")).field("x-reply", "500"),
            500,
            "fwd=uri-miss; fwd-status=500; detail=status",
        );
        check(
            &holm,
            ask("POST", "/p").body("x").field("x-reply", "409"),
            409,
            "fwd=method; fwd-status=409; detail=method",
        );
        let failed = holm.ask(&get(format!("/broken?{protocol:?}")).over(protocol)).expect(502);
        assert!(failed.cache().starts_with("holm-edge; fwd=uri-miss; detail="), "{}", failed.show());
        let failed = gone.ask(&head(format!("/{protocol:?}")).over(protocol)).expect(502);
        assert!(failed.cache().starts_with("holm-edge; fwd=uri-miss; detail="), "{}", failed.show());
    }
}

/// Concurrent readers of what comes, goes and is changed: each is given one whole version, and the right URL's.
#[test]
fn no_reader_is_given_wrong_bytes() {
    const SIZES: [u64; 6] = [0, 1, 1000, 65_536, 300_000, 2_000_000];
    let version = Arc::new(AtomicUsize::new(0));
    let current = Arc::clone(&version);
    // Content of 64 bytes more for each version: the length tells which.
    let size = |index: usize, version: usize| SIZES[index] + 64 * version as u64;
    let origin = Origin::start(move |asked, exchange| {
        let index: usize = asked.path().trim_start_matches('/').parse().expect("a number");
        let version = current.load(Ordering::SeqCst);
        let (etag, content) = (format!("\"{version}\""), Pattern::new(size(index, version)).bytes());
        exchange.reply(200, &[("cache-control", "max-age=60"), ("etag", &etag), ("surrogate-key", "all")], content)
    });
    let holm = Holm::before(origin.url());
    let digests: Vec<Vec<String>> = (0..SIZES.len())
        .map(|index| (0..4).map(|version| sha256(&Pattern::new(size(index, version)).bytes())).collect())
        .collect();
    for next in 1..4 {
        let reading: Vec<_> = (0..18)
            .map(|reader| {
                let index = reader % SIZES.len();
                let ask = get(format!("/{index}")).over(Protocol::ALL[reader / 2 % 3]);
                (index, holm.curl(&ask).start())
            })
            .collect();
        version.store(next, Ordering::SeqCst);
        holm.cli("purge --tag all").ok("1 tag purged");
        for (index, curl) in reading {
            let response = curl.finish().expect(200);
            let version: usize = response.fields.get("etag").trim_matches('"').parse().expect("a version");
            assert_eq!(sha256(&response.body), digests[index][version], "{}", response.show());
        }
    }
    for (index, digests) in digests.iter().enumerate() {
        let response = holm.ask(&get(format!("/{index}"))).expect(200);
        assert_eq!(sha256(&response.body), digests[3], "what was purged: {}", response.show());
    }
}
