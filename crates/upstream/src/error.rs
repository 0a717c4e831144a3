//! Upstream errors: what kept a request from its response, as clients, logs and metrics are told.

use std::sync::Arc;

use holm_transport::client::{ClientError, ClientErrorKind};
use http::StatusCode;

/// No response came from any endpoint that was tried.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {detail} (endpoint {endpoint}, {attempts} tried)", self.reason())]
pub struct UpstreamError {
    /// What happened at the last endpoint.
    pub kind: UpstreamErrorKind,
    /// The last endpoint, as the manifest names it; empty if there is none.
    pub endpoint: Arc<str>,
    /// How many endpoints were tried.
    pub attempts: u32,
    /// The cause in words.
    pub detail: Arc<str>,
}

/// What kept a request from its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamErrorKind {
    /// The pool has no endpoint.
    NoEndpoint,
    /// A connection or a request failed.
    Client(ClientErrorKind),
    /// The request was sent, and no response's head came within `timeout.first_byte`.
    FirstByteTimeout,
    /// What stands behind the endpoint broke off before a response's head was through.
    BrokeOff,
}

impl UpstreamErrorKind {
    /// Its name in `Cache-Status`, logs and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoEndpoint => "no-endpoint",
            Self::FirstByteTimeout => "first-byte-timeout",
            Self::BrokeOff => "broke-off",
            Self::Client(kind) => match kind {
                ClientErrorKind::Dns => "dns",
                ClientErrorKind::ConnectTimeout => "connect-timeout",
                ClientErrorKind::ConnectRefused => "connect-refused",
                ClientErrorKind::Connect => "connect-failed",
                ClientErrorKind::Tls => "tls",
                ClientErrorKind::Closed => "closed",
                ClientErrorKind::Reset => "reset",
                ClientErrorKind::Timeout => "silent",
                ClientErrorKind::Protocol => "protocol",
                ClientErrorKind::TooLarge => "head-too-large",
                ClientErrorKind::RequestBody => "request-body",
                ClientErrorKind::Busy => "busy",
            },
        }
    }

    /// Is it the endpoint's doing? If not, it says nothing about its health.
    pub(crate) const fn is_endpoints_fault(self) -> bool {
        !matches!(
            self,
            Self::NoEndpoint
                | Self::BrokeOff
                | Self::Client(ClientErrorKind::RequestBody | ClientErrorKind::TooLarge | ClientErrorKind::Busy)
        )
    }
}

impl UpstreamError {
    /// The reason's name: see [`UpstreamErrorKind::reason`].
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.kind.reason()
    }

    /// What the client is told: 504 if time ran out, 400 if its own body failed, else 502.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self.kind {
            UpstreamErrorKind::FirstByteTimeout
            | UpstreamErrorKind::Client(ClientErrorKind::ConnectTimeout | ClientErrorKind::Timeout) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            UpstreamErrorKind::Client(ClientErrorKind::RequestBody) => StatusCode::BAD_REQUEST,
            UpstreamErrorKind::Client(ClientErrorKind::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

/// One endpoint's failure.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: UpstreamErrorKind,
    pub(crate) error: ClientError,
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self { kind: UpstreamErrorKind::Client(error.kind), error }
    }
}

impl Failure {
    pub(crate) fn first_byte(within: std::time::Duration) -> Self {
        let error = ClientError::sent(ClientErrorKind::Timeout, format!("no response within {within:?}"));
        Self { kind: UpstreamErrorKind::FirstByteTimeout, error }
    }
}
