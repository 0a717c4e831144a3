//! Origins that fail: what clients are told, and where else a request is tried.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use holm_e2e::Process;
use holm_e2e::{Gate, Holm, Origin, Pattern, Protocol, Response, ask, broken_off, built_command, get, ok, unused_port};

/// A site in front of these endpoints, with short limits.
fn before(endpoints: &[String], more: &str) -> Holm {
    Holm::with_manifest(&format!(
        "name = \"shop\"\nhosts = [\"*\"]\n[[routes]]\npath = \"/*\"\norigin = \"web\"\n[origins.web]\n\
         endpoints = {endpoints:?}\ntimeout = {{ connect = \"500ms\", first_byte = \"500ms\", idle = \"500ms\" }}\n{more}"
    ))
}

fn nobody() -> String {
    format!("http://127.0.0.1:{}", unused_port())
}

fn good() -> Origin {
    Origin::start(|_, exchange| {
        let content = exchange.content()?;
        exchange.reply(200, &[("cache-control", "no-store")], format!("good {}", content.len()))
    })
}

#[track_caller]
fn check_told(response: &Response, status: u16, reason: &str) {
    assert_eq!((response.status, response.error.as_str()), (status, ""), "{}", response.show());
    assert!(response.cache().ends_with(&format!("detail={reason}")), "{reason}: {}", response.show());
    assert_eq!(response.fields.get("cache-control"), "no-store", "{}", response.show());
}

#[test]
fn an_origin_that_is_not_there() {
    let holm = before(&[nobody()], "");
    for protocol in Protocol::ALL {
        check_told(&holm.ask(&get("/").over(protocol)), 502, "connect-refused");
        check_told(&holm.ask(&ask("POST", "/").body("x").over(protocol)), 502, "connect-refused");
    }
}

#[test]
fn another_endpoint_is_tried_where_that_does_no_harm() {
    let origin = good();
    let holm = before(&[nobody(), origin.url()], "");
    for number in 0..6 {
        let response = holm.ask(&get(format!("/{number}"))).expect(200);
        assert_eq!(response.text(), "good 0");
        // Nothing of it was sent: content can go elsewhere as well.
        let response = holm.ask(&ask("POST", format!("/{number}")).body("hello")).expect(200);
        assert_eq!(response.text(), "good 5");
    }
}

#[test]
fn what_may_have_been_done_is_not_done_twice() {
    // The endpoint takes the request and ends the connection without a word.
    let breaking = Origin::start(|_, exchange| {
        exchange.content()?;
        Err(broken_off())
    });
    let origin = good();
    let holm = before(&[breaking.url(), origin.url()], "");
    let mut failed = 0;
    for number in 0..6 {
        holm.ask(&get(format!("/get/{number}"))).expect(200);
        let path = format!("/post/{number}");
        let response = holm.ask(&ask("POST", &path).body("hello"));
        if breaking.asked(&path) > 0 {
            assert_eq!((response.status, origin.asked(&path)), (502, 0), "{}", response.show());
            failed += 1;
        } else {
            assert_eq!(response.status, 200, "{}", response.show());
        }
    }
    assert!(failed > 0, "no request began at the endpoint that breaks");
}

#[test]
fn an_origin_that_never_answers() {
    let gate = Gate::new();
    let passing = gate.clone();
    let silent = Origin::start(move |_, exchange| {
        passing.pass();
        ok(exchange, "late")
    });
    let holm = before(&[silent.url()], "");
    for protocol in Protocol::VERSIONS {
        let begun = Instant::now();
        check_told(&holm.ask(&get(format!("/{protocol:?}")).over(protocol)), 504, "first-byte-timeout");
        check_told(&holm.ask(&ask("POST", "/").body("x").over(protocol)), 504, "first-byte-timeout");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    gate.open();
}

#[test]
fn an_endpoint_that_never_answers_is_not_the_last_word() {
    let gate = Gate::new();
    let passing = gate.clone();
    let silent = Origin::start(move |_, exchange| {
        passing.pass();
        ok(exchange, "late")
    });
    let origin = good();
    let holm = before(&[silent.url(), origin.url()], "");
    for number in 0..4 {
        // A GET may be asked twice; a POST that was sent may not.
        holm.ask(&get(format!("/get/{number}"))).expect(200);
        let path = format!("/post/{number}");
        let response = holm.ask(&ask("POST", &path).body("x"));
        assert_eq!(response.status, if silent.asked(&path) > 0 { 504 } else { 200 }, "{}", response.show());
    }
    gate.open();
}

#[test]
fn an_origin_that_falls_silent_in_mid_content() {
    let gate = Gate::new();
    let passing = gate.clone();
    let silent = Origin::start(move |asked, exchange| {
        let cache = if asked.path() == "/stored" { "max-age=60" } else { "no-store" };
        exchange.head(200, &[("content-length", "100000"), ("cache-control", cache)])?;
        exchange.write_all(&[b'x'; 50_000])?;
        passing.pass();
        Ok(())
    });
    let holm = before(&[silent.url()], "");
    for path in ["/stored", "/passed"] {
        for protocol in Protocol::ALL {
            let response = holm.ask(&get(format!("{path}?{protocol:?}")).over(protocol));
            assert!(!response.error.is_empty() || response.status == 502, "{path}: {}", response.show());
        }
    }
    gate.open();
}

#[test]
fn a_connection_that_nobody_accepts() {
    // The kernel completes so many connections, and then lets the others wait.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let holm = before(&[format!("http://{}", listener.local_addr().expect("an address"))], "");
    check_told(&holm.ask(&get("/")), 504, "first-byte-timeout");
}

#[test]
fn answers_that_are_none() {
    let origin = Origin::start(|asked, exchange| {
        let long = "y".repeat(200_000);
        match asked.path() {
            "/garbage" => exchange.write_all(b"\x16\x03\x01 what?\r\n\r\n")?,
            "/status" => exchange.write_all(b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n")?,
            "/large" => exchange.head(200, &[("x", &long)])?,
            "/lengths" => exchange.head(200, &[("content-length", "1"), ("content-length", "2")])?,
            "/half" => exchange.write_all(b"HTTP/1.1 200 OK\r\ncontent-le")?,
            _ => {}
        }
        Err(broken_off())
    });
    let holm = before(&[origin.url()], "");
    for protocol in Protocol::VERSIONS {
        for path in ["/garbage", "/status", "/large", "/lengths", "/half", "/nothing"] {
            let response = holm.ask(&get(path).over(protocol));
            assert_eq!((response.status, response.error.as_str()), (502, ""), "{path}: {}", response.show());
            assert!(response.cache().contains("detail="), "{path}: {}", response.show());
        }
    }
    assert!(!holm.process.log().contains("panicked"), "{}", holm.process.log());
}

#[test]
fn connections_are_used_again() {
    let origin = good();
    let holm = Holm::up().args(&["--workers", "1", "--origin", &origin.url()]).start();
    for number in 0..20 {
        holm.ask(&get(format!("/{number}"))).expect(200);
    }
    assert!(origin.connections() <= 2, "{} connections for 20 requests", origin.connections());
}

#[test]
fn a_kept_connection_that_has_closed_is_no_failure() {
    // It says nothing of closing, and closes after each answer.
    let origin = Origin::start(|_, exchange| {
        exchange.reply(200, &[("cache-control", "no-store")], "x")?;
        Err(broken_off())
    });
    let holm = Holm::before(origin.url());
    for number in 0..20 {
        holm.ask(&get(format!("/{number}"))).expect(200);
    }
}

#[test]
fn endpoints_take_turns() {
    let (one, two) = (good(), good());
    let holm = before(&[one.url(), two.url()], "");
    for number in 0..10 {
        holm.ask(&get(format!("/{number}"))).expect(200);
    }
    assert_eq!((one.log().len(), two.log().len()), (5, 5));
}

#[test]
fn an_origin_over_http2_in_the_clear() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = built_command("holm-example-origin");
    let mut process = Process::start("origin", command.args(["--name", "h2c"]), &dir.path().join("log"));
    let ready: serde_json::Value = serde_json::from_str(&process.line()).expect("JSON");
    let url = ready["url"].as_str().expect("a URL").replace("http://", "h2c://");
    let holm = before(&[url], "");
    for protocol in Protocol::VERSIONS {
        let response = holm.ask(&get("/x?size=1000000").over(protocol)).expect(200);
        assert_eq!(
            (response.body.len(), response.fields.get("via")),
            (1_000_000, "2 holm-shield"),
            "{}",
            response.show()
        );
        let content = Pattern::new(1_000_000).bytes();
        let response = holm.ask(&ask("POST", "/x").body(content.clone()).over(protocol)).expect(200);
        assert!(response.body == content, "{}", response.show());
    }
    // Many at once share a connection.
    let curls: Vec<_> = (0..20).map(|n| holm.curl(&get(format!("/{n}?delay=200"))).start()).collect();
    for curl in curls {
        curl.finish().expect(200);
    }
}
