//! Memory: `--memory` bounds what the process keeps, whatever comes and goes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use holm_e2e::{Holm, Origin};

/// Far more than fits goes through, of mixed sizes: what the process has in memory stays within 15 % of the limit, beside
/// a fixed base.
#[test]
fn what_the_process_keeps_is_bounded() {
    let most = most_under_churn(LIMIT);
    let bound = BASE + LIMIT + LIMIT * 15 / 100;
    println!("base {} MiB, limit {} MiB, at most {} MiB of {} MiB", BASE >> 20, LIMIT >> 20, most >> 20, bound >> 20);
    assert!(most <= bound, "{most} bytes are resident: more than {BASE} + 1.15 × {LIMIT}");
}

/// The most that a process with this limit has in memory, once its cache has been full.
fn most_under_churn(limit: usize) -> usize {
    let origin = Origin::start(|asked, exchange| {
        let number = asked.target.trim_start_matches('/').parse().unwrap_or_default();
        exchange.reply(200, &[("cache-control", "max-age=3600"), ("etag", "\"1\"")], vec![b'x'; size_of(number)])
    });
    let memory = format!("{}MiB", limit >> 20);
    let holm = Holm::up().args(&["--origin", &origin.url(), "--memory", &memory, "--workers", "2"]).start();
    let next = AtomicUsize::new(0);
    let rounds = (0..ROUNDS).map(|_| {
        churn(&holm, &next, limit);
        resident(&holm)
    });
    let rounds: Vec<usize> = rounds.collect();
    let shown: Vec<usize> = rounds.iter().map(|bytes| bytes >> 20).collect();
    println!("limit {memory}: {} objects asked for, MiB resident: {shown:?}", next.load(Ordering::Relaxed));
    rounds.into_iter().max().unwrap_or_default()
}

/// Asks for new objects, so many bytes of them, over a few connections.
fn churn(holm: &Holm, next: &AtomicUsize, bytes: usize) {
    let authority = holm.http();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream = BufReader::new(TcpStream::connect(authority).expect("a connection"));
                let mut had = 0;
                while had < bytes / CONNECTIONS {
                    had += get(&mut stream, next.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
    });
}

fn get(stream: &mut BufReader<TcpStream>, number: usize) -> usize {
    let request = format!("GET /{number} HTTP/1.1\r\nhost: a.example\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).expect("a connection");
    let mut line = String::new();
    stream.read_line(&mut line).expect("a status line");
    assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).expect("a field");
    }
    let mut body = vec![0; size_of(number)];
    stream.read_exact(&mut body).expect("a body");
    body.len()
}

/// Mostly small, as the web is; a few large ones bring most of the bytes.
const fn size_of(number: usize) -> usize {
    let scatter = number.wrapping_mul(2_654_435_761) >> 7;
    match scatter % 64 {
        0 => 700_000 + scatter % 900_000,
        1..=4 => 50_000 + scatter % 150_000,
        5..=20 => 5_000 + scatter % 40_000,
        _ => 100 + scatter % 4_000,
    }
}

/// What of the process is in memory, in bytes.
fn resident(holm: &Holm) -> usize {
    let pages = std::fs::read_to_string(format!("/proc/{}/statm", holm.process.id())).expect("Linux tells");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
}

const LIMIT: usize = 128 << 20;

/// What a process of two workers needs under this load in a development build, beside its cache: code, threads, sockets,
/// buffers of connections, what the allocator keeps. Measured as 121 to 142 MiB with limits of 32 to 256 MiB.
const BASE: usize = 160 << 20;

const CONNECTIONS: usize = 4;

/// Each brings as many bytes as the limit.
const ROUNDS: usize = 3;
