//! Streams: large content in both directions. It never sits in memory, and who is slow slows the other end down.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use holm_e2e::{Gate, Holm, Origin, Pattern, Protocol, Transfer, ask, get, sha256, wait_for};
use serde_json::json;

const MIB: u64 = 1 << 20;
/// Far more than a node may hold.
const LARGE: u64 = 256 * MIB;
/// Enough to see whether somebody is held back.
const MEDIUM: u64 = 96 * MIB;
/// aioquic takes its time.
const LARGE_FOR_PYTHON: u64 = 32 * MIB;
/// The node's cache, of which fills have their share.
const MEMORY: &str = "64MiB";
/// What a node may grow by while large content passes: all of its cache, and as much again for its connections.
const GROWTH: u64 = 128 * MIB;
/// What the two tiers, six sockets and QUIC's windows may hold of one stream that nobody reads.
const UNDER_WAY: u64 = 48 * MIB;

/// An origin that sends as many bytes as the query says, else `LARGE`, framed as the path says; and takes whatever is sent.
fn origin() -> Origin {
    Origin::start(|asked, exchange| {
        if asked.method != "GET" {
            let (length, read) = Pattern::check(&mut *exchange);
            read?;
            return exchange.reply(200, &[], length.to_string());
        }
        let size = match asked.target.split_once('?') {
            Some((_, size)) => size.parse().expect("a size"),
            None => LARGE,
        };
        let cache = if asked.path() == "/no-store" { "no-store" } else { "max-age=60" };
        let mut content = Pattern::new(size);
        if asked.path() != "/chunked" {
            exchange.head(200, &[("content-length", &size.to_string()), ("cache-control", cache)])?;
            return std::io::copy(&mut content, exchange).map(drop);
        }
        exchange.head(200, &[("transfer-encoding", "chunked"), ("cache-control", cache)])?;
        let mut piece = vec![0; 100_000];
        loop {
            match content.read(&mut piece)? {
                0 => return exchange.end_chunks(&[]),
                length => exchange.chunk(&piece[..length])?,
            }
        }
    })
}

fn holm(origin: &Origin) -> Holm {
    let holm = Holm::up().args(&["--memory", MEMORY, "--origin", &origin.url()]).start();
    for protocol in Protocol::VERSIONS {
        // Warms up: the connections between the tiers, and the client's own process.
        holm.ask(&ask("PUT", "/").body(Pattern::new(1).bytes()).over(protocol)).expect(200);
    }
    holm
}

#[track_caller]
fn check_growth(holm: &Holm, before: u64, what: &str) {
    let growth = holm.process.peak_memory().saturating_sub(before);
    println!("{what}: {} MiB more", growth / MIB);
    assert!(growth < GROWTH, "{what}: the node grew by {} MiB", growth / MIB);
}

#[test]
fn large_downloads_never_sit_in_memory() {
    let origin = origin();
    let holm = holm(&origin);
    // Passed on as it comes, known to be too large to be stored, found to be too large on the way.
    for (path, protocol) in
        [("/no-store", Protocol::Http1), ("/too-large", Protocol::Http2), ("/chunked", Protocol::Http1)]
    {
        let before = holm.process.reset_peak_memory();
        let mut transfer = holm.curl(&get(path).over(protocol)).piped().start();
        let (length, read) = Pattern::check(transfer.stdout());
        let response = transfer.finish().expect(200);
        assert_eq!((length, read.is_ok()), (LARGE, true), "{path}: {}", response.show());
        check_growth(&holm, before, path);
    }
    let mut client = holm.h3();
    let sent = client.send(&get(format!("/no-store?{LARGE_FOR_PYTHON}")).over(Protocol::Http3));
    let told = client.told(sent);
    assert_eq!((told["length"].as_u64(), &told["error"]), (Some(LARGE_FOR_PYTHON), &json!("")));
    assert_eq!(told["sha256"], sha256(&Pattern::new(LARGE_FOR_PYTHON).bytes()));
}

#[test]
fn large_uploads_never_sit_in_memory() {
    let origin = origin();
    let holm = holm(&origin);
    let before = holm.process.reset_peak_memory();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let transfer = holm.curl(&ask("PUT", "/").over(protocol)).upload_stdin();
        let mut transfer = transfer.start();
        let mut stdin = transfer.stdin();
        std::io::copy(&mut Pattern::new(LARGE), &mut stdin).expect("curl takes all");
        drop(stdin);
        let response = transfer.finish().expect(200);
        assert_eq!(response.text(), LARGE.to_string(), "{}", response.show());
    }
    let response = holm.ask(&ask("PUT", "/").body(Pattern::new(LARGE_FOR_PYTHON).bytes()).over(Protocol::Http3));
    assert_eq!(response.text(), LARGE_FOR_PYTHON.to_string(), "{}", response.show());
    check_growth(&holm, before, "uploads");
}

#[test]
fn a_slow_reader_holds_the_origin_back() {
    for path in ["/no-store", "/too-large", "/chunked"] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let origin = origin();
            let holm = holm(&origin);
            let mut transfer = holm.curl(&get(format!("{path}?{MEDIUM}")).over(protocol)).piped().start();
            let mut stdout = transfer.stdout();
            let mut first = [0; 16];
            stdout.read_exact(&mut first).expect("the beginning");
            let stalled = stalled(|| origin.sent());
            println!("{path} over {protocol:?}: {} KiB on their way", stalled / 1024);
            assert!(stalled < UNDER_WAY, "{path} over {protocol:?}: {} MiB were sent to nobody", stalled / MIB);
            // It goes on where it stood.
            let (length, read) = Pattern::check((&first[..]).chain(stdout));
            transfer.finish().expect(200);
            assert_eq!((length, read.is_ok()), (MEDIUM, true), "{path} over {protocol:?}");
        }
    }
}

#[test]
fn a_slow_reader_over_http3_holds_the_origin_back_and_ends_it_by_leaving() {
    let closed = Gate::new();
    let closing = closed.clone();
    let origin = Origin::start(move |_, exchange| {
        exchange.head(200, &[("content-length", &LARGE.to_string()), ("cache-control", "no-store")])?;
        let written = std::io::copy(&mut Pattern::new(LARGE), exchange);
        closing.open();
        written.map(drop)
    });
    let holm = Holm::before(origin.url());
    let mut client = holm.h3();
    client.send_with(&get("/").over(Protocol::Http3), json!({ "fresh": true, "hold": true }));
    origin.wait_asked("/", 1);
    let stalled = stalled(|| origin.sent());
    println!("{} KiB on their way", stalled / 1024);
    assert!((1..UNDER_WAY).contains(&stalled), "{} MiB were sent to nobody", stalled / MIB);
    // A process that is killed says no goodbye; QUIC's idle timeout finds out. Here it is the whole edge that leaves.
    drop(client);
    drop(holm);
    closed.pass();
    assert!(origin.sent() < LARGE);
}

#[test]
fn a_client_that_leaves_ends_a_download_that_nobody_else_can_use() {
    let origin = origin();
    let holm = holm(&origin);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let before = origin.sent();
        let mut transfer: Transfer = holm.curl(&get("/no-store").over(protocol)).piped().start();
        transfer.stdout().read_exact(&mut [0; 16]).expect("the beginning");
        drop(transfer);
        let sent = stalled(|| origin.sent()) - before;
        assert!(sent < UNDER_WAY, "{protocol:?}: {} MiB were sent to nobody", sent / MIB);
        // The next one finds everything in order.
        holm.ask(&ask("PUT", "/").body(&b""[..]).over(protocol)).expect(200);
    }
}

#[test]
fn a_slow_origin_holds_an_upload_back() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let gate = Gate::new();
        let passing = gate.clone();
        let origin = Origin::start(move |asked, exchange| {
            if asked.path() == "/held" {
                passing.pass();
            }
            let (length, read) = Pattern::check(&mut *exchange);
            read?;
            exchange.reply(200, &[], length.to_string())
        });
        let holm = holm(&origin);
        let mut transfer = holm.curl(&ask("PUT", "/held").over(protocol)).upload_stdin().start();
        let (taken, mut stdin) = (Arc::new(AtomicU64::new(0)), transfer.stdin());
        let counting = Arc::clone(&taken);
        let writer = thread::spawn(move || {
            let (mut content, mut piece) = (Pattern::new(MEDIUM), [0; 1 << 14]);
            while let Ok(length @ 1..) = content.read(&mut piece) {
                stdin.write_all(&piece[..length]).expect("curl takes all");
                counting.fetch_add(length as u64, Ordering::SeqCst);
            }
        });
        let stalled = stalled(|| taken.load(Ordering::SeqCst));
        println!("over {protocol:?}: {} KiB on their way", stalled / 1024);
        assert!((1..UNDER_WAY).contains(&stalled), "over {protocol:?}: {} MiB were taken", stalled / MIB);
        gate.open();
        let response = transfer.finish().expect(200);
        writer.join().expect("all was taken");
        assert_eq!(response.text(), MEDIUM.to_string(), "{}", response.show());
    }
}

/// What a counter stands at once it has not moved for a while.
fn stalled(count: impl Fn() -> u64) -> u64 {
    let mut last = 0;
    wait_for("a standstill", || {
        let before = count();
        thread::sleep(STANDSTILL);
        last = count();
        last == before && last > 0
    });
    last
}

/// Long enough for a loaded machine to move a byte if it can.
const STANDSTILL: Duration = Duration::from_millis(700);
