//! HTTP/3 between our client and our server, over real sockets.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Client, Connection, Limits, serve};
use crate::body::{Body, BodyError, BodyErrorKind, BodySender, Side};
use crate::client::{ClientError, ClientErrorKind};
use crate::interim::Interims;
use crate::service::{ConnInfo, Protocol, Service};
use crate::shutdown::Shutdown;
use crate::testing::{count, written};

/// Answers by path; see [`TestService::call`]. What it learns of requests that get no answer goes to `seen`.
#[derive(Clone)]
struct TestService {
    seen: mpsc::UnboundedSender<String>,
}

impl Service for TestService {
    async fn call(&self, request: Request<Body>, connection: &Arc<ConnInfo>, _: &Interims) -> Response<Body> {
        assert_eq!(connection.protocol, Protocol::Http3);
        let path = request.uri().path().to_owned();
        let ended = http_body::Body::is_end_stream(request.body());
        match path.as_str() {
            "/echo" => Response::new(request.into_body()),
            "/ended" => Response::new(Body::full(ended.to_string())),
            "/count" | "/watch" => {
                if path == "/watch" {
                    let _ = self.seen.send("watching".to_owned());
                }
                let counted = count(request.into_body()).await;
                let _ = self.seen.send(counted.clone());
                Response::new(Body::full(counted))
            }
            "/early" => Response::new(written(async move |mut body| {
                let _ = body.send_data(Bytes::from_static(b"early ")).await;
                let _ = body.send_data(count(request.into_body()).await.into()).await;
                let _ = body.finish().await;
            })),
            "/unread" => Response::new(Body::full("did not read it")),
            "/dropped" => Response::new(written(async |mut body| {
                let _ = body.send_data(Bytes::from_static(b"half")).await;
            })),
            "/trailers" => Response::new(written(async |mut body| {
                let _ = body.send_data(Bytes::from_static(b"data")).await;
                let _ = body.send_trailers(trailers()).await;
            })),
            "/short" => with_length(10, "five!"),
            "/long" => with_length(3, "five!"),
            "/length" => with_length(5, "five!"),
            "/204" => {
                let mut response = with_length(5, "five!");
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            "/304" => {
                let mut response = with_length(5, "");
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            }
            "/hang" => {
                let _left = Left(self.seen.clone());
                let _ = self.seen.send("hanging".to_owned());
                std::future::pending().await
            }
            _ => panic!("a handler that panics"),
        }
    }
}

struct Left(mpsc::UnboundedSender<String>);

impl Drop for Left {
    fn drop(&mut self) {
        let _ = self.0.send("left".to_owned());
    }
}

fn with_length(length: u64, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    trailers
}

struct Fixture {
    addr: SocketAddr,
    client: Client,
    shutdown: Shutdown,
    server: JoinHandle<std::io::Result<()>>,
    seen: mpsc::UnboundedReceiver<String>,
}

fn tls() -> (Arc<rustls::ServerConfig>, rustls::ClientConfig) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["shield.test".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a key");
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), client)
}

fn start(limits: Limits) -> Fixture {
    let (server_tls, client_tls) = tls();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let addr = socket.local_addr().expect("an address");
    let (tx, seen) = mpsc::unbounded_channel();
    let shutdown = Shutdown::new();
    let serving = serve(socket, server_tls, TestService { seen: tx }, shutdown.clone(), limits.clone());
    let server = tokio::spawn(serving);
    let client = Client::new(&client_tls, limits).expect("TLS 1.3");
    Fixture { addr, client, shutdown, server, seen }
}

impl Fixture {
    async fn connect(&self) -> Connection {
        self.client.connect(self.addr, "shield.test").await.expect("a connection")
    }
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = format!("https://shield.test{path}").parse().expect("a URI");
    request
}

/// Status and body as text, or the error.
async fn summary(answer: Result<Response<Body>, ClientError>) -> String {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return format!("{} sent={}", error.kind, error.sent),
    };
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    let mut text = format!("{status} ");
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => text.push_str(&String::from_utf8_lossy(&data)),
            Ok(Err(frame)) => text.push_str(&format!("+{}", frame.into_trailers().map_or(0, |map| map.len()))),
            Err(error) => text.push_str(&format!("then {} ({})", error.kind, error.side)),
        }
    }
    text
}

#[tokio::test]
async fn exchanges() {
    let fixture = start(Limits::internal());
    let connection = fixture.connect().await;
    let check = async |method: Method, path: &str, body: Body, expected: &str| {
        let answer = connection.send(request(method.clone(), path, body)).await;
        assert_eq!(summary(answer).await, expected, "{method} {path}");
    };
    check(Method::GET, "/echo", Body::empty(), "200 ").await;
    check(Method::GET, "/ended", Body::empty(), "200 true").await;
    check(Method::POST, "/echo", Body::full("hello"), "200 hello").await;
    check(Method::POST, "/count", Body::full(vec![0; 100_000]), "200 100000").await;
    check(Method::GET, "/trailers", Body::empty(), "200 data+1").await;
    check(Method::GET, "/length", Body::empty(), "200 five!").await;
    check(Method::HEAD, "/length", Body::empty(), "200 ").await;
    check(Method::GET, "/204", Body::empty(), "204 ").await;
    check(Method::GET, "/304", Body::empty(), "304 ").await;
    check(Method::GET, "/panic", Body::empty(), "reset by peer sent=true").await;
    check(Method::POST, "/unread", Body::full(vec![0; 3_000_000]), "200 did not read it").await;
    for path in ["/dropped", "/short", "/long"] {
        // A reset may overtake what was sent before it, even the head.
        let broken = summary(connection.send(request(Method::GET, path, Body::empty())).await).await;
        let is_reset = broken.ends_with("then stream reset (upstream)") || broken == "reset by peer sent=true";
        assert!(is_reset, "{path}: {broken}");
    }
    assert!(!connection.is_closed(), "none of this may close the connection");
}

#[tokio::test]
async fn trailers_go_up() {
    let fixture = start(Limits::internal());
    let body = written(async |mut body| {
        let _ = body.send_data(Bytes::from_static(b"data")).await;
        let _ = body.send_trailers(trailers()).await;
    });
    let answer = fixture.connect().await.send(request(Method::POST, "/count", body)).await;
    assert_eq!(summary(answer).await, "200 4+trailers");
}

#[tokio::test]
async fn broken_uploads_are_errors_on_both_sides() {
    let mut fixture = start(Limits::internal());
    let connection = fixture.connect().await;
    // Broken off only once the request is seen: a reset may overtake all that was sent before it.
    let (seen, mut go) = mpsc::channel::<()>(1);
    let aborted = written(async move |mut body| {
        let _ = body.send_data(Bytes::from_static(b"data")).await;
        go.recv().await;
        body.abort(BodyError::new(BodyErrorKind::Reset, Side::Client)).await;
    });
    let (answer, told) = tokio::join!(connection.send(request(Method::POST, "/watch", aborted)), async {
        assert_eq!(fixture.seen.recv().await.as_deref(), Some("watching"));
        drop(seen);
        fixture.seen.recv().await.expect("the server tells")
    });
    assert_eq!(summary(answer).await, "request body failed sent=true");
    assert!(told.ends_with("then stream reset"), "{told}");

    let (seen, mut go) = mpsc::channel::<()>(1);
    let mut short = request(
        Method::POST,
        "/watch",
        written(async move |mut body| {
            let _ = body.send_data(Bytes::from_static(b"data")).await;
            go.recv().await;
            let _ = body.finish().await;
        }),
    );
    short.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(10));
    let (answer, told) = tokio::join!(connection.send(short), async {
        assert_eq!(fixture.seen.recv().await.as_deref(), Some("watching"));
        drop(seen);
        fixture.seen.recv().await.expect("the server tells")
    });
    assert_eq!(summary(answer).await, "request body failed sent=true");
    assert!(told.ends_with("then stream reset"), "{told}");
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn the_response_may_come_while_the_request_is_sent() {
    let fixture = start(Limits::internal());
    let (mut upload, body) = Body::channel(1);
    let response = fixture.connect().await.send(request(Method::POST, "/early", body)).await.expect("a response");
    let mut body = response.into_body();
    let first = body.frame().await.expect("a frame").expect("data").into_data().expect("data");
    assert_eq!(first, "early ");
    upload.send_data(Bytes::from_static(b"12345")).await.expect("still wanted");
    upload.finish().await.expect("still wanted");
    assert_eq!(body.collect(100).await.expect("the rest"), "5");
}

#[tokio::test]
async fn a_client_that_leaves_drops_the_request() {
    let mut fixture = start(Limits::internal());
    let connection = fixture.connect().await;
    let waiting = tokio::spawn({
        let connection = connection.clone();
        async move { connection.send(request(Method::GET, "/hang", Body::empty())).await }
    });
    assert_eq!(fixture.seen.recv().await.as_deref(), Some("hanging"));
    waiting.abort();
    assert_eq!(fixture.seen.recv().await.as_deref(), Some("left"));
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn a_reader_that_leaves_stops_the_upload() {
    let fixture = start(Limits::internal());
    let (mut upload, body) = Body::channel(1);
    let response = fixture.connect().await.send(request(Method::POST, "/early", body)).await.expect("a response");
    drop(response);
    let stopped = async { while upload.send_data(Bytes::from_static(b"more")).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), stopped).await.expect("the upload is dropped");
}

#[tokio::test]
async fn fifty_megabytes_both_ways_under_back_pressure() {
    const TOTAL: u64 = 50 << 20;
    let limits = Limits { send_window: 2 << 20, ..Limits::public() };
    let fixture = start(limits);
    let sent = Arc::new(AtomicU64::new(0));
    let body = written({
        let sent = Arc::clone(&sent);
        async move |mut body: BodySender| {
            let chunk = Bytes::from((0..=255_u8).cycle().take(64 << 10).collect::<Vec<_>>());
            while sent.load(Ordering::Relaxed) < TOTAL {
                body.send_data(chunk.clone()).await.expect("still wanted");
                sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
            body.finish().await.expect("still wanted");
        }
    });
    let response = fixture.connect().await.send(request(Method::POST, "/echo", body)).await.expect("a response");
    let (mut body, mut received) = (response.into_body(), 0_u64);
    while let Some(frame) = body.frame().await {
        let data = frame.expect("no error").into_data().expect("data");
        let expected = u8::try_from(received % 256).expect("a byte");
        assert_eq!(data[0], expected, "at {received}");
        received += data.len() as u64;
        // Four windows are on the way: two of the sender's, two of the receiver's; the rest are chunks in channels.
        let under_way = sent.load(Ordering::Relaxed) - received;
        assert!(under_way <= 8 << 20, "{under_way} bytes in flight at {received}");
    }
    assert_eq!(received, TOTAL);
}

#[tokio::test]
async fn heads_have_limits() {
    let fixture = start(Limits::internal());
    let connection = fixture.connect().await;
    let check = async |uri_bytes: usize, field_bytes: usize, expected: &str| {
        let mut big = request(Method::GET, &format!("/ended?{}", "q".repeat(uri_bytes)), Body::empty());
        big.headers_mut().insert("x-big", HeaderValue::from_str(&"y".repeat(field_bytes)).expect("a value"));
        assert_eq!(summary(connection.send(big).await).await, expected, "{uri_bytes} {field_bytes}");
    };
    check(10, 60_000, "200 true").await;
    check(10, 70_000, "431 ").await;
    check(20_000, 10, "414 ").await;
    check(10, 300_000, "head too large sent=false").await;
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn shutdown_finishes_what_runs() {
    let fixture = start(Limits::internal());
    let connection = fixture.connect().await;
    let (upload, body) = Body::channel(1);
    let running = connection.send(request(Method::POST, "/early", body)).await.expect("a response");
    fixture.shutdown.begin();
    let refused = loop {
        match connection.send(request(Method::GET, "/ended", Body::empty())).await {
            Err(error) => break error,
            // GOAWAY has not arrived yet.
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert!(refused.retryable(false), "{refused}");
    upload.finish().await.expect("still wanted");
    assert_eq!(running.into_body().collect(100).await.expect("whole"), "early 0");
    fixture.server.await.expect("no panic").expect("no error");
    assert!(connection.is_closed());
    assert_eq!(fixture.shutdown.connections(), 0);
}

#[tokio::test]
async fn a_dead_peer_is_noticed() {
    let limits = Limits {
        idle: Duration::from_millis(300),
        keep_alive: Some(Duration::from_millis(100)),
        connect: Duration::from_millis(300),
        ..Limits::internal()
    };
    let (ready, started) = tokio::sync::oneshot::channel();
    let server = std::thread::spawn({
        let limits = limits.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut fixture = start(limits);
                let _ = ready.send((fixture.addr, fixture.client.clone()));
                fixture.seen.recv().await;
            });
        }
    });
    let (addr, client) = started.await.expect("started");
    let connection = client.connect(addr, "shield.test").await.expect("a connection");
    // The server's whole runtime is dropped when the request arrives.
    let answer = connection.send(request(Method::GET, "/hang", Body::empty())).await;
    let error = answer.expect_err("no answer");
    assert!(matches!(error.kind, ClientErrorKind::Timeout | ClientErrorKind::Closed), "{error}");
    assert!(connection.is_closed());
    server.join().expect("no panic");
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let error = client.connect(silent.local_addr().expect("an address"), "shield.test").await.expect_err("silence");
    assert_eq!(error.kind, ClientErrorKind::ConnectTimeout);
}

#[tokio::test]
async fn certificates_are_verified() {
    let fixture = start(Limits::internal());
    let error = fixture.client.connect(fixture.addr, "other.test").await.expect_err("another name");
    assert_eq!(error.kind, ClientErrorKind::Tls, "{error}");
}
