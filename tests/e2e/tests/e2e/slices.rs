//! Slices: ranges of bodies that are larger than any memory. Nothing but what is asked for is moved, and every byte is right.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holm_e2e::{Asked, Exchange, Gate, Holm, Origin, Pattern, Protocol, Response, broken_off, get};

/// Larger than the node's memory, and than this machine's.
const LENGTH: u64 = 10 << 30;
const S: u64 = 1 << 20;

/// Serves ranges of a body of which nothing is held.
fn serve(asked: &Asked, exchange: &mut Exchange, etag: &str) -> io::Result<()> {
    let condition = asked.fields.get("if-range");
    let same = condition.is_empty() || condition == etag;
    let fields = [("cache-control", "max-age=600"), ("etag", etag), ("content-type", "video/x")];
    let Some((first, last)) = range_of(asked.fields.get("range")).filter(|_| same) else {
        let length = LENGTH.to_string();
        exchange.head(200, &[&fields[..], &[("content-length", length.as_str())]].concat())?;
        return io::copy(&mut Pattern::new(LENGTH), exchange).map(drop);
    };
    let told = format!("bytes {first}-{last}/{LENGTH}");
    let length = (last - first + 1).to_string();
    let part = [("content-range", told.as_str()), ("content-length", length.as_str())];
    exchange.head(206, &[&fields[..], &part].concat())?;
    io::copy(&mut Pattern::new(last + 1).from(first), exchange).map(drop)
}

/// The one range that `Range` names.
fn range_of(range: &str) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        return Some((LENGTH - last.parse::<u64>().ok()?, LENGTH - 1));
    }
    let last = if last.is_empty() { LENGTH - 1 } else { last.parse::<u64>().ok()?.min(LENGTH - 1) };
    Some((first.parse().ok()?, last))
}

/// Which ranges an origin was asked for, in order.
fn ranges(origin: &Origin, target: &str) -> Vec<String> {
    let of_target = origin.log().into_iter().filter(|asked| asked.target == target);
    of_target.map(|asked| asked.fields.get("range").trim_start_matches("bytes=").to_owned()).collect()
}

#[track_caller]
fn check_bytes(response: &Response, bytes: RangeInclusive<u64>) {
    let show = response.show();
    assert_eq!((response.status, response.error.as_str()), (206, ""), "{show}");
    let told = format!("bytes {}-{}/{LENGTH}", bytes.start(), bytes.end());
    assert_eq!(response.fields.get("content-range"), told, "{show}");
    assert!(response.body == Pattern::new(bytes.end() + 1).from(*bytes.start()).bytes(), "{show}");
}

#[test]
fn a_cold_range_moves_only_its_slices() {
    let origin = Origin::start(|asked, exchange| serve(asked, exchange, "\"a\""));
    let holm = Holm::up().args(&["--origin", &origin.url(), "--memory", "128MiB"]).start();
    for (target, protocol) in [("/1", Protocol::Http1), ("/3", Protocol::Http3)] {
        let before = origin.sent();
        let moved = |bytes: u64| {
            let sent = origin.sent() - before;
            assert!((bytes..bytes + HEADS).contains(&sent), "{sent} bytes, not {bytes} and some heads");
        };
        let check = |range: &str, bytes: RangeInclusive<u64>, said: &str| {
            let response = holm.ask(&get(target).field("range", format!("bytes={range}")).over(protocol));
            check_bytes(&response, bytes);
            let status = response.fields.get("cache-status");
            assert!(status.contains(said), "{range}: {status}");
        };
        check("9000000000-9000000999", 9_000_000_000..=9_000_000_999, "fwd=uri-miss");
        moved(1000);
        check("9000000000-9000000999", 9_000_000_000..=9_000_000_999, "; hit");
        check("9000000500-9000002000", 9_000_000_500..=9_000_002_000, "detail=incomplete");
        moved(S + 1000);
        check("8999927808-9000976383", 8_999_927_808..=9_000_976_383, "; hit");
        moved(S + 1000);
        // Over three slices, of which one is here.
        check("8999000000-9002000000", 8_999_000_000..=9_002_000_000, "detail=incomplete");
        moved(3 * S + 1000);
        check("-10", LENGTH - 10..=LENGTH - 1, "detail=incomplete");
        check("8999000000-9002000000", 8_999_000_000..=9_002_000_000, "; hit");
        moved(4 * S + 1000);
    }
    assert_eq!(ranges(&origin, "/1"), ranges(&origin, "/3"));
}

/// What the heads of a few responses come to at most.
const HEADS: u64 = 8 << 10;

#[test]
fn many_clients_of_a_cold_range_cause_one_fetch() {
    let gate = Gate::new();
    let passing = gate.clone();
    let origin = Origin::start(move |asked, exchange| {
        if asked.fields.has("if-range") {
            passing.pass();
        }
        serve(asked, exchange, "\"a\"")
    });
    let holm = Holm::before(origin.url());
    check_bytes(&holm.ask(&get("/").field("range", "bytes=0-0")), 0..=0);
    let ask = get("/").field("range", "bytes=5000000-5999999");
    let clients: Vec<_> = (0..10).map(|_| holm.curl(&ask).start()).collect();
    origin.wait_asked("/", 2);
    gate.open();
    for client in clients {
        check_bytes(&client.finish(), 5_000_000..=5_999_999);
    }
    assert_eq!(ranges(&origin, "/"), ["0-0", "4194304-6291455"]);
}

#[test]
fn another_representation_is_never_mixed_in() {
    let changed = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&changed);
    let origin = Origin::start(move |asked, exchange| {
        let changed = now.load(Ordering::SeqCst);
        if changed && asked.fields.get("range").is_empty() {
            return Err(broken_off());
        }
        serve(asked, exchange, if changed { "\"b\"" } else { "\"a\"" })
    });
    let holm = Holm::before(origin.url());
    for (target, protocol) in [("/1", Protocol::Http1), ("/2", Protocol::Http2), ("/3", Protocol::Http3)] {
        changed.store(false, Ordering::SeqCst);
        let ask = |range: &str| holm.ask(&get(target).field("range", range).over(protocol));
        check_bytes(&ask("bytes=0-2097151"), 0..=2 * S - 1);
        changed.store(true, Ordering::SeqCst);
        // What is here is sent; where the rest would be another one's, the response breaks off.
        let response = ask("bytes=1048576-9999999");
        assert_ne!(response.error, "", "{}", response.show());
        let sent = response.body.len() as u64;
        assert!(sent <= S && response.body == Pattern::new(S + sent).from(S).bytes(), "{}", response.show());
        let response = ask("bytes=1048576-1048580");
        check_bytes(&response, S..=S + 4);
        assert_eq!(response.fields.get("etag"), "\"b\"", "{}", response.show());
    }
}
