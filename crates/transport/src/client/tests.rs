//! Clients against our own servers, over real sockets.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ClientErrorKind, Connection, Dialer, Http1, Security, Target};
use crate::body::{Body, BodyError, BodyErrorKind, BodySender, Side};
use crate::server::ServerLimits;
use crate::service::Upgrade;
use crate::testing::{Fixture, count, in_time, listener, written};
use crate::tls::{Authority, SiteCertificates, origin_client_config, server_config};

fn target(addr: SocketAddr, security: Security) -> Target {
    Target { host: addr.ip().to_string(), port: addr.port(), security }
}

fn dialer() -> Dialer {
    Dialer::new(None, Duration::from_secs(10))
}

async fn http1(addr: SocketAddr) -> Http1 {
    match dialer().dial(&target(addr, Security::Clear)).await {
        Ok(Connection::Http1(connection)) => connection,
        other => panic!("no HTTP/1.1: {other:?}"),
    }
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(path).header("host", "a.test").body(body).expect("a request")
}

fn get(path: &str) -> Request<Body> {
    request(Method::GET, path, Body::empty())
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Fixture::clear(ServerLimits::default());
    let mut connection = http1(server.addr).await;
    let mut check = async |request: Request<Body>, expected: &str| {
        let path = request.uri().path().to_owned();
        let response = in_time(connection.send(request)).await.expect("a response");
        assert_eq!(count(response.into_body()).await, expected, "{path}");
    };
    check(get("/hello"), "5").await;
    check(request(Method::POST, "/echo", Body::full(vec![0; 1_000_000])), "1000000").await;
    check(request(Method::HEAD, "/hello", Body::empty()), "0").await;
    check(get("/trailers"), "4").await;
    assert_eq!(server.shutdown.connections(), 1);
    server.shutdown.begin();
    server.ended().await;
    let mut error = in_time(connection.send(get("/hello"))).await.expect_err("closed");
    assert!(!error.sent && error.take_request().is_some(), "{error}");
}

#[tokio::test]
async fn bodies_stream_both_ways_under_back_pressure() {
    let authority = Authority::generate("test").expect("an authority");
    let identity = authority.issue_server(&["a.test"]).expect("a certificate");
    let certificates = SiteCertificates::new(identity).expect("certificates");
    let secure = Fixture::tls(server_config(Arc::new(certificates)).expect("a configuration"));
    let clear = Fixture::clear(ServerLimits::default());
    let tls = origin_client_config(Some(authority.ca_pem().as_bytes())).expect("a configuration");
    let dialer = Dialer::new(Some(tls), Duration::from_secs(10));
    let named = Security::Tls { server_name: "a.test".to_owned() };
    // What may be under way: windows and buffers of both sides; sockets' buffers grow by themselves.
    for (target, bound) in [(target(clear.addr, Security::Clear), 48 << 20), (target(secure.addr, named), 16 << 20)] {
        let connection = dialer.dial(&target).await.expect("a connection");
        in_time(echo_much(connection, bound)).await;
    }
}

/// Sends and receives as much as is under way at most, several times over.
async fn echo_much(mut connection: Connection, bound: u64) {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let total = 4 * bound;
    let body = written(async move |mut body: BodySender| {
        let chunk = Bytes::from((0..=255_u8).cycle().take(64 << 10).collect::<Vec<_>>());
        while counted.load(Ordering::Relaxed) < total {
            body.send_data(chunk.clone()).await.expect("still wanted");
            counted.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        body.finish().await.expect("still wanted");
    });
    let uri = if matches!(connection, Connection::Http2(_)) { "https://a.test/echo" } else { "/echo" };
    let response = connection.send(request(Method::POST, uri, body)).await.expect("a response");
    let (mut body, mut received) = (response.into_body(), 0_u64);
    while let Some(frame) = body.frame().await {
        let data = frame.expect("no error").into_data().expect("data");
        assert!(data.first().is_none_or(|byte| u64::from(*byte) == received % 256), "at {received}");
        received += data.len() as u64;
        let under_way = sent.load(Ordering::Relaxed) - received;
        assert!(under_way <= bound, "{under_way} bytes under way at {received}");
    }
    assert_eq!(received, total);
}

#[tokio::test]
async fn broken_responses_are_errors() {
    let server = Fixture::clear(ServerLimits::default());
    for path in ["/broken", "/short"] {
        let answer = in_time(http1(server.addr).await.send(get(path))).await;
        match answer {
            Ok(response) => {
                let error = response.into_body().collect(100).await.expect_err("not whole");
                assert_eq!(error.side, Side::Upstream, "{path}: {error}");
            }
            // The reset overtook the head.
            Err(error) => assert!(error.sent && error.retryable(true), "{path}: {error}"),
        }
    }
    let error = in_time(http1(server.addr).await.send(get("/panic"))).await.expect_err("no response");
    assert!(error.sent && !error.retryable(false), "{error}");
}

#[tokio::test]
async fn a_broken_upload_is_the_senders_fault() {
    let server = Fixture::clear(ServerLimits::default());
    let upload = written(async |mut body| {
        let _ = body.send_data(Bytes::from_static(b"abc")).await;
        body.abort(BodyError::new(BodyErrorKind::Reset, Side::Client)).await;
    });
    let sent = http1(server.addr).await.send(request(Method::POST, "/count", upload)).await;
    let error = sent.expect_err("no response");
    assert_eq!(error.kind, ClientErrorKind::RequestBody, "{error}");
}

#[tokio::test]
async fn leaving_http() {
    let server = Fixture::clear(ServerLimits::default());
    let mut asked = get("/upgrade");
    asked.headers_mut().insert("connection", "upgrade".parse().expect("a value"));
    asked.headers_mut().insert("upgrade", "echo".parse().expect("a value"));
    let mut response = in_time(http1(server.addr).await.send(asked)).await.expect("a response");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upgrade = response.extensions_mut().remove::<Upgrade>().expect("an upgrade");
    let mut io = in_time(upgrade.take()).await.expect("bytes both ways");
    io.write_all(b"hello").await.expect("room");
    let mut heard = [0; 5];
    in_time(io.read_exact(&mut heard)).await.expect("an echo");
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn why_there_is_no_connection() {
    let check = async |target: Target, dialer: Dialer, expected: ClientErrorKind| {
        let error = dialer.dial(&target).await.expect_err("no connection");
        assert_eq!((error.kind, error.sent), (expected, false), "{error}");
    };
    let closed = listener().local_addr().expect("an address");
    check(target(closed, Security::Clear), dialer(), ClientErrorKind::ConnectRefused).await;
    let nowhere = Target { host: "no-such-name.invalid".to_owned(), port: 80, security: Security::Clear };
    check(nowhere, dialer(), ClientErrorKind::Dns).await;

    let silent: TcpListener = listener();
    let tls = Security::Tls { server_name: "a.test".to_owned() };
    let tls_to = |addr| target(addr, tls.clone());
    let believing = origin_client_config(None).expect("a configuration");
    let impatient = Dialer::new(Some(Arc::clone(&believing)), Duration::from_millis(50));
    check(tls_to(silent.local_addr().expect("an address")), impatient, ClientErrorKind::ConnectTimeout).await;
    check(tls_to(silent.local_addr().expect("an address")), dialer(), ClientErrorKind::Tls).await;

    let unknown = Authority::generate("unknown").expect("an authority").issue_server(&["a.test"]);
    let certificates = SiteCertificates::new(unknown.expect("a certificate")).expect("certificates");
    let server = Fixture::tls(server_config(Arc::new(certificates)).expect("a configuration"));
    let believing = Dialer::new(Some(believing), Duration::from_secs(10));
    check(tls_to(server.addr), believing, ClientErrorKind::Tls).await;
}
