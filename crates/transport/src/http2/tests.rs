//! Pings and bodies of HTTP/2, with h2 itself at the other end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, poll_fn, select};
use h2::server::SendResponse;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::body::{Body, BodyErrorKind};
use crate::client::{ClientErrorKind, Http2};
use crate::http2::{Moves, Stall, send_body};
use crate::testing::{in_time, written};

async fn client() -> (Http2, DuplexStream) {
    let (ours, theirs) = duplex(1 << 16);
    (Http2::handshake(ours).await.expect("a connection"), theirs)
}

fn get() -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = "https://a.test/".parse().expect("a URI");
    request
}

/// Answers one request so, and then whatever h2 answers by itself.
fn answer(io: DuplexStream, answer: impl AsyncFnOnce(SendResponse<Bytes>) + 'static) {
    tokio::task::spawn_local(async move {
        let mut connection = h2::server::handshake(io).await.expect("HTTP/2");
        let (_, respond) = connection.accept().await.expect("a request").expect("no error");
        tokio::task::spawn_local(answer(respond));
        let _ = connection.accept().await;
    });
}

#[tokio::test(start_paused = true)]
async fn a_peer_without_a_sign_of_life_is_given_up() {
    let (client, mut peer) = client().await;
    // An empty SETTINGS frame, and nothing more.
    peer.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("room");
    let begun = Instant::now();
    let error = client.send(get()).await.expect_err("no response");
    assert_eq!(error.kind, ClientErrorKind::Timeout, "{error}");
    assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert!(client.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_its_time_is_waited_for() {
    let wait = Duration::from_secs(600);
    tokio::task::LocalSet::new()
        .run_until(async {
            let (client, peer) = client().await;
            // Idle, it is not asked for anything.
            tokio::time::sleep(wait).await;
            answer(peer, async move |mut respond| {
                tokio::time::sleep(wait).await;
                let mut stream = respond.send_response(Response::new(()), false).expect("a stream");
                tokio::time::sleep(wait).await;
                stream.send_data(Bytes::from_static(b"late"), true).expect("a stream");
            });
            let response = client.send(get()).await.expect("a response");
            assert_eq!(response.into_body().collect(10).await, Ok(Bytes::from_static(b"late")));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_without_an_error_is_no_end() {
    let check = async |length: Option<&'static str>, expected: Result<&'static [u8], BodyErrorKind>| {
        let (client, peer) = client().await;
        answer(peer, async move |mut respond| {
            let mut head = Response::new(());
            head.headers_mut().extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from_static(length))));
            let mut stream = respond.send_response(head, false).expect("a stream");
            stream.send_data(Bytes::from_static(b"half"), false).expect("a stream");
            tokio::time::sleep(Duration::from_secs(1)).await;
            stream.send_reset(h2::Reason::NO_ERROR);
        });
        let body = client.send(get()).await.expect("a response").into_body();
        assert_eq!(body.exact_len(), length.map(|length| length.parse().expect("a number")));
        let got = body.collect(10).await.map_err(|error| error.kind);
        assert_eq!(got, expected.map(Bytes::from_static), "{length:?}");
    };
    tokio::task::LocalSet::new()
        .run_until(async {
            check(Some("10"), Err(BodyErrorKind::Reset)).await;
            check(None, Err(BodyErrorKind::Reset)).await;
            check(Some("4"), Ok(b"half")).await;
        })
        .await;
}

#[tokio::test]
async fn a_peer_that_answers_early_stops_the_upload() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (client, peer) = client().await;
            // h2 sends the reset without an error by itself: the request is gone, which has not ended.
            answer(peer, async |mut respond| {
                let mut stream = respond.send_response(Response::new(()), false).expect("a stream");
                stream.send_data(Bytes::from_static(b"enough"), true).expect("a stream");
            });
            let (stopped, is_stopped) = tokio::sync::oneshot::channel();
            let mut request = get();
            *request.method_mut() = Method::POST;
            *request.body_mut() = written(async |mut body| {
                while body.send_data(Bytes::from_static(&[0; 1000])).await.is_ok() {}
                let _ = stopped.send(());
            });
            let response = in_time(client.send(request)).await.expect("a response");
            in_time(is_stopped).await.expect("it stops");
            // Read only after the reset.
            assert_eq!(response.into_body().collect(10).await, Ok(Bytes::from_static(b"enough")));
        })
        .await;
}

/// What a peer that opens its window for everything sees of such a body.
async fn on_the_wire(length: Option<u64>, body: Body) -> (Vec<(usize, u8)>, Result<StatusCode, ClientErrorKind>) {
    let (client, mut peer) = client().await;
    let mut request = get();
    *request.method_mut() = Method::POST;
    *request.body_mut() = body;
    request.headers_mut().extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
    let sent = tokio::spawn(async move { client.send(request).await });
    // An empty SETTINGS frame, and nothing more.
    peer.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("room");
    peer.read_exact(&mut [0; 24]).await.expect("the preface");
    let mut seen = Vec::new();
    loop {
        let mut head = [0; 9];
        in_time(peer.read_exact(&mut head)).await.expect("a frame");
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        peer.read_exact(&mut payload).await.expect("its payload");
        let (data, reset) = (kind == 0, kind == 3);
        if data {
            seen.push((payload.len(), flags));
        }
        if reset || (data && flags & 1 == 1) {
            break;
        }
    }
    drop(peer);
    let answered = in_time(sent).await.expect("no panic");
    (seen, answered.map(|response| response.status()).map_err(|error| error.kind))
}

#[tokio::test]
async fn bodies_as_they_are_sent() {
    let pieces = |pieces: &'static [&'static [u8]]| {
        written(async move |mut body| {
            for piece in pieces {
                let _ = body.send_data(Bytes::from_static(piece)).await;
            }
            let _ = body.finish().await;
        })
    };
    let check = async |length, body, expected: &[(usize, u8)], error| {
        let (mut seen, answered) = on_the_wire(length, body).await;
        // The end may come with the last piece, or after it.
        if seen.last() == Some(&(0, 1)) && seen.len() > 1 {
            seen.pop();
            if let Some((_, flags)) = seen.last_mut() {
                *flags |= 1;
            }
        }
        assert_eq!(seen, expected, "{length:?}");
        assert_eq!(answered, Err(error), "{length:?}");
    };
    let gone = ClientErrorKind::Closed;
    check(None, pieces(&[b"", b"a", b"", b"bc", b""]), &[(1, 0), (2, 1)], gone).await;
    check(None, pieces(&[b"", b""]), &[(0, 1)], gone).await;
    check(None, Body::full("abc"), &[(3, 1)], gone).await;
    check(Some(3), pieces(&[b"a", b"bc"]), &[(1, 0), (2, 1)], gone).await;
    check(Some(3), pieces(&[b"ab"]), &[(2, 0)], ClientErrorKind::RequestBody).await;
    check(Some(3), pieces(&[b"ab", b"cd"]), &[(2, 0)], ClientErrorKind::RequestBody).await;
    check(Some(3), Body::empty(), &[], ClientErrorKind::RequestBody).await;
}

/// A response to a client that, after the head, does not read until it is told to; `is_taken`: h2 has taken the whole body
/// by then.
async fn check_sleeper(window: u32, is_taken: bool) {
    let (ours, theirs) = duplex(1000);
    let mut builder = h2::client::Builder::new();
    let client = builder.initial_window_size(window).handshake::<_, Bytes>(theirs);
    let (client, server) = tokio::join!(client, h2::server::Builder::new().handshake(ours));
    let ((mut sender, mut client), mut server) = (client.expect("HTTP/2"), server.expect("HTTP/2"));
    let (response, _) = sender.send_request(get().map(drop), true).expect("a stream");
    let hold = Arc::new(());
    let held = Arc::clone(&hold);
    let mut sending = tokio::spawn(async move {
        let (_, mut respond) = server.accept().await.expect("a request").expect("no error");
        tokio::spawn(async move { server.accept().await.is_none() });
        let mut stream = respond.send_response(Response::new(()), false).expect("a stream");
        send_body(&mut stream, Body::full(vec![0; LENGTH]), None, held, Stall::never()).await.expect("a client");
    });
    let Either::Left((response, _)) = select(response, &mut client).await else { panic!("the connection ended") };
    let mut body = response.expect("a response").into_body();
    // That nothing happens meanwhile is what is tested.
    let sent = tokio::time::timeout(Duration::from_secs(1), &mut sending).await;
    assert_eq!(sent.is_ok(), is_taken, "a window of {window}");
    assert!(Arc::strong_count(&hold) > 1, "a window of {window}: it is on its way");
    tokio::spawn(client);
    let mut got = 0;
    while let Some(data) = body.data().await {
        got += data.as_ref().map_or(0, Bytes::len);
        body.flow_control().release_capacity(data.expect("no error").len()).expect("room");
    }
    assert_eq!(got, LENGTH);
    assert!(is_taken || sending.await.is_ok());
    assert_eq!(Arc::strong_count(&hold), 1, "a window of {window}: it is written");
}

#[tokio::test(start_paused = true)]
async fn h2_gets_what_the_window_has_room_for() {
    check_sleeper(10, false).await;
    check_sleeper(1 << 20, true).await;
}

const LENGTH: usize = 50_000;

#[tokio::test(start_paused = true)]
async fn a_stream_stalls_when_nothing_moves() {
    let limit = Duration::from_secs(60);
    let check = async |moves: &[u64], expected: u64| {
        let connection = Moves::new(limit);
        let (mut waiting, other) = (Stall::on(&connection), Stall::on(&connection));
        let begun = Instant::now();
        let stalled = poll_fn(|cx| waiting.poll(cx));
        let moving = async {
            for second in moves {
                tokio::time::sleep_until(begun + Duration::from_secs(*second)).await;
                other.moved();
            }
        };
        tokio::join!(stalled, moving);
        assert_eq!(begun.elapsed().as_secs(), expected, "{moves:?}");
    };
    check(&[], 60).await;
    check(&[1], 120).await;
    check(&[50, 100, 130], 240).await;
}

#[tokio::test]
async fn the_connection_ends_with_its_last_user() {
    let (client, mut peer) = client().await;
    let other = client.clone();
    drop(client);
    assert!(!other.is_closed());
    drop(other);
    let mut said = Vec::new();
    peer.read_to_end(&mut said).await.expect("the end");
    // The preface, and the frames that say hello and good-bye.
    assert!(said.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "{said:?}");
}

#[tokio::test]
async fn a_method_that_may_have_a_body_says_that_it_has_none() {
    tokio::task::LocalSet::new()
        .run_until(async {
            for (method, expected) in [(Method::POST, Some("0")), (Method::GET, None), (Method::DELETE, None)] {
                let (client, peer) = client().await;
                let mut request = get();
                *request.method_mut() = method.clone();
                tokio::task::spawn_local(async move { client.send(request).await.map(drop) });
                let mut connection = h2::server::handshake(peer).await.expect("HTTP/2");
                let (asked, _) = connection.accept().await.expect("a request").expect("no error");
                let length = asked.headers().get("content-length").map(|value| value.to_str().expect("text"));
                assert_eq!(length, expected, "{method}");
            }
        })
        .await;
}

#[tokio::test]
async fn a_peer_that_leaves_has_not_touched_later_requests() {
    let (client, mut peer) = client().await;
    let sent = tokio::spawn(async move { client.send(get()).await });
    // An empty SETTINGS frame, and a GOAWAY that names no request (RFC 9113 §6.8).
    peer.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("room");
    peer.read_exact(&mut [0; 24]).await.expect("the preface");
    let mut kind = 0;
    while kind != 1 {
        let mut head = [0; 9];
        in_time(peer.read_exact(&mut head)).await.expect("a frame");
        kind = head[3];
        peer.read_exact(&mut vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize]).await.expect("it");
    }
    peer.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.expect("room");
    let error = in_time(sent).await.expect("no panic").expect_err("no response");
    assert_eq!((error.kind, error.sent), (ClientErrorKind::Closed, false), "{error}");
    assert!(error.retryable(false));
}

#[tokio::test]
async fn responses_that_have_no_body() {
    let check = async |method: Method, status, data: &'static [u8], expected| {
        let (client, peer) = client().await;
        answer(peer, async move |mut respond| {
            let mut head = Response::new(());
            *head.status_mut() = StatusCode::from_u16(status).expect("a status");
            if status == 200 {
                // RFC 9110 §9.3.2: as long as the response to a GET would be.
                head.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("10"));
            }
            let mut stream = respond.send_response(head, false).expect("a stream");
            tokio::task::yield_now().await;
            // The end comes later than the head.
            stream.send_data(Bytes::from_static(data), true).expect("a stream");
        });
        let mut request = get();
        *request.method_mut() = method.clone();
        let body = in_time(client.send(request)).await.expect("a response").into_body();
        assert_eq!(body.exact_len(), Some(0), "{method} {status}");
        let got = in_time(body.collect(10)).await.map_err(|error| error.kind);
        assert_eq!(got.map(|bytes| bytes.len()), expected, "{method} {status} {data:?}");
    };
    tokio::task::LocalSet::new()
        .run_until(async {
            check(Method::HEAD, 200, b"", Ok(0)).await;
            check(Method::GET, 204, b"", Ok(0)).await;
            check(Method::GET, 304, b"", Ok(0)).await;
            check(Method::GET, 204, b"x", Err(BodyErrorKind::TooLong)).await;
            check(Method::HEAD, 200, b"x", Err(BodyErrorKind::Reset)).await;
        })
        .await;
}
