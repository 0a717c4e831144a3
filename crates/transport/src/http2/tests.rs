//! Pings and bodies of HTTP/2, with h2 itself at the other end.

use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::body::{Body, BodyErrorKind};
use crate::client::{ClientErrorKind, Http2};

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
async fn a_peer_that_dies_in_mid_body() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let (client, peer) = client().await;
            answer(peer, async |mut respond| {
                let head = Response::builder().header("content-length", "10").body(()).expect("a head");
                let mut stream = respond.send_response(head, false).expect("a stream");
                stream.send_data(Bytes::from_static(b"half"), false).expect("a stream");
                tokio::time::sleep(Duration::from_secs(1)).await;
                // RFC 9113 §8.1: no error of the request, but not the whole response either.
                stream.send_reset(h2::Reason::NO_ERROR);
            });
            let body = client.send(get()).await.expect("a response").into_body();
            assert_eq!(body.exact_len(), Some(10));
            assert_eq!(body.collect(10).await.expect_err("not whole").kind, BodyErrorKind::Reset);
        })
        .await;
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
