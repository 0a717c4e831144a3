//! Fills: many who ask for the same at once, clients that leave, origins that break off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holm_e2e::{Gate, Holm, Origin, Pattern, Protocol, Raw, Response, broken_off, get, ok, wait_for};

const MANY: usize = 100;

#[test]
fn a_hundred_first_requests_make_one_fetch() {
    let gate = Gate::new();
    let passing = gate.clone();
    let origin = Origin::start(move |_, exchange| {
        passing.pass();
        ok(exchange, "once")
    });
    let holm = Holm::before(origin.url());
    // Each on a connection of its own, and all of them there before the origin answers.
    let request = format!("GET /first HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", holm.http());
    let clients: Vec<Raw> = (0..MANY).map(|_| holm.raw().send(&request)).collect();
    wait_for("all connections", || holm.metric("holm_connections") >= MANY as f64);
    origin.wait_asked("/first", 1);
    gate.open();
    let answers: Vec<String> = clients.into_iter().map(Raw::until_closed).collect();
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200") && answer.ends_with("once")), "{answers:?}");
    let collapsed = answers.iter().filter(|answer| answer.contains("; collapsed")).count();
    assert!(collapsed >= MANY * 9 / 10, "{collapsed} shared the fetch: {}", answers[1]);
    assert_eq!(origin.asked("/first"), 1);
}

#[test]
fn curls_and_http3_share_a_fetch() {
    let gate = Gate::new();
    let passing = gate.clone();
    let content = Pattern::new(200_000).bytes();
    let told = content.clone();
    let origin = Origin::start(move |asked, exchange| {
        if asked.target == "/first" {
            passing.pass();
        }
        ok(exchange, &told)
    });
    let holm = Holm::before(origin.url());
    let mut h3 = holm.h3();
    let sent: Vec<_> = (0..MANY / 2).map(|_| h3.send(&get("/first").over(Protocol::Http3))).collect();
    // One that was sent later on the same connection is answered: those before it are under way.
    h3.run(&get("/other").over(Protocol::Http3)).expect(200);
    let curls: Vec<_> = (0..10).map(|_| holm.curl(&get("/first").over(Protocol::Http2)).start()).collect();
    wait_for("all connections", || holm.metric("holm_connections") >= 11.0);
    gate.open();
    let over_h3 = sent.into_iter().map(|sent| h3.receive(sent));
    let all: Vec<Response> = over_h3.chain(curls.into_iter().map(|curl| curl.finish())).collect();
    for response in all {
        let response = response.expect(200);
        assert!(response.body == content, "{}", response.show());
    }
    assert_eq!(origin.asked("/first"), 1);
}

#[test]
fn what_cannot_be_shared_does_not_queue() {
    let gate = Gate::new();
    let passing = gate.clone();
    let fetch = AtomicUsize::new(0);
    let origin = Origin::start(move |_, exchange| {
        let number = fetch.fetch_add(1, Ordering::SeqCst);
        if number > 0 {
            passing.pass();
        }
        exchange.reply(200, &[("cache-control", "no-store")], format!("answer {number}"))
    });
    let holm = Holm::before(origin.url());
    holm.ask(&get("/")).expect(200).expect_miss("detail=no-store");
    // Known to be unstorable: every request reaches the origin while none is answered.
    let curls: Vec<_> = (0..20).map(|_| holm.curl(&get("/")).start()).collect();
    origin.wait_asked("/", 21);
    gate.open();
    let mut answers: Vec<_> =
        curls.into_iter().map(|curl| curl.finish().expect(200).expect_miss("fwd=miss").text()).collect();
    answers.sort();
    answers.dedup();
    assert_eq!(answers.len(), 20, "nobody was given another one's: {answers:?}");
}

#[test]
fn those_who_waited_for_what_cannot_be_shared_are_released_at_once() {
    let (head, body) = (Gate::new(), Gate::new());
    let (heads, bodies) = (head.clone(), body.clone());
    let fetch = AtomicUsize::new(0);
    let origin = Origin::start(move |_, exchange| {
        if fetch.fetch_add(1, Ordering::SeqCst) == 0 {
            heads.pass();
            exchange.head(200, &[("content-length", "6"), ("cache-control", "private")])?;
            bodies.pass();
            return std::io::Write::write_all(exchange, b"leader");
        }
        exchange.reply(200, &[("cache-control", "private")], "other")
    });
    let holm = Holm::before(origin.url());
    let leader = holm.curl(&get("/")).start();
    origin.wait_asked("/", 1);
    let waiting: Vec<_> = (0..10).map(|_| holm.curl(&get("/")).start()).collect();
    wait_for("all connections", || holm.metric("holm_connections") >= 11.0);
    assert_eq!(origin.asked("/"), 1, "they wait");
    head.open();
    // The leader's content is not here, and theirs is.
    for curl in waiting {
        assert_eq!(curl.finish().expect(200).text(), "other");
    }
    body.open();
    assert_eq!(leader.finish().expect(200).text(), "leader");
}

#[test]
fn a_client_that_leaves_ruins_nothing_for_the_rest() {
    let gate = Gate::new();
    let passing = gate.clone();
    let content = Pattern::new(500_000).bytes();
    let told = content.clone();
    let origin = Origin::start(move |_, exchange| {
        exchange.head(200, &[("content-length", "500000"), ("cache-control", "max-age=60")])?;
        std::io::Write::write_all(exchange, &told[..100_000])?;
        passing.pass();
        std::io::Write::write_all(exchange, &told[100_000..])
    });
    let holm = Holm::before(origin.url());
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let path = format!("/{protocol:?}");
        let mut first = holm.curl(&get(&path).over(protocol)).piped().start();
        std::io::Read::read_exact(&mut first.stdout(), &mut [0; 16]).expect("the beginning");
        let second = holm.curl(&get(&path).over(protocol)).start();
        drop(first);
        gate.open();
        let response = second.finish().expect(200);
        assert!(response.body == content, "{}", response.show());
        let response = holm.ask(&get(&path).over(protocol)).expect_hit();
        assert!(response.body == content, "{}", response.show());
        assert_eq!(origin.asked(&path), 1);
    }
}

#[test]
fn content_arrives_while_the_origin_still_sends() {
    let gate = Gate::new();
    let passing = gate.clone();
    let origin = Origin::start(move |asked, exchange| {
        let cache = if asked.path() == "/stored" { "max-age=60" } else { "no-store" };
        exchange.head(200, &[("transfer-encoding", "chunked"), ("cache-control", cache)])?;
        exchange.chunk("first\n")?;
        passing.pass();
        exchange.chunk("second\n")?;
        exchange.end_chunks(&[])
    });
    let holm = Holm::before(origin.url());
    let mut waiting = Vec::new();
    for path in ["/stored", "/passed"] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut curl = holm.curl(&get(format!("{path}?{protocol:?}")).over(protocol)).piped().start();
            let mut stdout = curl.stdout();
            let mut first = [0; 6];
            std::io::Read::read_exact(&mut stdout, &mut first).expect("the first piece");
            assert_eq!(&first, b"first\n");
            waiting.push((curl, stdout));
        }
    }
    gate.open();
    for (curl, mut stdout) in waiting {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut rest).expect("the rest");
        assert_eq!(rest, "second\n");
        curl.finish().expect(200);
    }
}

/// How an origin breaks off.
const BREAKS: [(&str, &[(&str, &str)]); 4] = [
    ("/length/stored", &[("content-length", "100000"), ("cache-control", "max-age=60")]),
    ("/length/passed", &[("content-length", "100000"), ("cache-control", "no-store")]),
    ("/chunks/stored", &[("transfer-encoding", "chunked"), ("cache-control", "max-age=60")]),
    ("/chunks/passed", &[("transfer-encoding", "chunked"), ("cache-control", "no-store")]),
];

#[test]
fn an_origin_that_breaks_off_is_never_taken_for_one_that_has_ended() {
    let broken = Arc::new(AtomicBool::new(true));
    let breaks = Arc::clone(&broken);
    let content = Pattern::new(100_000).bytes();
    let told = content.clone();
    let origin = Origin::start(move |asked, exchange| {
        let (_, fields) = BREAKS.iter().find(|(path, _)| *path == asked.path()).expect("one of these");
        exchange.head(200, fields)?;
        let part = if breaks.load(Ordering::SeqCst) { &told[..50_000] } else { &told[..] };
        if asked.path().starts_with("/chunks") {
            exchange.chunk(part)?;
        } else {
            std::io::Write::write_all(exchange, part)?;
        }
        if breaks.load(Ordering::SeqCst) {
            return Err(broken_off());
        }
        if asked.path().starts_with("/chunks") { exchange.end_chunks(&[]) } else { Ok(()) }
    });
    let holm = Holm::before(origin.url());
    let check = |path: &str, protocol| {
        broken.store(true, Ordering::SeqCst);
        let path = format!("{path}?{protocol:?}");
        let response = holm.ask(&get(&path).over(protocol));
        // A reset may overtake the head: then the client sees an error alone, or is told of it in a status.
        let told = !response.error.is_empty() || response.status == 502;
        assert!(told, "{path}: a short response that looks whole: {}", response.show());
        let part = response.status != 200 || content.starts_with(&response.body);
        assert!(part && response.body.len() < content.len(), "{path}: {}", response.show());
        // Nothing of it was stored, and the next one is whole.
        broken.store(false, Ordering::SeqCst);
        let response = holm.ask(&get(&path).over(protocol)).expect(200).expect_miss("fwd-status=200");
        assert!(response.body == content, "{path}: {}", response.show());
        assert_eq!(origin.asked(&path), 2, "{path}");
    };
    for (path, _) in BREAKS {
        for protocol in Protocol::ALL {
            check(path, protocol);
        }
    }
}

#[test]
fn those_who_share_a_fetch_share_its_breaking_off() {
    let gate = Gate::new();
    let passing = gate.clone();
    let origin = Origin::start(move |_, exchange| {
        exchange.head(200, &[("content-length", "100000"), ("cache-control", "max-age=60")])?;
        std::io::Write::write_all(exchange, &[b'x'; 1000])?;
        passing.pass();
        Err(broken_off())
    });
    let holm = Holm::before(origin.url());
    let mut curls: Vec<_> = (0..10).map(|_| holm.curl(&get("/").over(Protocol::Http2)).piped().start()).collect();
    let mut streams: Vec<_> = curls.iter_mut().map(|curl| curl.stdout()).collect();
    for stream in &mut streams {
        std::io::Read::read_exact(stream, &mut [0; 1000]).expect("what came before");
    }
    gate.open();
    for curl in curls {
        let response = curl.finish();
        assert!(response.status == 200 && !response.error.is_empty(), "{}", response.show());
    }
    assert_eq!(origin.asked("/"), 1);
}

/// What an origin does with the rest of what it broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It sends it.
    Given,
    /// Of another version.
    Changed,
    /// It knows of no ranges.
    Unknown,
}

/// An origin of this content that sends `until` bytes of it and breaks off, except of what was told to be whole.
fn breaking(content: &[u8], until: usize, rest: Rest, broken: &Arc<AtomicBool>) -> Origin {
    let (content, broken) = (content.to_vec(), Arc::clone(broken));
    Origin::start(move |asked, exchange| {
        let length = content.len().to_string();
        let whole = [("cache-control", "max-age=60"), ("etag", "\"1\""), ("content-length", length.as_str())];
        let range = asked.fields.get("range");
        if rest == Rest::Unknown || range.is_empty() {
            exchange.head(200, &whole)?;
            if !broken.load(Ordering::SeqCst) {
                return std::io::Write::write_all(exchange, &content);
            }
            std::io::Write::write_all(exchange, &content[..until])?;
            return Err(broken_off());
        }
        // A reset between the tiers may overtake what came before it: then less than `until` is there.
        let first: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().expect("an open range");
        assert!(first <= until && asked.fields.get("if-range") == "\"1\"", "{range}");
        let etag = if rest == Rest::Changed { "\"2\"" } else { "\"1\"" };
        let told = format!("bytes {first}-{}/{}", content.len() - 1, content.len());
        let fields = [("cache-control", "max-age=60"), ("etag", etag), ("content-range", told.as_str())];
        exchange.reply(206, &fields, &content[first..])
    })
}

#[test]
fn what_breaks_off_is_resumed_and_nobody_notices() {
    let content = Pattern::new(3_000_000).bytes();
    let check = |until: usize, protocol: Protocol| {
        let origin = breaking(&content, until, Rest::Given, &Arc::new(AtomicBool::new(true)));
        let holm = Holm::before(origin.url());
        let response = holm.ask(&get("/").over(protocol)).expect(200).expect_miss("fwd-status=200");
        assert!(response.body == content, "{}", response.show());
        assert_eq!(origin.asked("/"), 2, "{until} {protocol:?}");
        let response = holm.ask(&get("/").over(protocol)).expect(200).expect_hit();
        assert!(response.body == content, "{}", response.show());
        assert_eq!(origin.asked("/"), 2, "{until} {protocol:?}");
        wait_for("the metric", || holm.metric("holm_fills_total{outcome=\"resumed\"}") >= 1.0);
    };
    check(1000, Protocol::Http1);
    check(1_048_576, Protocol::Http2);
    check(2_500_001, Protocol::Http3);
}

#[test]
fn what_cannot_be_resumed_is_an_error_at_that_byte_for_all() {
    const UNTIL: usize = 500_000;
    let content = Pattern::new(600_000).bytes();
    for rest in [Rest::Changed, Rest::Unknown] {
        let broken = Arc::new(AtomicBool::new(true));
        let origin = breaking(&content, UNTIL, rest, &broken);
        let holm = Holm::before(origin.url());
        for protocol in Protocol::ALL {
            broken.store(true, Ordering::SeqCst);
            let path = format!("/{protocol:?}");
            let response = holm.ask(&get(&path).over(protocol));
            let told = !response.error.is_empty() || response.status == 502;
            assert!(told, "{rest:?}: a short response that looks whole: {}", response.show());
            let part = response.status != 200 || content[..UNTIL].starts_with(&response.body);
            assert!(part, "{rest:?}: {} bytes: {}", response.body.len(), response.show());
            broken.store(false, Ordering::SeqCst);
            let response = holm.ask(&get(&path).over(protocol)).expect(200).expect_miss("fwd-status=200");
            assert!(response.body == content, "{rest:?}: {}", response.show());
        }
    }
}

#[test]
fn a_client_that_does_not_read_holds_nobody_back() {
    let content = Pattern::new(8_000_000).bytes();
    let (gate, told) = (Gate::new(), content.clone());
    let passing = gate.clone();
    let origin = Origin::start(move |_, exchange| {
        exchange.head(200, &[("transfer-encoding", "chunked"), ("cache-control", "max-age=60")])?;
        exchange.chunk(&told[..1000])?;
        passing.pass();
        told[1000..].chunks(50_000).try_for_each(|chunk| exchange.chunk(chunk))?;
        exchange.end_chunks(&[])
    });
    let holm = Holm::before(origin.url());
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let path = format!("/{protocol:?}");
        let mut slow: Vec<_> = (0..3).map(|_| holm.curl(&get(&path).over(protocol)).piped().start()).collect();
        let mut streams: Vec<_> = slow.iter_mut().map(|curl| curl.stdout()).collect();
        for stream in &mut streams {
            std::io::Read::read_exact(stream, &mut [0; 1000]).expect("what came");
        }
        let fast = holm.curl(&get(&path).over(protocol)).start();
        gate.open();
        let response = fast.finish().expect(200);
        assert!(response.body == content, "{}", response.show());
        for (curl, mut stream) in slow.into_iter().zip(streams) {
            let mut rest = Vec::new();
            std::io::Read::read_to_end(&mut stream, &mut rest).expect("the rest");
            assert!(rest == content[1000..], "{} bytes", rest.len());
            curl.finish().expect(200);
        }
        assert_eq!(origin.asked(&path), 1);
    }
    wait_for("the memory to be free", || holm.metric("holm_fill_bytes") == 0.0);
}

#[test]
fn slow_answers_delay_nobody_else() {
    let gate = Gate::new();
    let passing = gate.clone();
    let origin = Origin::start(move |asked, exchange| {
        if asked.path().starts_with("/slow") {
            passing.pass();
        }
        ok(exchange, "x")
    });
    let holm = Holm::up().args(&["--workers", "1", "--origin", &origin.url()]).start();
    // Many for the same, and more for something else each than one connection between the tiers has streams.
    let path = |number| if number < SLOW / 4 { "/slow".to_owned() } else { format!("/slow/{number}") };
    let request = |number| format!("GET {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", path(number));
    let slow: Vec<Raw> = (0..SLOW).map(|number| holm.raw().send(request(number))).collect();
    wait_for("all of them at the origin", || origin.log().len() > SLOW * 3 / 4);
    let begun = Instant::now();
    for number in 0..20 {
        holm.ask(&get(format!("/{number}"))).expect(200);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    gate.open();
    for raw in slow {
        let answer = raw.until_closed();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('x'), "{answer}");
    }
}

/// More than MAX_STREAMS (256) after a quarter is taken off.
const SLOW: usize = 600;
