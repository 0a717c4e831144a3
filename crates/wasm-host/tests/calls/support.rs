//! What the tests share: hosts, guests by hand, outbounds, and ways to call.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holm_model::manifest::HandlerSpec;
use holm_model::units::ByteSize;
use holm_wasm_host::{
    Fault, GuestBody, GuestBodyError, HandlerModule, Host, HostConfig, LoadError, Outbound, OutboundConfig,
    OutboundError, OutboundFailure, empty,
};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;

/// A small host: two threads, eight instances.
pub(crate) fn host() -> Host {
    host_with(|_| {})
}

/// A small host with changes.
pub(crate) fn host_with(change: impl FnOnce(&mut HostConfig)) -> Host {
    let mut config = HostConfig { threads: 2, instances: 8, queue: 64, ..HostConfig::default() };
    change(&mut config);
    Host::new(config).expect("a host")
}

/// A handler's limits: 2 MiB, 100 ms, 10 s.
pub(crate) fn spec() -> HandlerSpec {
    HandlerSpec {
        component: "test".to_owned(),
        memory: ByteSize::mib(2),
        cpu: Duration::from_millis(100),
        wall: Duration::from_secs(10),
        env: [("MODE".to_owned(), "test".to_owned())].into(),
        outbound: Vec::new(),
    }
}

/// The component of the guest by hand that does `body`.
pub(crate) fn guest(body: &str) -> Vec<u8> {
    let text = include_str!("guests/handler.wat").replace("BODY", body);
    wat::parse_str(&text).expect("a valid guest")
}

/// Loads the guest by hand that does `body`.
pub(crate) fn load(host: &Host, body: &str) -> HandlerModule {
    try_load(host, &guest(body)).expect("the guest loads")
}

/// Loads a component under the usual limits.
pub(crate) fn try_load(host: &Host, component: &[u8]) -> Result<HandlerModule, LoadError> {
    host.load("site", "test", &spec(), component)
}

/// A GET without a body.
pub(crate) fn get(path: &str) -> Request<GuestBody> {
    Request::get(format!("http://shop.example{path}")).body(empty()).expect("a request")
}

/// Calls with a GET, without an outbound that answers.
pub(crate) async fn call(module: &HandlerModule, path: &str) -> Result<Response<GuestBody>, Fault> {
    module.call(get(path), Arc::new(Recorder::default())).await
}

/// A body read to its end: its data, its trailers, and the error that it ended in.
pub(crate) async fn read(mut body: GuestBody) -> (Bytes, Option<HeaderMap>, Option<GuestBodyError>) {
    let (mut data, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(bytes)) => data.extend_from_slice(&bytes),
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(error) => return (data.into(), trailers, Some(error)),
        }
    }
    (data.into(), trailers, None)
}

/// Looks until `done`, for what happens on another thread and tells nobody.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

/// An outbound that answers nothing, and says what it was asked and how each request's body ended.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) uploads: Option<tokio::sync::mpsc::UnboundedSender<Upload>>,
}

/// A request as an outbound saw it.
pub(crate) struct Upload {
    pub(crate) request: Request<()>,
    pub(crate) body: GuestBody,
}

impl Outbound for Recorder {
    fn send(
        &self,
        request: Request<GuestBody>,
        _config: OutboundConfig,
    ) -> BoxFuture<'static, Result<Response<GuestBody>, OutboundError>> {
        let (parts, body) = request.into_parts();
        if let Some(uploads) = &self.uploads {
            let upload = Upload { request: Request::from_parts(parts, ()), body };
            uploads.send(upload).expect("the test reads");
            return std::future::pending().boxed();
        }
        let error = OutboundError { failure: OutboundFailure::Unavailable, message: "a test".to_owned() };
        std::future::ready(Err(error)).boxed()
    }
}

/// An outbound that answers each request by a function, and keeps the URIs that it was asked for.
pub(crate) struct Answering {
    answer: fn(&Request<GuestBody>) -> Response<GuestBody>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Answering {
    pub(crate) fn new(answer: fn(&Request<GuestBody>) -> Response<GuestBody>) -> Arc<Self> {
        Arc::new(Self { answer, asked: Mutex::default() })
    }
}

impl Outbound for Answering {
    fn send(
        &self,
        request: Request<GuestBody>,
        _config: OutboundConfig,
    ) -> BoxFuture<'static, Result<Response<GuestBody>, OutboundError>> {
        self.asked.lock().push(request.uri().to_string());
        std::future::ready(Ok((self.answer)(&request))).boxed()
    }
}

/// An example's component, where `cargo xtask setup` or `holm build` has built it. `HOLM_REQUIRE_EXAMPLES=1` (set by
/// `cargo xtask test`) makes a missing one a failure instead of a test left out.
pub(crate) fn example(component: &str) -> Option<Vec<u8>> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(component);
    match std::fs::read(&file) {
        Ok(bytes) => Some(bytes),
        Err(error) if std::env::var_os("HOLM_REQUIRE_EXAMPLES").is_some() => panic!("{}: {error}", file.display()),
        Err(_) => {
            eprintln!("left out: {} is not built", file.display());
            None
        }
    }
}
