//! HTTP/2 to a peer: many requests at once on one connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use holm_model::limits::MAX_HEAD_BYTES;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::{ClientError, ClientErrorKind};
use super::h1::from_hyper;
use crate::body::{Body, BodyError, Side};

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
        let failure = Failure::default();
        let request = if http_body::Body::is_end_stream(request.body()) {
            request
        } else {
            request.map(|body| Body::stream(Watched { body, failure: Arc::clone(&failure) }))
        };
        let sent = self.sender.clone().try_send_request(request).await.map_err(from_hyper);
        let response = sent.map_err(|error| match failure.lock().take() {
            // hyper knows of a stream that was reset, and no more why.
            Some(cause) => ClientError::sent(ClientErrorKind::RequestBody, cause),
            None => error,
        })?;
        Ok(response.map(|body| Body::incoming(body, Side::Upstream)))
    }
}

/// A request's body that tells how it failed.
struct Watched {
    body: Body,
    failure: Failure,
}

type Failure = Arc<Mutex<Option<BodyError>>>;

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Err(error)) = &frame {
            *self.failure.lock() = Some(error.clone());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The most bytes of one response that wait for their reader.
const STREAM_WINDOW: u32 = 1 << 20;

/// The same for all responses of a connection.
const CONNECTION_WINDOW: u32 = 8 << 20;

const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
