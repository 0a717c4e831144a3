//! What a handler may send: every request goes through the [`Outbound`] of its call, after the checks made here.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use holm_model::limits::MAX_URI_BYTES;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::body::{GuestBody, GuestBodyError};
use crate::call::Exchange;
use crate::config::{MANY_BODIES, MAX_BODY_CHUNK, MAX_OUTBOUND, SMALL_BODY_CHUNK};
use crate::tracked_body::{self, BodyGuard};

/// Sends a handler's requests.
pub trait Outbound: Send + Sync {
    /// Sends one request. Its URI is absolute (`http` or `https`, an authority without user part, a path that begins
    /// with `/`), and its only `Host` is that authority. The future is polled on a handler's thread, which lends its
    /// timers but no sockets: what connects goes to a runtime of its own. Dropping the future, or the response's body,
    /// ends the request.
    fn send(
        &self,
        request: Request<GuestBody>,
        config: OutboundConfig,
    ) -> BoxFuture<'static, Result<Response<GuestBody>, OutboundError>>;
}

/// The time limits that the guest asked for. A zero becomes the shortest limit there is; none means the host's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboundConfig {
    /// For the connection.
    pub connect_timeout: Option<Duration>,
    /// To the response's head.
    pub first_byte_timeout: Option<Duration>,
    /// Between two pieces of the response's body.
    pub between_bytes_timeout: Option<Duration>,
}

/// A request that got no response.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct OutboundError {
    /// What the guest is told.
    pub failure: OutboundFailure,
    /// What happened, for the log.
    pub message: String,
}

/// Why a request got no response, as far as a guest is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboundFailure {
    /// The handler may not send this: an authority that is not allowed.
    Denied,
    /// The address is one that handlers may not reach.
    AddressProhibited,
    /// The name has no address, or the site has no route for the path.
    NotFound,
    /// No endpoint takes requests.
    Unavailable,
    /// The connection was refused.
    Refused,
    /// No connection in time.
    ConnectTimeout,
    /// TLS failed.
    Tls,
    /// No response in time.
    Timeout,
    /// The connection ended before the response.
    Terminated,
    /// The other side broke the protocol.
    Protocol,
    /// The request has been through here too often.
    Loop,
    /// A fault of this node.
    Internal,
}

/// The hooks of one call.
pub(crate) struct Hooks {
    outbound: Arc<dyn Outbound>,
    exchange: Arc<Exchange>,
    sent: u32,
    bodies: usize,
}

impl Hooks {
    pub(crate) fn new(outbound: Arc<dyn Outbound>, exchange: Arc<Exchange>) -> Self {
        Self { outbound, exchange, sent: 0, bodies: 0 }
    }

    /// Checks a request once more, whatever the runtime has checked: its own faults of this kind are public advisories.
    fn admit(&mut self, request: Request<WasiBody>) -> Result<Sending, Error> {
        if self.sent >= MAX_OUTBOUND {
            return Err(Error::ConnectionLimitReached);
        }
        self.sent += 1;
        let (mut parts, body) = request.into_parts();
        check_uri(&parts.uri)?;
        if parts.method == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let authority = parts.uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Error::HttpRequestUriInvalid)?;
        parts.headers.insert(HOST, host);
        let declared = declared_length(&parts.headers).map_err(|()| Error::HttpProtocolError)?;
        let without_content = declared.is_none() && matches!(parts.method, Method::GET | Method::HEAD);
        let (guard, body) = tracked_body::upload(body, declared);
        let guard = Arc::new(guard);
        self.exchange.keep(Arc::clone(&guard));
        let outbound = Arc::clone(&self.outbound);
        Ok(Sending { outbound, request: Request::from_parts(parts, body), guard, without_content })
    }
}

/// A request on its way out.
struct Sending {
    outbound: Arc<dyn Outbound>,
    request: Request<GuestBody>,
    guard: Arc<BodyGuard>,
    /// By its method and fields it has no content, though the guest may have opened a body.
    without_content: bool,
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Processed), Error>> + Send> {
        let config = OutboundConfig::from(options.unwrap_or_default());
        match self.admit(request) {
            Ok(sending) => Box::new(sending.deliver(config)),
            Err(error) => Box::new(ready(Err(error))),
        }
    }

    /// Called once for each outgoing body that the guest makes.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.bodies = self.bodies.saturating_add(1);
        if self.bodies <= MANY_BODIES { MAX_BODY_CHUNK } else { SMALL_BODY_CHUNK }
    }
}

/// The work that goes on while a response's body is read: none, the outbound does it.
type Processed = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl Sending {
    /// Sends it and waits for the response within the guest's own limits.
    async fn deliver(self, config: OutboundConfig) -> Result<(Response<WasiBody>, Processed), Error> {
        if self.without_content {
            // Most guests open a body for every request and end it at once. Sent before that, a GET would bear an empty
            // chunked body, which some origins refuse. One that waits for the response first is not kept waiting.
            let _ = tokio::time::timeout(BODY_PATIENCE, self.guard.settled()).await;
        }
        let limit = config.first_byte_timeout.unwrap_or(Duration::MAX);
        let sending = self.outbound.send(self.request, config);
        let response = tokio::time::timeout(limit, sending).await.map_err(|_| Error::ConnectionReadTimeout)?;
        let response = response.map_err(|error| {
            tracing::debug!(failure = ?error.failure, "outbound request failed: {}", error.message);
            Error::from(error.failure)
        })?;
        let response = response.map(|body| {
            let body = body.map_err(|error| peer_error(&error)).boxed_unsync();
            tracked_body::with_idle_limit(body, config.between_bytes_timeout)
        });
        Ok((response, Box::new(ready(Ok(())))))
    }
}

/// An absolute `http` or `https` URI, no longer than any other here, whose path can't be taken for another URI.
fn check_uri(uri: &http::Uri) -> Result<(), Error> {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.is_empty() || authority.contains('@') || !uri.path().starts_with('/') {
        return Err(Error::HttpRequestUriInvalid);
    }
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(Error::HttpProtocolError);
    }
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if authority.len() + path > MAX_URI_BYTES { Err(Error::HttpRequestUriTooLong) } else { Ok(()) }
}

/// The length that these fields declare. RFC 9110 §8.6: decimal digits; here, once.
pub(crate) fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || !value.as_bytes().iter().all(u8::is_ascii_digit) {
        return Err(());
    }
    value.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or(())
}

/// What a guest is told of a body that ended in an error.
pub(crate) fn peer_error(error: &GuestBodyError) -> Error {
    tracing::debug!("a body that a handler reads ended early: {error}");
    match error {
        GuestBodyError::Length { declared } => Error::HttpResponseBodySize(Some(*declared)),
        GuestBodyError::Unfinished | GuestBodyError::Fault(_) | GuestBodyError::Peer(_) => Error::ConnectionTerminated,
    }
}

impl From<OutboundFailure> for Error {
    fn from(failure: OutboundFailure) -> Self {
        match failure {
            OutboundFailure::Denied => Self::HttpRequestDenied,
            OutboundFailure::AddressProhibited => Self::DestinationIpProhibited,
            OutboundFailure::NotFound => Self::DestinationNotFound,
            OutboundFailure::Unavailable => Self::DestinationUnavailable,
            OutboundFailure::Refused => Self::ConnectionRefused,
            OutboundFailure::ConnectTimeout => Self::ConnectionTimeout,
            OutboundFailure::Tls => Self::TlsProtocolError,
            OutboundFailure::Timeout => Self::ConnectionReadTimeout,
            OutboundFailure::Terminated => Self::ConnectionTerminated,
            OutboundFailure::Protocol => Self::HttpProtocolError,
            OutboundFailure::Loop => Self::LoopDetected,
            OutboundFailure::Internal => Self::InternalError(None),
        }
    }
}

impl From<RequestOptions> for OutboundConfig {
    fn from(options: RequestOptions) -> Self {
        let limit = |asked: Option<Duration>| asked.map(|asked| asked.max(SHORTEST_TIMEOUT));
        Self {
            connect_timeout: limit(options.connect_timeout),
            first_byte_timeout: limit(options.first_byte_timeout),
            between_bytes_timeout: limit(options.between_bytes_timeout),
        }
    }
}

/// How long a GET or HEAD waits for the guest to end its body.
const BODY_PATIENCE: Duration = Duration::from_millis(20);

/// A zero limit is one that has passed before it began; the timers' own resolution is the least that makes sense.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let check = |uri: &str, expected: Option<&str>| {
            let refused = check_uri(&uri.parse().expect("a URI")).err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), expected, "{uri}");
        };
        check("http://a.example/x?y", None);
        check("https://a.example", None);
        check("/x", Some("invalid HTTP request URI"));
        check("http://user@a.example/", Some("invalid HTTP request URI"));
        check("ftp://a.example/", Some("HTTP protocol error"));
        check(&format!("http://a.example/{}", "x".repeat(MAX_URI_BYTES)), Some("HTTP request URI too long"));
    }

    #[test]
    fn lengths() {
        let check = |values: &[&str], expected: Result<Option<u64>, ()>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_LENGTH, value.parse().expect("a field value"));
            }
            assert_eq!(declared_length(&headers), expected, "{values:?}");
        };
        check(&[], Ok(None));
        check(&["12"], Ok(Some(12)));
        check(&["12", "12"], Err(()));
        check(&["+12"], Err(()));
        check(&[""], Err(()));
        check(&["99999999999999999999999"], Err(()));
    }

    #[test]
    fn zero_timeouts_are_limits_too() {
        let options = RequestOptions { connect_timeout: Some(Duration::ZERO), ..RequestOptions::default() };
        let config = OutboundConfig::from(options);
        assert_eq!(config.connect_timeout, Some(SHORTEST_TIMEOUT));
        assert_eq!(config.first_byte_timeout, None);
    }
}
