//! HTTP/2 to a peer: many requests at once on one connection.

use std::time::Duration;

use holm_model::limits::MAX_HEAD_BYTES;
use http::{Request, Response};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::{ClientError, ClientErrorKind};
use super::h1::from_hyper;
use crate::body::{Body, Side};

/// An HTTP/2 connection; clones share it.
#[derive(Debug, Clone)]
pub struct Http2 {
    sender: http2::SendRequest<Body>,
}

impl Http2 {
    /// Starts HTTP/2 on `io`; a task on the current runtime drives it. Pings notice a dead peer while requests wait.
    ///
    /// # Errors
    /// The peer does not speak HTTP/2, or is gone.
    pub async fn handshake(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, ClientError> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let (sender, connection) = builder
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| ClientError::unsent(ClientErrorKind::Connect, error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "h2 upstream connection ended");
            }
        });
        Ok(Self { sender })
    }

    /// Is it gone, or about to be?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request whose URI is absolute; returns the response once its head is there.
    ///
    /// # Errors
    /// See [`ClientError`]; the request comes back if it was not sent.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        let response = self.sender.clone().try_send_request(request).await.map_err(from_hyper)?;
        Ok(response.map(|body| Body::incoming(body, Side::Upstream)))
    }
}

/// The most bytes of one response that wait for their reader.
const STREAM_WINDOW: u32 = 1 << 20;

/// The same for all responses of a connection.
const CONNECTION_WINDOW: u32 = 8 << 20;

const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
