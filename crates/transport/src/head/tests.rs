//! Heads as data, and the guard against every way of splitting a stream of requests.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::scan::{Framing, Scanned, scan};
use super::{Guard, Refusal, is_valid_host};
use crate::server::Gate;

fn check(head: &str, expected: Result<Framing, (u16, &str)>) {
    let text = head.replace('\n', "\r\n");
    match (scan(text.as_bytes()), expected) {
        (Scanned::Complete(length, framing), Ok(expected)) => {
            assert_eq!((length, framing), (text.len(), expected), "{head}");
        }
        (Scanned::Refused(Refusal { status, reason }), Err(expected)) => {
            assert_eq!((status, reason), expected, "{head}")
        }
        (found, expected) => panic!("{head}: {found:?}, not {expected:?}"),
    }
}

#[test]
fn sound_heads() {
    check("GET / HTTP/1.1\nHost: a\n\n", Ok(Framing::Length(0)));
    check("GET / HTTP/1.0\n\n", Ok(Framing::Length(0)));
    check("POST / HTTP/1.1\nHost: a:80\nContent-Length: 5\n\n", Ok(Framing::Length(5)));
    check("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\n\n", Ok(Framing::Chunked));
    check("GET / HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: websocket\n\n", Ok(Framing::Upgrade));
    check("GET / HTTP/1.1\nHost: a\nUpgrade: websocket\n\n", Ok(Framing::Length(0)));
}

#[test]
fn refused_heads() {
    let post = "POST / HTTP/1.1\nHost: a\n";
    check(
        &format!("{post}Content-Length: 5\nTransfer-Encoding: chunked\n\n"),
        Err((400, "length-and-transfer-encoding")),
    );
    check(&format!("{post}Content-Length: 5\nContent-Length: 5\n\n"), Err((400, "length-duplicate")));
    check(&format!("{post}Content-Length: 5, 5\n\n"), Err((400, "length-invalid")));
    check(&format!("{post}Content-Length: +5\n\n"), Err((400, "length-invalid")));
    check(&format!("{post}Transfer-Encoding: gzip, chunked\n\n"), Err((501, "transfer-encoding-unknown")));
    check(
        &format!("{post}Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n"),
        Err((400, "transfer-encoding-duplicate")),
    );
    check("POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n", Err((400, "transfer-encoding-in-http-1.0")));
    check("GET / HTTP/1.1\n\n", Err((400, "host-missing")));
    check("GET / HTTP/1.1\nHost: a\nHost: b\n\n", Err((400, "host-duplicate")));
    check("GET / HTTP/1.1\nHost: a b\n\n", Err((400, "host-invalid")));
    check("GET / HTTP/1.1\nHost: a/b\n\n", Err((400, "host-invalid")));
    check("GET /a b HTTP/1.1\nHost: a\n\n", Err((400, "malformed-head")));
    check("GET / HTTP/2.0\nHost: a\n\n", Err((505, "http-version")));
    check("GET / HTTP/1.1\nHost: a\nX : 1\n\n", Err((400, "malformed-head")));
    check("GET / HTTP/1.1\nHost: a\nX: 1\n folded\n\n", Err((400, "malformed-head")));
    check("GET / HTTP/1.1\nHost: a\nX: 1\u{0}\n\n", Err((400, "malformed-head")));
    check(&format!("GET / HTTP/1.1\nHost: a\nX: {}\n\n", "x".repeat(70_000)), Err((431, "head-too-large")));
    check(&format!("GET / HTTP/1.1\nHost: a\n{}\n", "X: 1\n".repeat(200)), Err((431, "too-many-fields")));
    check(&format!("GET /{} HTTP/1.1\nHost: a\n\n", "x".repeat(20_000)), Err((414, "uri-too-long")));
}

#[test]
fn hosts() {
    let check = |host: &str, valid: bool| assert_eq!(is_valid_host(host.as_bytes()), valid, "{host:?}");
    check("a.example", true);
    check("a.example:8080", true);
    check("127.0.0.1", true);
    check("[::1]:80", true);
    check("", false);
    check("a:b", false);
    check("a@b", false);
    check("[::1", false);
    check("[::1]x", false);
    check("[20[2001:db8::1]:443", false);
    check("[]", false);
    check("a:123456", false);
}

/// Yields given pieces, one a read.
struct Pieces(std::collections::VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

const STREAM: &str = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
    POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1a;x=\"y\"\r\nGET / HTTP/1.1\r\n not head\r\n0\r\nX: t\r\n\r\n\
    GET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
const BAD: &str = "GET /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn what_passes_does_not_depend_on_how_it_is_split() {
    let all = [STREAM, BAD, "GET /5 HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    for at in 0..all.len() {
        let (one, other) = all.as_bytes().split_at(at);
        let mut guard = guard(Pieces([one.to_vec(), other.to_vec()].into_iter().filter(|p| !p.is_empty()).collect()));
        let mut passed = Vec::new();
        guard.read_to_end(&mut passed).await.unwrap();
        assert_eq!(String::from_utf8(passed).unwrap(), STREAM, "split at {at}");
    }
    let bytewise = all.bytes().map(|b| vec![b]).collect();
    let mut passed = Vec::new();
    guard(Pieces(bytewise)).read_to_end(&mut passed).await.unwrap();
    assert_eq!(String::from_utf8(passed).unwrap(), STREAM, "byte by byte");
}

#[tokio::test]
async fn a_refusal_is_written_at_the_end() {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    client.write_all(BAD.as_bytes()).await.unwrap();
    let mut guard = guard(server);
    let mut passed = Vec::new();
    guard.read_to_end(&mut passed).await.unwrap();
    assert!(passed.is_empty());
    guard.shutdown().await.unwrap();
    drop(guard);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn after_an_upgrade_everything_passes() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    for granted in [true, false] {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(b"\x00not http").await.unwrap();
        let gate = Arc::new(Gate::default());
        let mut guard = Guard::new(server, Arc::clone(&gate));
        let mut read = vec![0; head.len()];
        guard.read_exact(&mut read).await.unwrap();
        gate.enter();
        gate.ask_upgrade(tokio::sync::oneshot::channel().0);
        assert!(guard.read(&mut [0; 100]).now_or_never().is_none(), "nothing passes before the answer");
        assert!(if granted { gate.grant_upgrade() } else { gate.refuse_upgrade() });
        gate.leave();
        client.shutdown().await.unwrap();
        let mut rest = Vec::new();
        guard.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest == b"\x00not http", granted, "{granted}: {rest:?}");
    }
}

fn guard<S>(inner: S) -> Guard<S> {
    Guard::new(inner, Arc::default())
}
