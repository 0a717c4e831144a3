//! HTTP/1.1 to a peer: one request at a time on a connection that is used again.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use http::{Request, Response, StatusCode};
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::{ClientError, ClientErrorKind};
use crate::body::{Body, BodyError, Side};
use crate::interim::Hearing;
use crate::service::Upgrade;

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub struct Http1 {
    sender: http1::SendRequest<Body>,
}

impl Http1 {
    /// Starts HTTP/1.1 on `io`; a task on the current runtime drives it.
    ///
    /// # Errors
    /// The connection is gone already.
    pub async fn handshake(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, ClientError> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(2 * holm_model::limits::MAX_HEAD_BYTES).ignore_invalid_headers_in_responses(false);
        let (sender, connection) = builder
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| ClientError::unsent(ClientErrorKind::Connect, error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "h1 upstream connection ended");
            }
        });
        Ok(Self { sender })
    }

    /// Is it gone?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// May a request be sent now? Not while another one, or its response, is under way.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends a request whose URI is in origin-form and which has its `Host`; returns the response once its head is there.
    /// A 101 has an [`Upgrade`] among its extensions. Dropping the response's body before its end closes the connection.
    ///
    /// # Errors
    /// See [`ClientError`]; the request comes back if it was not sent.
    pub async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Body>, ClientError> {
        let hearing = Arc::new(Hearing::of(&request));
        let heard = Arc::clone(&hearing);
        hyper::ext::on_informational(&mut request, move |head| {
            // Too many are told to the one who waits.
            let _ = heard.hear(head.status(), head.headers());
        });
        let sent = pin!(self.sender.try_send_request(request));
        let mut response = match select(sent, pin!(hearing.overrun())).await {
            Either::Left((sent, _)) => sent.map_err(from_hyper)?,
            // Nobody waits for the response any more: hyper closes the connection.
            Either::Right((error, _)) => return Err(ClientError::sent(ClientErrorKind::Protocol, error)),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = Upgrade::from_hyper(hyper::upgrade::on(&mut response));
            response.extensions_mut().insert(upgrade);
        }
        Ok(response.map(|body| Body::incoming(body, Side::Upstream)))
    }
}

/// What hyper says of a request that failed.
pub(super) fn from_hyper(mut failure: TrySendError<Request<Body>>) -> ClientError {
    if let Some(request) = failure.take_message() {
        return ClientError::unsent(ClientErrorKind::Closed, failure.into_error()).with_request(request);
    }
    let error = failure.into_error();
    let words = super::error::chain(&error);
    let kind = if error.is_body_write_aborted() || has_cause::<BodyError>(&error) {
        ClientErrorKind::RequestBody
    } else if error.is_parse_too_large() {
        ClientErrorKind::TooLarge
    } else if error.is_parse() {
        ClientErrorKind::Protocol
    } else if error.is_timeout() {
        ClientErrorKind::Timeout
    } else if is_reset(&error) {
        ClientErrorKind::Reset
    } else {
        ClientErrorKind::Closed
    };
    ClientError::sent(kind, words)
}

fn is_reset(error: &hyper::Error) -> bool {
    find_cause::<std::io::Error>(error).is_some_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionReset)
}

fn has_cause<E: Error + 'static>(error: &hyper::Error) -> bool {
    find_cause::<E>(error).is_some()
}

fn find_cause<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
