//! Client errors: why a request got no response, and whether the peer may have acted on it.

use std::fmt::Display;

use http::Request;

use crate::body::Body;

/// A request without a response.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct ClientError {
    /// What happened.
    pub kind: ClientErrorKind,
    /// May any byte of the request have reached the peer? If not, it can be tried again whatever its method.
    pub sent: bool,
    /// The cause in words.
    pub detail: String,
    request: Option<Box<Request<Body>>>,
}

/// What kept a request from its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ClientErrorKind {
    /// The name has no address, or the resolver failed.
    #[error("name not resolved")]
    Dns,
    /// No connection within the time allowed, TLS included.
    #[error("connect timed out")]
    ConnectTimeout,
    /// Nobody listens there.
    #[error("connection refused")]
    ConnectRefused,
    /// No connection for another reason (unreachable, out of ports, …).
    #[error("connect failed")]
    Connect,
    /// The TLS handshake failed: certificate, name, versions.
    #[error("TLS handshake failed")]
    Tls,
    /// The connection closed before a response.
    #[error("connection closed")]
    Closed,
    /// The peer reset the connection or the stream.
    #[error("reset by peer")]
    Reset,
    /// The peer went silent.
    #[error("timed out")]
    Timeout,
    /// The peer broke the protocol.
    #[error("protocol error")]
    Protocol,
    /// A head is larger than the peer takes, or than we do.
    #[error("head too large")]
    TooLarge,
    /// We have as many requests under way as we allow.
    #[error("too many requests")]
    Busy,
    /// The request's own body failed: the fault of whoever sends it.
    #[error("request body failed")]
    RequestBody,
}

impl ClientError {
    /// An error before any byte was sent.
    pub fn unsent(kind: ClientErrorKind, detail: impl Display) -> Self {
        Self { kind, sent: false, detail: detail.to_string(), request: None }
    }

    /// An error after bytes of the request may have reached the peer.
    pub fn sent(kind: ClientErrorKind, detail: impl Display) -> Self {
        Self { kind, sent: true, detail: detail.to_string(), request: None }
    }

    /// Gives the request back, unsent as it is.
    #[must_use]
    pub fn with_request(mut self, request: Request<Body>) -> Self {
        self.request = Some(Box::new(request));
        self
    }

    /// The whole request, if it comes back unsent.
    pub fn take_request(&mut self) -> Option<Request<Body>> {
        self.request.take().map(|request| *request)
    }

    /// May the same request be sent again, given whether sending it twice does no harm (`idempotent`, and no body gone)?
    #[must_use]
    pub fn retryable(&self, idempotent: bool) -> bool {
        match self.kind {
            ClientErrorKind::RequestBody | ClientErrorKind::TooLarge | ClientErrorKind::Protocol => false,
            _ => !self.sent || idempotent,
        }
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}
