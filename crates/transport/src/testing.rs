//! What the tests of this crate share: a service that answers by path, and a client that writes and reads bytes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, LINK, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::body::{Body, BodyError, BodyErrorKind, BodySender, Side};
use crate::interim::{Interim, InterimSender, Interims};
use crate::server::{ServerLimits, serve_clear, serve_tls};
use crate::service::{ConnInfo, Service, Upgrade};
use crate::shutdown::Shutdown;
use crate::tls::ServerConfig;

/// Answers by path; see [`TestService::call`]. What it learns of requests that get no answer goes to `seen`.
#[derive(Clone)]
pub(crate) struct TestService {
    seen: mpsc::UnboundedSender<String>,
    /// Each permit lets one `/slow` answer.
    pub(crate) go: Arc<Semaphore>,
}

impl Service for TestService {
    async fn call(&self, request: Request<Body>, connection: &Arc<ConnInfo>, interims: &Interims) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/hello" => text("hello"),
            "/target" => {
                let host =
                    request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
                text(format!("{} {} {}", request.method(), request.uri(), host.unwrap_or_default()))
            }
            "*" => text("all of it"),
            "/large" => text(vec![0; LARGE]),
            "/info" => text(describe(connection)),
            "/echo" => Response::new(request.into_body()),
            "/count" => {
                let counted = count(request.into_body()).await;
                self.tell(&counted);
                text(counted)
            }
            "/slow" => {
                self.tell("slow");
                self.go.acquire().await.expect("never closed").forget();
                text("slow")
            }
            "/hang" => {
                let _left = Left(self.clone());
                self.tell("hanging");
                std::future::pending().await
            }
            "/broken" => Response::new(written(async |mut body| {
                let _ = body.send_data(Bytes::from_static(b"half")).await;
                body.abort(BodyError::new(BodyErrorKind::Reset, Side::Upstream)).await;
            })),
            "/endless" => {
                Response::new(written(
                    async |mut body| {
                        while body.send_data(Bytes::from_static(&[0; 16 << 10])).await.is_ok() {}
                    },
                ))
            }
            "/trailers" => Response::new(written(async |mut body| {
                let _ = body.send_data(Bytes::from_static(b"data")).await;
                let _ = body
                    .send_trailers(HeaderMap::from_iter([
                        (HeaderName::from_static("x-sum"), HeaderValue::from_static("42")),
                        // Not for trailers, and in HTTP/2 for nothing.
                        (UPGRADE, HeaderValue::from_static("x")),
                    ]))
                    .await;
            })),
            "/short" => with_length(10, "five!"),
            "/long" => with_length(3, "five!"),
            path if path.ends_with("hints") => self.hint(path, interims).await,
            "/upgrade" => self.upgrade(request),
            "/204" => {
                let mut response = with_length(3, "bye");
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            "/101" => status(StatusCode::SWITCHING_PROTOCOLS),
            "/103" => status(StatusCode::from_u16(103).expect("a status")),
            "/panic" => panic!("a service that panics"),
            _ if request.method() == Method::CONNECT => text("accepted"),
            _ => status(StatusCode::NOT_FOUND),
        }
    }
}

impl TestService {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (seen, receiver) = mpsc::unbounded_channel();
        (Self { seen, go: Arc::new(Semaphore::new(0)) }, receiver)
    }

    /// Sends interim responses before an answer.
    async fn hint(&self, path: &str, interims: &Interims) -> Response<Body> {
        let sender = interims.sender();
        match path {
            "/hints" => {
                sender.send(hint("1"));
                sender.send(Interim { status: StatusCode::PROCESSING, headers: HeaderMap::new() });
                text("hello")
            }
            "/late-hints" => self.hint_late(sender).await,
            "/many-hints" => {
                for status in [100, 101, 200] {
                    let status = StatusCode::from_u16(status).expect("a status");
                    sender.send(Interim { status, headers: HeaderMap::new() });
                }
                sender.send(hint(&"x".repeat(70_000)));
                (0..20).for_each(|number| sender.send(hint(&number.to_string())));
                text("hello")
            }
            _ => {
                (0..16).for_each(|_| sender.send(hint(&"x".repeat(3_000))));
                text("hello")
            }
        }
    }

    async fn hint_late(&self, sender: InterimSender) -> Response<Body> {
        let (told, go) = (self.clone(), Arc::clone(&self.go));
        let ((hinted, is_hinted), (_answered, is_answered)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        // From elsewhere, when it is wanted.
        tokio::spawn(async move {
            go.acquire().await.expect("never closed").forget();
            sender.send(hint("1"));
            drop(hinted);
            let _ = is_answered.await;
            told.tell(&format!("open: {}", sender.is_open()));
            sender.send(hint("2"));
        });
        self.tell("slow");
        let _ = is_hinted.await;
        self.go.acquire().await.expect("never closed").forget();
        text("slow")
    }

    /// Switches to a protocol in which each side hears what it says.
    fn upgrade(&self, mut request: Request<Body>) -> Response<Body> {
        let Some(upgrade) = request.extensions_mut().remove::<Upgrade>() else { return text("not asked") };
        let this = self.clone();
        tokio::spawn(async move {
            let mut io = upgrade.take().await.expect("an upgrade");
            let (mut reader, mut writer) = tokio::io::split(&mut io);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
            this.tell("upgraded connection ended");
        });
        let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
        response
    }

    fn tell(&self, what: &str) {
        let _ = self.seen.send(what.to_owned());
    }
}

/// Early hints with fields that do not belong there, and one that does.
fn hint(link: &str) -> Interim {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(7));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(LINK, HeaderValue::from_str(link).expect("a value"));
    Interim::early_hints(headers)
}

struct Left(TestService);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.tell("left");
    }
}

fn describe(connection: &ConnInfo) -> String {
    let tls = connection.tls.clone().map(|tls| {
        format!(" sni={} identity={}", tls.server_name.unwrap_or_default(), tls.client_identity.unwrap_or_default())
    });
    format!("{}{}", connection.protocol.as_str(), tls.unwrap_or_default())
}

fn text(text: impl Into<Bytes>) -> Response<Body> {
    Response::new(Body::full(text))
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn with_length(length: u64, body: &'static str) -> Response<Body> {
    let mut response = text(body);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// A body that a task writes.
pub(crate) fn written<F: Future<Output = ()> + Send + 'static>(write: impl FnOnce(BodySender) -> F) -> Body {
    let (sender, body) = Body::channel(1);
    tokio::spawn(write(sender));
    body
}

/// `4`, `4+trailers` or `4 then <error>`.
pub(crate) async fn count(mut body: Body) -> String {
    let (mut bytes, mut tail) = (0, String::new());
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes += data.len(),
            Ok(Err(_)) => tail = "+trailers".to_owned(),
            Err(error) => tail = format!(" then {}", error.kind),
        }
    }
    format!("{bytes}{tail}")
}

/// A running server.
pub(crate) struct Fixture {
    pub(crate) addr: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) seen: mpsc::UnboundedReceiver<String>,
    pub(crate) go: Arc<Semaphore>,
    server: JoinHandle<io::Result<()>>,
}

impl Fixture {
    pub(crate) fn clear(limits: ServerLimits) -> Self {
        Self::on(listener(), None, limits, Shutdown::new())
    }

    pub(crate) fn tls(config: Arc<ServerConfig>) -> Self {
        Self::tls_within(config, ServerLimits::default())
    }

    pub(crate) fn tls_within(config: Arc<ServerConfig>, limits: ServerLimits) -> Self {
        Self::on(listener(), Some(config), limits, Shutdown::new())
    }

    pub(crate) fn on(
        socket: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        limits: ServerLimits,
        shutdown: Shutdown,
    ) -> Self {
        let addr = socket.local_addr().expect("an address");
        let (service, seen) = TestService::new();
        let (go, told) = (Arc::clone(&service.go), shutdown.clone());
        let server = match tls {
            None => tokio::spawn(serve_clear(socket, service, told, limits)),
            Some(tls) => tokio::spawn(serve_tls(socket, tls, service, told, limits)),
        };
        Self { addr, shutdown, seen, go, server }
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw::connect(self.addr).await
    }

    /// The next thing that the service tells.
    pub(crate) async fn told(&mut self) -> String {
        in_time(self.seen.recv()).await.expect("the service tells something")
    }

    /// Lets one `/slow` answer.
    pub(crate) fn go(&self) {
        self.go.add_permits(1);
    }

    /// The server has ended, all is answered.
    pub(crate) async fn ended(self) {
        in_time(self.server).await.expect("no panic").expect("no error");
        assert_eq!(self.shutdown.connections(), 0);
    }

    /// All connections are gone.
    pub(crate) async fn emptied(&self) {
        assert_eq!(self.shutdown.drained(PATIENCE).await, 0);
    }
}

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a socket")
}

/// A client that knows nothing.
pub(crate) struct Raw {
    tcp: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let tcp = in_time(TcpStream::connect(addr)).await.expect("a connection");
        tcp.set_nodelay(true).expect("a socket");
        Self { tcp, read: Vec::new() }
    }

    /// Waits until nobody listens there any more.
    pub(crate) async fn until_refused(addr: SocketAddr) {
        in_time(async {
            while TcpStream::connect(addr).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        in_time(self.tcp.write_all(bytes.as_ref())).await.expect("the server reads");
    }

    /// Sends a head without a body; `\n` stands for CRLF.
    pub(crate) async fn ask(&mut self, head: &str) {
        self.send(format!("{}\r\n\r\n", head.replace('\n', "\r\n"))).await;
    }

    /// One response: its head, and its body as framed by Content-Length (chunked ones are read by [`Raw::until`]).
    pub(crate) async fn response(&mut self) -> (String, String) {
        let head = self.until("\r\n\r\n").await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        (head, self.exactly(length).await)
    }

    /// The status and the body of one response.
    pub(crate) async fn answer(&mut self) -> String {
        let (head, body) = self.response().await;
        format!("{} {body}", &head[9..12])
    }

    /// Everything up to and including `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            let found = self.read.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                return self.exactly(at + end.len()).await;
            }
            self.more().await;
        }
    }

    pub(crate) async fn exactly(&mut self, length: usize) -> String {
        while self.read.len() < length {
            self.more().await;
        }
        let rest = self.read.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.read, rest)).expect("text")
    }

    /// All that is left until the server closes the connection, or `!` and how it broke.
    pub(crate) async fn rest(mut self) -> String {
        let end = in_time(self.tcp.read_to_end(&mut self.read)).await;
        let text = String::from_utf8_lossy(&self.read).into_owned();
        match end {
            Ok(_) => text,
            Err(error) => format!("{text}!{:?}", error.kind()),
        }
    }

    async fn more(&mut self) {
        let read = in_time(self.tcp.read_buf(&mut self.read)).await.expect("the connection holds");
        assert!(read > 0, "the server closed after {:?}", String::from_utf8_lossy(&self.read));
    }
}

/// Awaits an event that a correct server makes happen soon.
pub(crate) async fn in_time<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event).await.expect("it happens in time")
}

/// Bytes of a stored body.
pub(crate) const LARGE: usize = 3_000_000;

const PATIENCE: Duration = Duration::from_secs(20);
