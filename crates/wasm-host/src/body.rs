//! Bodies as they cross between a guest and its host.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

use crate::fault::Fault;

/// A body on its way to or from a guest. It is polled on whichever thread reads it.
pub type GuestBody = UnsyncBoxBody<Bytes, GuestBodyError>;

/// Why a body ended before its end. Whoever passes the body on must end it as an error too, never as a clean end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GuestBodyError {
    /// The guest dropped the body before it was finished, or returned without finishing it.
    #[error("the handler left its body unfinished")]
    Unfinished,
    /// The guest ended by a fault in mid-body.
    #[error("the handler ended in mid-body: {}", .0.reason)]
    Fault(Fault),
    /// The body is longer or shorter than its Content-Length.
    #[error("the handler's body does not have the {declared} bytes that its Content-Length declares")]
    Length {
        /// The declared length.
        declared: u64,
    },
    /// The other side, a client or an origin, ended it.
    #[error("{0}")]
    Peer(String),
}

/// A body without content.
#[must_use]
pub fn empty() -> GuestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of these bytes.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> GuestBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
