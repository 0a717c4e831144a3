//! Attempts: which endpoint a request goes to, and whether it may go to another one when that fails.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holm_balance::{Balancer, HealthChange};
use holm_model::manifest::Balance;
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::{Request, Response, request};
use http_body::Body as _;
use parking_lot::Mutex;

use crate::error::{Failure, UpstreamError, UpstreamErrorKind};

/// What is told of each try, when its response's head is there or it failed.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// The pool's name, or `shield`.
    pub pool: &'a str,
    /// The endpoint as the manifest names it.
    pub endpoint: &'a str,
    /// `ok`, or the reason of the failure.
    pub outcome: &'static str,
    /// The response's status, if there is one.
    pub status: Option<u16>,
    /// From the choice of the endpoint to the response's head or the failure.
    pub elapsed: Duration,
}

/// Called for each try; it must not block.
pub type OnFetch = Arc<dyn Fn(&Fetch<'_>) + Send + Sync>;

/// Endpoints that requests can be sent to.
pub(crate) trait Endpoints: Sync {
    /// Sends the request to one of them.
    fn attempt(
        &self,
        index: usize,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Failure>> + Send;
}

/// The state that all requests to the same endpoints share.
pub(crate) struct Attempts {
    name: Arc<str>,
    labels: Vec<Arc<str>>,
    balancer: Mutex<Balancer>,
    started: Instant,
    on_fetch: OnFetch,
}

impl Attempts {
    pub(crate) fn new(
        name: &str,
        labels: Vec<Arc<str>>,
        (balance, weights): (Balance, &[u32]),
        on_fetch: OnFetch,
    ) -> Self {
        let seed = labels
            .iter()
            .flat_map(|label| label.bytes())
            .fold(SEED, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        let balancer = Mutex::new(Balancer::new(balance, weights, seed));
        Self { name: name.into(), labels, balancer, started: Instant::now(), on_fetch }
    }

    /// Sends a request, to at most `limit` endpoints: to another one only if the first did not get it, or if asking twice
    /// does no harm (RFC 9110 §9.2.2) and no body is gone.
    pub(crate) async fn send(
        &self,
        endpoints: &impl Endpoints,
        request: Request<Body>,
        limit: u32,
    ) -> Result<Response<Body>, UpstreamError> {
        let replay = Replay::of(&request);
        let mut request = request;
        let mut tried = Vec::new();
        let mut last = UpstreamError {
            kind: UpstreamErrorKind::NoEndpoint,
            endpoint: "".into(),
            attempts: 0,
            detail: "no endpoint".into(),
        };
        while let Some(choice) = self.choose(&tried) {
            tried.push(choice);
            let begun = Instant::now();
            let mut failure = match endpoints.attempt(choice, request).await {
                Ok(response) => {
                    self.tell(choice, begun, "ok", Some(response.status().as_u16()));
                    self.changed(choice, self.balancer.lock().succeeded(choice));
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            self.tell(choice, begun, failure.kind.reason(), None);
            if failure.kind.is_endpoints_fault() {
                self.changed(choice, self.balancer.lock().failed(choice, self.now()));
            }
            last = UpstreamError {
                kind: failure.kind,
                endpoint: Arc::clone(&self.labels[choice]),
                attempts: u32::try_from(tried.len()).unwrap_or(u32::MAX),
                detail: failure.error.to_string().into(),
            };
            match Replay::again(&replay, &mut failure) {
                Some(again) if last.attempts < limit => request = again,
                _ => break,
            }
        }
        tracing::debug!(pool = %self.name, error = %last, "no response");
        Err(last)
    }

    fn choose(&self, tried: &[usize]) -> Option<usize> {
        self.balancer.lock().choose(self.now(), tried).map(|choice| choice.index)
    }

    /// A clock that does not jump.
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn tell(&self, index: usize, begun: Instant, outcome: &'static str, status: Option<u16>) {
        let (pool, endpoint, elapsed) = (&*self.name, &*self.labels[index], begun.elapsed());
        (self.on_fetch)(&Fetch { pool, endpoint, outcome, status, elapsed });
    }

    fn changed(&self, index: usize, change: HealthChange) {
        let (pool, endpoint) = (&*self.name, &*self.labels[index]);
        match change {
            HealthChange::None => {}
            HealthChange::WentOut(time) => tracing::warn!(pool, endpoint, ?time, "endpoint fails: out for a while"),
            HealthChange::CameBack => tracing::info!(pool, endpoint, "endpoint is back"),
        }
    }
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts").field("name", &self.name).field("endpoints", &self.labels).finish_non_exhaustive()
    }
}

/// A request that may be sent again after it was sent: its head, with an idempotent method, and no body.
pub(crate) struct Replay(request::Parts);

impl Replay {
    pub(crate) fn of(request: &Request<Body>) -> Option<Self> {
        if !(request.method().is_idempotent() && request.body().is_end_stream()) {
            return None;
        }
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = request.method().clone();
        parts.uri = request.uri().clone();
        parts.headers = request.headers().clone();
        parts.extensions = request.extensions().clone();
        Some(Self(parts))
    }

    /// The request once more, if that is allowed after this failure.
    pub(crate) fn again(replay: &Option<Self>, failure: &mut Failure) -> Option<Request<Body>> {
        if !failure.error.retryable(replay.is_some()) {
            return None;
        }
        let returned = failure.error.take_request();
        returned.or_else(|| replay.as_ref().map(|Self(parts)| Request::from_parts(parts.clone(), Body::empty())))
    }
}

/// FNV-1a: the seed differs from pool to pool, nothing more is asked of it.
const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
