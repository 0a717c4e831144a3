//! HTTP/2: what h2 does for us, and what it leaves to us.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{HOST, HeaderValue};
use http::{Method, Request, Response};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::body::{Body, BodyError, BodyErrorKind, Side};
use crate::client::{ClientError, Connection, Dialer, Http2, Security, Target};
use crate::server::ServerLimits;
use crate::testing::{Fixture, LARGE, count, in_time, written};
use crate::tls::{Authority, H2, SiteCertificates, origin_client_config, server_config};

/// A server, and a connection to it that speaks nothing yet.
async fn start_raw(limits: ServerLimits) -> (Fixture, TlsStream<TcpStream>) {
    let authority = Authority::generate("test").expect("an authority");
    let identity = authority.issue_server(&["a.test"]).expect("a certificate");
    let certificates = Arc::new(SiteCertificates::new(identity).expect("certificates"));
    let server = Fixture::tls_within(server_config(certificates).expect("a configuration"), limits);
    let tls = origin_client_config(Some(authority.ca_pem().as_bytes())).expect("a configuration");
    let mut tls = ClientConfig::clone(&tls);
    tls.alpn_protocols = vec![H2.to_vec()];
    let tcp = TcpStream::connect(server.addr).await.expect("a connection");
    let name = "a.test".try_into().expect("a name");
    let io = TlsConnector::from(Arc::new(tls)).connect(name, tcp).await.expect("a handshake");
    (server, io)
}

struct Started {
    server: Fixture,
    client: Http2,
}

async fn start() -> Started {
    start_within(ServerLimits::default()).await
}

async fn start_within(limits: ServerLimits) -> Started {
    let authority = Authority::generate("test").expect("an authority");
    let identity = authority.issue_server(&["a.test"]).expect("a certificate");
    let certificates = Arc::new(SiteCertificates::new(identity).expect("certificates"));
    let server = Fixture::tls_within(server_config(certificates).expect("a configuration"), limits);
    let tls = origin_client_config(Some(authority.ca_pem().as_bytes())).expect("a configuration");
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: server.addr.port(),
        security: Security::Tls { server_name: "a.test".to_owned() },
    };
    let dialed = Dialer::new(Some(tls), Duration::from_secs(10)).dial(&target).await;
    let Ok(Connection::Http2(client)) = dialed else { panic!("no HTTP/2: {dialed:?}") };
    Started { server, client }
}

fn request(method: Method, uri: &str, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().expect("a URI");
    request
}

fn get(path: &str) -> Request<Body> {
    request(Method::GET, &format!("https://a.test{path}"), Body::empty())
}

/// Status and body, or how it broke.
async fn summary(answer: Result<Response<Body>, ClientError>) -> String {
    match answer {
        Ok(response) if response.status() == 200 => format!("200 {}", count(response.into_body()).await),
        Ok(response) => {
            let text = response.status().as_u16().to_string();
            let body = response.into_body().collect(1000).await.expect("a whole body");
            format!("{text} {}", String::from_utf8_lossy(&body).trim_end())
        }
        Err(error) => format!("{}", error.kind),
    }
}

#[tokio::test]
async fn exchanges() {
    let Started { client, .. } = start().await;
    let check = async |request: Request<Body>, expected: &str| {
        let what = format!("{} {}", request.method(), request.uri());
        assert_eq!(summary(in_time(client.send(request)).await).await, expected, "{what}");
    };
    let post = |path: &str, body| request(Method::POST, &format!("https://a.test{path}"), body);
    check(get("/hello"), "200 5").await;
    check(get("/info"), "200 23").await;
    check(post("/echo", Body::full(vec![0; 3_000_000])), "200 3000000").await;
    check(post("/count", Body::full("abc")), "200 1").await;
    check(get("/trailers"), "200 4+trailers").await;
    check(get("/upgrade"), "200 9").await;
    check(get("/101"), "500 500 Internal Server Error: interim-response").await;
    let head = in_time(client.send(request(Method::HEAD, "https://a.test/hello", Body::empty()))).await;
    assert_eq!(summary(head).await, "200 0");
    let empty = in_time(client.send(get("/204"))).await.expect("a response");
    // RFC 9110 §8.6.
    assert!(!empty.headers().contains_key("content-length"));
    assert_eq!(summary(Ok(empty)).await, "204 ");
    let upload = written(async |mut body| {
        let _ = body.send_data(Bytes::from_static(b"abc")).await;
        body.abort(BodyError::new(BodyErrorKind::Reset, Side::Client)).await;
    });
    assert_eq!(summary(in_time(client.send(post("/count", upload))).await).await, "request body failed");
    assert!(!client.is_closed(), "none of this may close the connection");
}

#[tokio::test]
async fn refused_requests() {
    let Started { client, .. } = start().await;
    let check = async |uri: &str, (name, value): (&'static str, &str), expected: &str| {
        let mut request = request(Method::GET, uri, Body::empty());
        request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a value"));
        let answer = summary(in_time(client.send(request)).await).await;
        assert!(answer.starts_with(expected), "{uri:.100} {name}: {value:.100}: {answer}");
    };
    check("https://a.test/hello", (HOST.as_str(), "A.test"), "200").await;
    check("https://a.test/hello", (HOST.as_str(), "b.test"), "400 400 Bad Request: host-conflict").await;
    check("https://user@a.test/hello", ("x", "y"), "400 400 Bad Request: authority-invalid").await;
    check("https://a.test/hello", ("content-length", "+5"), "").await;
    check("https://a.test/hello", ("x", &"y".repeat(70_000)), "431").await;
    check(&format!("https://a.test/{}", "y".repeat(20_000)), ("x", "y"), "414").await;
    assert!(!client.is_closed(), "none of this may close the connection");
}

#[tokio::test]
async fn what_breaks_off_is_reset() {
    let Started { client, .. } = start().await;
    for path in ["/broken", "/short", "/long", "/panic"] {
        let answer = in_time(async { summary(client.send(get(path)).await).await }).await;
        // A reset may overtake the head.
        assert!(answer.contains(" then ") || !answer.starts_with("200"), "{path}: {answer}");
    }
    assert_eq!(summary(in_time(client.send(get("/hello"))).await).await, "200 5");
}

#[tokio::test]
async fn a_client_that_leaves_drops_its_request() {
    let Started { mut server, client } = start().await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.send(get("/hang")).await }
    });
    assert_eq!(server.told().await, "hanging");
    waiting.abort();
    assert_eq!(server.told().await, "left");
    assert_eq!(summary(in_time(client.send(get("/hello"))).await).await, "200 5");
}

#[tokio::test]
async fn requests_under_way_are_answered_at_the_end() {
    let Started { mut server, client } = start().await;
    let running = tokio::spawn({
        let client = client.clone();
        async move { summary(client.send(get("/slow")).await).await }
    });
    assert_eq!(server.told().await, "slow");
    server.shutdown.begin();
    server.go();
    assert_eq!(in_time(running).await.expect("no panic"), "200 4");
    server.ended().await;
}

#[tokio::test]
async fn idle_connections_end_with_the_server() {
    let Started { server, client } = start().await;
    assert_eq!(summary(in_time(client.send(get("/hello"))).await).await, "200 5");
    server.shutdown.begin();
    server.ended().await;
    assert!(client.is_closed());
}

#[tokio::test]
async fn idle_connections_end() {
    let limits = ServerLimits { idle: SOON, linger: SOON, ..ServerLimits::default() };
    let Started { mut server, client } = start_within(limits).await;
    let running = tokio::spawn({
        let client = client.clone();
        async move { summary(client.send(get("/slow")).await).await }
    });
    assert_eq!(server.told().await, "slow");
    // Longer than any limit: that time passes is what is tested.
    tokio::time::sleep(3 * SOON).await;
    server.go();
    assert_eq!(in_time(running).await.expect("no panic"), "200 4");
    server.emptied().await;
    assert!(client.is_closed());
}

#[tokio::test]
async fn clients_that_say_nothing() {
    let limits = ServerLimits { handshake: SOON, head: SOON, linger: SOON, ..ServerLimits::default() };
    let Started { server, client } = start_within(limits).await;
    // The client has said that it speaks HTTP/2, and no more.
    server.emptied().await;
    assert!(client.is_closed());
    let silent = server.connect().await;
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn clients_that_fall_silent() {
    let limits = ServerLimits { ping_interval: SOON, ping_timeout: SOON, ..ServerLimits::default() };
    let (mut server, io) = start_raw(limits).await;
    let (mut sender, mut connection) = h2::client::handshake(io).await.expect("HTTP/2");
    let hang = get("/hang").map(drop);
    let _response = sender.send_request(hang, true).expect("a stream");
    // As long as someone answers pings, the service may take its time: that time passes is what is tested.
    let alive = tokio::time::timeout(10 * SOON, &mut connection).await;
    assert!(alive.is_err(), "{alive:?}");
    assert_eq!(server.told().await, "hanging");
    // From here on nobody reads.
    assert_eq!(server.told().await, "left");
    server.emptied().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_idle() {
    let limits = ServerLimits { idle: SOON, linger: SOON, ..ServerLimits::default() };
    let (server, io) = start_raw(limits).await;
    let (mut sender, mut connection) = h2::client::handshake(io).await.expect("HTTP/2");
    let (response, _) = sender.send_request(get("/large").map(drop), true).expect("a stream");
    let Either::Left((response, _)) = select(response, &mut connection).await else { panic!("no response") };
    let mut body = response.expect("a response").into_body();
    // That its time passes is what is tested: the window of 64 KiB is full.
    let waiting = tokio::time::timeout(10 * SOON, &mut connection).await;
    assert!(waiting.is_err(), "{waiting:?}");
    tokio::spawn(connection);
    let mut got = 0;
    while let Some(data) = in_time(body.data()).await {
        let length = data.expect("no error").len();
        got += length;
        body.flow_control().release_capacity(length).expect("room");
    }
    assert_eq!(got, LARGE);
    drop(sender);
    server.emptied().await;
}

#[tokio::test]
async fn messages_that_do_not_go_on() {
    let (mut server, io) = start_raw(ServerLimits { stall: SOON, ..ServerLimits::default() }).await;
    let (mut sender, connection) = h2::client::handshake(io).await.expect("HTTP/2");
    tokio::spawn(connection);
    let count = request(Method::POST, "https://a.test/count", Body::empty()).map(drop);
    let (counted, mut upload) = sender.send_request(count, false).expect("a stream");
    upload.send_data(Bytes::from_static(b"ab"), false).expect("a stream");
    assert_eq!(server.told().await, "2 then body timed out");
    assert_eq!(in_time(counted).await.expect("a response").status(), 200);
    let (endless, _) = sender.send_request(get("/endless").map(drop), true).expect("a stream");
    let mut body = in_time(endless).await.expect("a response").into_body();
    // Nothing of it is let go of, which closes its window.
    let end = in_time(async {
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.reason(),
                None => return None,
            }
        }
    });
    assert_eq!(end.await, Some(h2::Reason::CANCEL));
    let (hello, _) = sender.send_request(get("/hello").map(drop), true).expect("a stream");
    assert_eq!(in_time(hello).await.expect("the connection holds").status(), 200);
}

const SOON: Duration = Duration::from_millis(100);
