//! Interim responses from a service to a client, over every protocol.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::poll_fn;
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{Interim, MAX_INTERIMS, OnInterim};
use crate::body::Body;
use crate::client::{ClientError, ClientErrorKind, Connection, Dialer, Security, Target};
use crate::server::ServerLimits;
use crate::service::Protocol;
use crate::shutdown::Shutdown;
use crate::testing::{Fixture, TestService, count, in_time};
use crate::tls::{Authority, SiteCertificates, origin_client_config, server_config};
use crate::{client, h3};

/// A client of one protocol, before a server that answers by path.
enum Client {
    Tcp(Connection),
    Quic(h3::Connection),
}

impl Client {
    async fn send(&mut self, mut request: Request<Body>) -> Result<http::Response<Body>, ClientError> {
        let protocol = self.protocol();
        if protocol != Protocol::Http1 {
            request.headers_mut().remove("host");
            *request.uri_mut() = format!("https://a.test{}", request.uri()).parse().expect("a URI");
        }
        match self {
            Self::Tcp(connection) => connection.send(request).await,
            Self::Quic(connection) => connection.send(request).await,
        }
    }

    const fn protocol(&self) -> Protocol {
        match self {
            Self::Tcp(Connection::Http1(_)) => Protocol::Http1,
            Self::Tcp(Connection::Http2(_)) => Protocol::Http2,
            Self::Quic(_) => Protocol::Http3,
        }
    }
}

struct Started {
    /// Keeps it up.
    _server: Option<Fixture>,
    client: Client,
    seen: mpsc::UnboundedReceiver<String>,
    go: Arc<tokio::sync::Semaphore>,
}

async fn start(protocol: Protocol) -> Started {
    let authority = Authority::generate("test").expect("an authority");
    let identity = authority.issue_server(&["a.test"]).expect("a certificate");
    let certificates = Arc::new(SiteCertificates::new(identity).expect("certificates"));
    let server_tls = server_config(certificates).expect("a configuration");
    let client_tls = origin_client_config(Some(authority.ca_pem().as_bytes())).expect("a configuration");
    if protocol == Protocol::Http3 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let addr = socket.local_addr().expect("an address");
        let (service, seen) = TestService::new();
        let go = Arc::clone(&service.go);
        tokio::spawn(h3::serve(socket, server_tls, service, Shutdown::new(), h3::Limits::internal()));
        let client = h3::Client::new(&client_tls, h3::Limits::internal()).expect("TLS 1.3");
        let connection = client.connect(addr, "a.test").await.expect("a connection");
        return Started { _server: None, client: Client::Quic(connection), seen, go };
    }
    let mut server = match protocol {
        Protocol::Http1 => Fixture::clear(ServerLimits::default()),
        _ => Fixture::tls(server_tls),
    };
    let security = match protocol {
        Protocol::Http1 => Security::Clear,
        _ => Security::Tls { server_name: "a.test".to_owned() },
    };
    let connection = dial(server.addr, security, Some(client_tls)).await;
    let seen = std::mem::replace(&mut server.seen, mpsc::unbounded_channel().1);
    let go = Arc::clone(&server.go);
    Started { _server: Some(server), client: Client::Tcp(connection), seen, go }
}

async fn dial(addr: SocketAddr, security: Security, tls: Option<Arc<client::TlsConfig>>) -> Connection {
    let target = Target { host: addr.ip().to_string(), port: addr.port(), security };
    Dialer::new(tls, Duration::from_secs(10)).dial(&target).await.expect("a connection")
}

fn get(path: &str) -> (Request<Body>, mpsc::UnboundedReceiver<Interim>) {
    let (tell, heard) = mpsc::unbounded_channel();
    let on = OnInterim::new(move |interim| drop(tell.send(interim)));
    let request = Request::builder().method(Method::GET).uri(path).header("host", "a.test").extension(on);
    (request.body(Body::empty()).expect("a request"), heard)
}

/// Status and fields of what was heard, in one line.
fn said(interim: &Interim) -> String {
    let fields = interim.headers.iter().map(|(name, value)| format!(" {name}: {}", value.to_str().expect("text")));
    format!("{}{}", interim.status.as_u16(), fields.collect::<String>())
}

fn all(heard: &mut mpsc::UnboundedReceiver<Interim>) -> Vec<String> {
    std::iter::from_fn(|| heard.try_recv().ok()).map(|interim| said(&interim)).collect()
}

const PROTOCOLS: [Protocol; 3] = [Protocol::Http1, Protocol::Http2, Protocol::Http3];

#[tokio::test]
async fn what_is_sent_is_heard_before_the_answer() {
    for protocol in PROTOCOLS {
        let mut started = start(protocol).await;
        let check = async |client: &mut Client, path: &str, expected: &[&str]| {
            let (request, mut heard) = get(path);
            let response = in_time(client.send(request)).await.expect("a response");
            assert_eq!(all(&mut heard), expected, "{protocol:?} {path}");
            assert_eq!(count(response.into_body()).await, "5", "{protocol:?} {path}");
        };
        check(&mut started.client, "/hints", &["103 link: 1", "102"]).await;
        check(&mut started.client, "/hello", &[]).await;
        check(&mut started.client, "/hints", &["103 link: 1", "102"]).await;
        let most: Vec<String> = (0..MAX_INTERIMS).map(|number| format!("103 link: {number}")).collect();
        check(&mut started.client, "/many-hints", &most.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

#[tokio::test]
async fn hints_arrive_while_the_answer_is_waited_for() {
    for protocol in PROTOCOLS {
        let mut started = start(protocol).await;
        let (request, mut heard) = get("/late-hints");
        let answer = started.client.send(request);
        let go = Arc::clone(&started.go);
        let seen = &mut started.seen;
        let watch = async {
            assert_eq!(seen.recv().await.as_deref(), Some("slow"));
            go.add_permits(1);
            let hint = heard.recv().await.expect("a hint");
            assert_eq!(said(&hint), "103 link: 1", "{protocol:?}");
            go.add_permits(1);
        };
        let (answer, ()) = in_time(async { tokio::join!(answer, watch) }).await;
        assert_eq!(count(answer.expect("a response").into_body()).await, "4", "{protocol:?}");
        // Once the answer is there, nothing is taken any more.
        assert_eq!(in_time(seen.recv()).await.as_deref(), Some("open: false"), "{protocol:?}");
        assert_eq!(all(&mut heard), [""; 0], "{protocol:?}");
    }
}

#[tokio::test]
async fn http_1_0_gets_none() {
    let server = Fixture::clear(ServerLimits::default());
    let mut client = server.connect().await;
    client.ask("GET /hints HTTP/1.0\nHost: a\nConnection: keep-alive").await;
    assert_eq!(client.answer().await, "200 hello");
}

#[tokio::test]
async fn hints_keep_their_place_in_a_pipeline() {
    let server = Fixture::clear(ServerLimits::default());
    let mut client = server.connect().await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send([request("/hello"), request("/hints"), request("/many-hints"), request("/hello")].concat()).await;
    let mut expected = vec!["200", "103", "102", "200"];
    expected.extend([["103"; MAX_INTERIMS].as_slice(), &["200", "200"]].concat());
    for status in expected {
        let (head, body) = client.response().await;
        assert_eq!((&head[9..12], body.as_str()), (status, if status == "200" { "hello" } else { "" }), "{head}");
        assert!(status == "200" || !head.contains("con"), "no field about the connection or a length: {head}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_delays_nobody() {
    let server = Fixture::clear(ServerLimits { stall: Duration::from_millis(100), ..ServerLimits::default() });
    let mut client = server.connect().await;
    // More than all buffers hold.
    let many = "GET /big-hints HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
    client.send(many).await;
    // The server gives up on it, as on any client that takes nothing.
    server.emptied().await;
}

#[tokio::test]
async fn endless_interim_responses_over_http2_reset_the_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let addr = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.expect("a connection");
        let mut connection = h2::server::handshake(tcp).await.expect("HTTP/2");
        let (_, mut respond) = connection.accept().await.expect("a request").expect("no error");
        for _ in 0..=MAX_INTERIMS {
            let mut head = http::Response::new(());
            *head.status_mut() = http::StatusCode::EARLY_HINTS;
            respond.send_informational(head).expect("a stream");
        }
        let reset = poll_fn(|cx| respond.poll_reset(cx));
        tokio::select! {
            reset = reset => reset.expect("a stream"),
            _ = connection.accept() => panic!("the connection ended"),
        }
    });
    let mut client = Client::Tcp(dial(addr, Security::ClearHttp2, None).await);
    let (request, mut heard) = get("/");
    let error = in_time(client.send(request)).await.expect_err("no response");
    assert_eq!(error.kind, ClientErrorKind::Protocol, "{error}");
    assert_eq!(all(&mut heard).len(), MAX_INTERIMS);
    assert_eq!(in_time(server).await.expect("no panic"), h2::Reason::CANCEL);
}

#[tokio::test]
async fn endless_interim_responses_are_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let addr = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let _ = tcp.read(&mut [0; 1000]).await.expect("a request");
        while tcp.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n").await.is_ok() {}
    });
    let mut client = Client::Tcp(dial(addr, Security::Clear, None).await);
    let (request, mut heard) = get("/");
    let error = in_time(client.send(request)).await.expect_err("no response");
    assert_eq!(error.kind, ClientErrorKind::Protocol, "{error}");
    assert_eq!(all(&mut heard).len(), MAX_INTERIMS);
    in_time(server).await.expect("the connection is closed");
}
