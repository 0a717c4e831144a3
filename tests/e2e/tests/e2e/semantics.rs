//! Semantics: tables of exchanges through both tiers. Each row says what a client sends, what the origin would answer, and
//! what the client is told.

mod changes;
mod selection;

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

/// A node whose routes have rules, each below a folder of its own.
fn ruled(origin: &Origin) -> Holm {
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
    Holm::with_manifest(&format!("name = \"shop\"\nhosts = [\"*\"]\n{routes}{origins}"))
}

/// What the route rules, and that each response it changes says so.
#[test]
fn routes() {
    let origin = Origin::start(scripted);
    let holm = ruled(&origin);
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
