//! A node's life: ready soon, and at its end nothing is lost.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use holm_e2e::{EchoServer, Gate, Holm, Origin, Pattern, Process, Protocol, get, ok, wait_for};
use serde_json::json;

/// Optimised, it is to be ready within two seconds (issue 2). This is for the development profile, on a machine that does
/// much else.
const READY_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn ready_soon_and_truly() {
    let origin = Origin::start(|_, exchange| ok(exchange, "x"));
    let holm = Holm::before(origin.url());
    println!("ready after {:?}", holm.took);
    assert!(holm.took < READY_WITHIN, "ready after {:?}", holm.took);
    for protocol in Protocol::ALL {
        holm.ask(&get("/").over(protocol)).expect(200);
    }
    for (name, scheme) in
        [("http", "http://127.0.0.1:"), ("https", "https://127.0.0.1:"), ("admin", "http://127.0.0.1:")]
    {
        assert!(holm.ready(name).starts_with(scheme) && !holm.ready(name).ends_with(":0"), "{}", holm.ready);
    }
    for name in ["data_dir", "token_file", "ca_file"] {
        assert!(std::path::Path::new(holm.ready(name)).exists(), "{}", holm.ready);
    }
    let data = holm.ready("data_dir").to_owned();
    assert_eq!(holm.stop().code(), Some(0));
    assert!(!std::path::Path::new(&data).exists(), "the temporary folder is removed at the end");
}

#[test]
fn what_is_under_way_is_answered_and_nothing_new_is_taken() {
    let gate = Gate::new();
    let passing = gate.clone();
    let content = Pattern::new(2_000_000).bytes();
    let told = content.clone();
    let origin = Origin::start(move |asked, exchange| {
        // Half of them wait for a head, half for the rest of the content.
        let cache = if asked.target.contains("stored") { "max-age=60" } else { "no-store" };
        if asked.target.contains("head") {
            passing.pass();
        }
        exchange.head(200, &[("content-length", "2000000"), ("cache-control", cache)])?;
        exchange.write_all(&told[..1000])?;
        passing.pass();
        exchange.write_all(&told[1000..])
    });
    let mut holm = Holm::before(origin.url());
    let mut h3 = holm.h3();
    let (mut curls, mut sent) = (Vec::new(), Vec::new());
    for path in ["/head/stored", "/head/passed", "/content/stored", "/content/passed"] {
        for protocol in Protocol::ALL {
            let target = format!("{path}?{protocol:?}");
            match protocol {
                Protocol::Http3 => sent.push(h3.send(&get(&target).over(protocol))),
                _ => curls.push(holm.curl(&get(&target).over(protocol)).start()),
            }
            origin.wait_asked(&target, 1);
        }
    }
    holm.process.terminate();
    wait_for("new connections are refused", || TcpStream::connect(holm.http()).is_err());
    wait_for("new connections are refused", || TcpStream::connect(holm.https()).is_err());
    assert!(holm.process.ended().is_none(), "it waits for those under way");
    gate.open();
    for response in curls.into_iter().map(|curl| curl.finish()) {
        assert!(response.status == 200 && response.error.is_empty() && response.body == content, "{}", response.show());
    }
    for sent in sent {
        let response = h3.receive(sent);
        assert!(response.status == 200 && response.error.is_empty() && response.body == content, "{}", response.show());
    }
    let begun = Instant::now();
    assert_eq!(holm.process.wait().code(), Some(0));
    // Well before its grace is over: nobody is waited for any longer.
    assert!(begun.elapsed() < Duration::from_secs(8), "it ended {:?} after its last answer", begun.elapsed());
}

#[test]
fn under_constant_load_nothing_that_was_accepted_is_lost() {
    let origin = Origin::start(|asked, exchange| {
        if asked.path().starts_with("/slow") {
            thread::sleep(Duration::from_millis(30));
        }
        ok(exchange, asked.path())
    });
    let mut holm = Holm::before(origin.url());
    let (answered, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let (authority, answered, told) = (holm.http().to_owned(), Arc::clone(&answered), Arc::clone(&told));
            thread::spawn(move || load(client, &authority, &answered, &told))
        })
        .collect();
    wait_for("some load", || answered.load(Ordering::SeqCst) >= 200);
    told.store(true, Ordering::SeqCst);
    holm.process.terminate();
    let lost: Vec<String> = clients.into_iter().filter_map(|client| client.join().expect("a client")).collect();
    assert!(lost.is_empty(), "{} answers, then lost: {lost:#?}", answered.load(Ordering::SeqCst));
    assert_eq!(holm.process.wait().code(), Some(0));
}

/// Request after request, each on a connection of its own, until none is accepted. Says what was lost.
fn load(client: usize, authority: &str, answered: &AtomicUsize, told: &AtomicBool) -> Option<String> {
    for number in 0.. {
        let Ok(mut stream) = TcpStream::connect(authority) else {
            return (!told.load(Ordering::SeqCst)).then(|| "refused before its time".to_owned());
        };
        let path = if number % 2 == 0 { "/hit".to_owned() } else { format!("/slow/{client}/{number}") };
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let ended = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        if !answer.starts_with("HTTP/1.1 200") || !answer.ends_with(&path) {
            return Some(format!("{path}: {ended:?}, {answer:?}"));
        }
        answered.fetch_add(1, Ordering::SeqCst);
    }
    None
}

#[test]
fn idle_connections_hold_nobody_up() {
    let origin = Origin::start(|_, exchange| ok(exchange, "x"));
    let holm = Holm::before(origin.url());
    let mut idle = holm.raw().send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    idle.until("\r\n\r\nx");
    let unused = holm.raw();
    holm.ask(&get("/").over(Protocol::Http3)).expect(200);
    let begun = Instant::now();
    assert_eq!(holm.stop().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?} to end", begun.elapsed());
    drop((idle, unused));
}

#[test]
fn grace_has_an_end() {
    let gate = Gate::new();
    let passing = gate.clone();
    let origin = Origin::start(move |_, exchange| {
        passing.pass();
        ok(exchange, "late")
    });
    let mut holm = Holm::up().args(&["--grace", "1s", "--origin", &origin.url()]).start();
    let mut h3 = holm.h3();
    let stuck = holm.curl(&get("/")).start();
    h3.send_with(&get("/h3").over(Protocol::Http3), json!({ "fresh": true }));
    origin.wait_asked("/", 1);
    origin.wait_asked("/h3", 1);
    let begun = Instant::now();
    holm.process.terminate();
    assert_eq!(holm.process.wait().code(), Some(0));
    let took = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(6)).contains(&took), "it took {took:?} to end");
    assert!(holm.process.log().contains("after the time of grace"), "{}", holm.process.log());
    let response = stuck.finish();
    assert!(!response.error.is_empty(), "{}", response.show());
    gate.open();
}

#[test]
fn a_websocket_ends_with_grace() {
    let server = EchoServer::start();
    let mut holm = Holm::up().args(&["--grace", "1s", "--origin", &server.url()]).start();
    let mut raw = holm.raw().send(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(raw.until("\r\n\r\n").starts_with("HTTP/1.1 101"));
    let begun = Instant::now();
    holm.process.terminate();
    assert_eq!(holm.process.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(6), "it took {:?} to end", begun.elapsed());
    raw.until_closed();
}

#[test]
fn an_interrupt_ends_it_as_well_and_people_get_a_line_for_people() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = holm_e2e::built_command("holm");
    command.args(["up", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.env("XDG_STATE_HOME", dir.path()).env("TMPDIR", dir.path());
    let mut process = Process::start("holm up", &mut command, &dir.path().join("log"));
    let line = process.line();
    assert!(line.starts_with("holm is up: http://127.0.0.1:") && line.contains("h1, h2, h3"), "{line}");
    process.interrupt();
    assert_eq!(process.wait().code(), Some(0));
}
