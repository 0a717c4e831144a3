//! The control API's server: `/v1`, the metrics and the probes, as a service for any listener.

mod auth;
mod body;
mod dashboard;
mod hosts;
mod observe;
mod openapi;
mod operations;
mod problem;
mod publish;
mod purge;
mod sites;
mod uploads;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response as AxumResponse};
use axum::routing::MethodRouter;
use holm_transport::body::{Body, BodyError, BodyErrorKind, Side};
use holm_transport::interim::Interims;
use holm_transport::service::{ConnInfo, Service};
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body_util::BodyExt as _;
use tower_service::Service as _;

use self::operations::OPERATIONS;
use self::problem::Failure;
use crate::Control;
use crate::wire::MAX_WAIT;

/// How the API behaves.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// How long `wait: applied` waits.
    pub wait: Duration,
    /// How long a JSON body may take to arrive, and a blob's body may pause.
    pub body_timeout: Duration,
    /// Names under which a listener on a loopback address may be asked, besides `localhost` and addresses.
    pub hosts: Vec<String>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self { wait: MAX_WAIT, body_timeout: Duration::from_secs(30), hosts: Vec::new() }
    }
}

/// The API as a service: HTTP/1.1 and HTTP/2 alike.
#[must_use]
pub fn api_service(control: Arc<Control>, options: ApiOptions) -> ApiService {
    let api = Arc::new(Api { control, options });
    let mut router = Router::new();
    for operation in OPERATIONS {
        router = router.route(operation.path, operation.guarded(&api));
    }
    let router = router.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
    ApiService { router: router.with_state(Arc::clone(&api)), api }
}

/// The service that [`api_service`] makes.
#[derive(Clone)]
pub struct ApiService {
    router: Router,
    api: Arc<Api>,
}

/// What every handler knows.
pub(crate) struct Api {
    control: Arc<Control>,
    options: ApiOptions,
}

/// The routes of one operation.
type Routes = MethodRouter<Arc<Api>, Infallible>;

impl Service for ApiService {
    async fn call(&self, request: Request<Body>, connection: &Arc<ConnInfo>, _: &Interims) -> Response<Body> {
        let mut response = match hosts::check(&request, connection, &self.api.options.hosts) {
            Err(failure) => failure.into_response(),
            Ok(()) => match self.router.clone().call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        };
        for (name, value) in ALWAYS {
            response.headers_mut().entry(name).or_insert(value);
        }
        response.map(into_body)
    }
}

impl fmt::Debug for ApiService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiService")
    }
}

impl Api {
    /// Does what may block on a thread that may.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Control) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let api = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&api.control)).await.map_err(|error| {
            tracing::error!(%error, "a request to the control API failed");
            Failure::internal()
        })
    }
}

fn into_body(body: axum::body::Body) -> Body {
    if http_body::Body::is_end_stream(&body) {
        return Body::empty();
    }
    Body::stream(body.map_err(|error| BodyError::with_detail(BodyErrorKind::Io, Side::Us, error)))
}

async fn not_found(request: axum::extract::Request) -> AxumResponse {
    let detail = format!("there is nothing at {}; /v1/openapi.json says what there is", request.uri().path());
    Failure::new(http::StatusCode::NOT_FOUND, "not-found", detail).into_response()
}

async fn method_not_allowed(request: axum::extract::Request) -> AxumResponse {
    let detail = format!("{} takes no {}; see Allow", request.uri().path(), request.method());
    Failure::new(http::StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).into_response()
}

/// Answers are for the one who asked, now.
const ALWAYS: [(HeaderName, HeaderValue); 2] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

#[cfg(test)]
mod tests;
