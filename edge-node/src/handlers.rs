//! Handlers: what the proxy calls a handler and what wasm-host runs, brought together. Neither knows the other.

use std::sync::{Arc, OnceLock, Weak};

use futures_util::future::BoxFuture;
use holm_model::manifest::HandlerSpec;
use holm_proxy::{Handler, HandlerCall, HandlerFault, HandlerLoader, Node};
use holm_telemetry::Registry;
use holm_transport::body::{Body, BodyError, BodyErrorKind, Side};
use holm_wasm_host::{
    GuestBody, GuestBodyError, HandlerModule, Host, HostConfig, Outbound, OutboundConfig, OutboundError,
    OutboundFailure,
};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;

/// Runs the handlers of an edge.
pub struct Handlers {
    host: Host,
    fetcher: Arc<Fetcher>,
}

/// Sends what handlers fetch back into the edge, behind its handlers.
#[derive(Debug)]
struct Fetcher {
    /// The node holds its sites' handlers, which must not hold the node.
    node: OnceLock<Weak<Node>>,
    /// Handlers' threads have no sockets: fetches run here.
    runtime: Handle,
}

impl Handlers {
    /// Starts the threads that run handlers. Fetches run on the current runtime.
    ///
    /// # Errors
    /// In words: what this machine lacks.
    pub fn start(config: HostConfig) -> Result<Arc<Self>, String> {
        let host = Host::new(config).map_err(|error| error.to_string())?;
        let fetcher = Arc::new(Fetcher { node: OnceLock::new(), runtime: Handle::current() });
        Ok(Arc::new(Self { host, fetcher }))
    }

    /// Fetches go to this node's cache.
    pub(crate) fn serve_for(&self, node: &Arc<Node>) {
        // An edge starts once; a second one in the same process has handlers of its own.
        let _ = self.fetcher.node.set(Arc::downgrade(node));
    }

    /// Brings the handlers' numbers up to date.
    pub(crate) fn collect(&self, registry: &Registry) {
        self.host.collect(registry);
    }
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handlers").finish_non_exhaustive()
    }
}

impl HandlerLoader for Handlers {
    fn load(&self, site: &str, name: &str, spec: &HandlerSpec, component: &[u8]) -> Result<Arc<dyn Handler>, String> {
        let module =
            self.host.load(site, name, spec, component).map_err(|error| format!("[handlers.{name}]: {error}"))?;
        Ok(Arc::new(Runnable { module, fetcher: Arc::clone(&self.fetcher) }))
    }
}

/// A handler that is ready to run.
struct Runnable {
    module: HandlerModule,
    fetcher: Arc<Fetcher>,
}

impl Handler for Runnable {
    fn call(
        &self,
        request: Request<Body>,
        call: HandlerCall,
    ) -> BoxFuture<'static, Result<Response<Body>, HandlerFault>> {
        let Some(request) = for_guest(request, &call) else {
            let message = "the request's target is no URI".to_owned();
            let fault = HandlerFault { status: StatusCode::BAD_REQUEST, reason: "target-invalid", message };
            return Box::pin(std::future::ready(Err(fault)));
        };
        let outbound = Arc::new(OwnSite { fetcher: Arc::clone(&self.fetcher), call });
        let calling = self.module.call(request, outbound);
        Box::pin(async move {
            let response = calling.await.map_err(|fault| HandlerFault {
                status: fault.status(),
                reason: fault.reason.as_str(),
                message: fault.message,
            })?;
            Ok(response.map(from_guest))
        })
    }
}

/// What one call may reach: the site that it runs for.
struct OwnSite {
    fetcher: Arc<Fetcher>,
    call: HandlerCall,
}

impl Outbound for OwnSite {
    fn send(
        &self,
        request: Request<GuestBody>,
        _: OutboundConfig,
    ) -> BoxFuture<'static, Result<Response<GuestBody>, OutboundError>> {
        let Some(node) = self.fetcher.node.get().and_then(Weak::upgrade) else {
            return Box::pin(std::future::ready(Err(refusal("not-running"))));
        };
        let call = self.call.clone();
        let fetching = self.fetcher.runtime.spawn(async move { node.fetch(&call, request.map(from_guest)).await });
        // Dropping the future ends the fetch.
        let fetching = AbortOnDrop(fetching);
        Box::pin(async move {
            let response = fetching.await.map_err(|_| refusal("fetch-ended"))?.map_err(refusal)?;
            Ok(response.map(to_guest))
        })
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The request with an absolute URI, as wasi:http wants it.
fn for_guest(request: Request<Body>, call: &HandlerCall) -> Option<Request<GuestBody>> {
    let (mut parts, body) = request.into_parts();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if call.scheme.as_str() == "https" { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(call.authority.parse::<Authority>().ok()?);
    uri.path_and_query = Some(parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
    parts.uri = Uri::from_parts(uri).ok()?;
    Some(Request::from_parts(parts, to_guest(body)))
}

fn to_guest(body: Body) -> GuestBody {
    body.map_err(|error| GuestBodyError::Peer(error.to_string())).boxed_unsync()
}

fn from_guest(body: GuestBody) -> Body {
    Body::stream(body.map_err(|error| BodyError::with_detail(BodyErrorKind::Incomplete, Side::Us, error)))
}

fn refusal(reason: &'static str) -> OutboundError {
    let (failure, message) = match reason {
        "not-allowed" => (OutboundFailure::Denied, "a handler may fetch from its own site only".to_owned()),
        "no-route" => (OutboundFailure::NotFound, "no route with an origin or files has this path".to_owned()),
        other => (OutboundFailure::Internal, other.to_owned()),
    };
    OutboundError { failure, message }
}
