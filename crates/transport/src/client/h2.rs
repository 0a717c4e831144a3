//! HTTP/2 to a peer: many requests at once on one connection.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, poll_fn, select};
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use holm_model::limits::MAX_HEAD_BYTES;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::{ClientError, ClientErrorKind};
use crate::body::{Body, BodyError, Side};
use crate::fields;
use crate::http2::{Hold, Listening, Piece, Pings, SendFailure, Stall, received_body, send_body};
use crate::interim::Hearing;

/// An HTTP/2 connection; clones share it, and it closes when the last clone and the last body from it are gone.
#[derive(Clone)]
pub struct Http2 {
    /// One at a time opens a stream: where the peer allows no more of them, the others wait here, unsent.
    sender: Arc<Mutex<SendRequest<Piece<()>>>>,
    /// For a look at the connection's state.
    probe: SendRequest<Piece<()>>,
    link: Arc<Link>,
}

/// What a connection and its requests know of each other.
#[derive(Debug, Default)]
struct Link {
    under_way: AtomicUsize,
    /// The peer answered no ping.
    silent: AtomicBool,
    ended: AtomicBool,
}

impl Http2 {
    /// Starts HTTP/2 on `io`; a task on the current runtime drives it. Pings notice a dead peer while requests wait.
    ///
    /// # Errors
    /// The peer does not speak HTTP/2, or is gone.
    pub async fn handshake(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, ClientError> {
        let (io, heard) = Listening::new(io);
        let (sender, mut connection) =
            builder().handshake(io).await.map_err(|error| ClientError::unsent(ClientErrorKind::Connect, error))?;
        let link = Arc::new(Link::default());
        let mut pings = connection.ping_pong().map(|pings| Pings::new(pings, heard, PING_INTERVAL, PING_TIMEOUT));
        let shared = Arc::clone(&link);
        tokio::spawn(async move {
            let ended = poll_fn(|cx| {
                let ended = connection.poll_unpin(cx);
                if ended.is_ready() {
                    return ended;
                }
                // After what has arrived is read: a sign of life may be among it.
                let idle = shared.under_way.load(Relaxed) == 0;
                let silent = pings.as_mut().is_some_and(|pings| pings.poll(cx, idle).is_ready());
                if silent {
                    shared.silent.store(true, Relaxed);
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending
            })
            .await;
            shared.ended.store(true, Relaxed);
            if let Err(error) = ended {
                tracing::debug!(%error, "h2 upstream connection ended");
            }
        });
        Ok(Self { sender: Arc::new(Mutex::new(sender.clone())), probe: sender, link })
    }

    /// Is it gone, or about to be?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        // A clone waits for no stream: it tells of the connection.
        self.link.ended.load(Relaxed) || matches!(self.probe.clone().poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Sends a request whose URI is absolute; returns the response once its head is there. The request's body goes on
    /// being sent meanwhile, and until it is through or the response's body is dropped before its end.
    ///
    /// # Errors
    /// See [`ClientError`]; the request comes back if it was not sent.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        let hearing = Hearing::of(&request);
        let for_head = request.method() == Method::HEAD;
        let under_way = UnderWay::new(&self.link);
        let (response, upload) = self.begin(request).await?;
        let (cancel, failure) = upload.map_or((None, None), |upload| (Some(upload.cancel), Some(upload.failure)));
        // A body that fails resets its stream: why is known here, not there.
        let head = match select(pin!(body_failure(failure)), pin!(final_head(response, &hearing))).await {
            Either::Left((error, _)) => return Err(error),
            Either::Right((head, _)) => head.map_err(|error| self.failed(error))?,
        };
        let length = fields::content_length(head.headers())
            .map_err(|error| ClientError::sent(ClientErrorKind::Protocol, format!("response head: {error:?}")))?;
        // RFC 9110 §8.6: there it tells of another response's body.
        let bodiless = for_head || matches!(head.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = if bodiless { Some(0) } else { length };
        let hold = Hold { upload: cancel, _request: Some(Box::new(under_way)) };
        Ok(head.map(|stream| received_body(stream, length, Side::Upstream, hold, Stall::never())))
    }

    /// Sends the head, and begins with the body.
    async fn begin(&self, request: Request<Body>) -> Result<(ResponseFuture, Option<Upload>), ClientError> {
        let mut sender = self.sender.lock().await;
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            return Err(ClientError::unsent(self.closed(), error).with_request(request));
        }
        let (mut parts, body) = request.into_parts();
        let length = fields::prepare(&mut parts.headers, body.exact_len())
            .map_err(|_| ClientError::unsent(ClientErrorKind::Protocol, "bad Content-Length"))?;
        let is_whole = body.is_end_stream() && length.unwrap_or(0) == 0;
        // RFC 9110 §8.6: what may have a body says that it has none.
        if is_whole && matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
            parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
        }
        parts.extensions.clear();
        let sent = sender.send_request(Request::from_parts(parts, ()), is_whole);
        drop(sender);
        let (response, stream) = sent.map_err(|error| self.failed(error.into()))?;
        Ok((response, (!is_whole).then(|| Upload::begin(stream, body, length))))
    }

    fn failed(&self, failure: HeadFailure) -> ClientError {
        match failure {
            HeadFailure::TooMany(error) => ClientError::sent(ClientErrorKind::Protocol, error),
            HeadFailure::H2(error) if is_untouched(&error) => ClientError::unsent(ClientErrorKind::Closed, error),
            HeadFailure::H2(error) if error.is_reset() && error.is_remote() => {
                ClientError::sent(ClientErrorKind::Reset, error)
            }
            HeadFailure::H2(error) if is_connection_reset(&error) => ClientError::sent(ClientErrorKind::Reset, error),
            HeadFailure::H2(error) if error.is_library() => ClientError::sent(ClientErrorKind::Protocol, error),
            HeadFailure::H2(error) => ClientError::sent(self.closed(), error),
        }
    }

    /// Why the connection is gone.
    fn closed(&self) -> ClientErrorKind {
        if self.link.silent.load(Relaxed) { ClientErrorKind::Timeout } else { ClientErrorKind::Closed }
    }
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2").field("link", &self.link).finish_non_exhaustive()
    }
}

/// A request, from its beginning to the end of its response.
struct UnderWay(Arc<Link>);

impl UnderWay {
    fn new(link: &Arc<Link>) -> Self {
        link.under_way.fetch_add(1, Relaxed);
        Self(Arc::clone(link))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// A request's body on its way.
struct Upload {
    cancel: DropGuard,
    failure: oneshot::Receiver<BodyError>,
}

impl Upload {
    fn begin(mut stream: SendStream<Piece<()>>, body: Body, length: Option<u64>) -> Self {
        let (report, failure) = oneshot::channel();
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        tokio::spawn(async move {
            let sent =
                match select(pin!(send_body(&mut stream, body, length, (), Stall::never())), pin!(cancel.cancelled()))
                    .await
                {
                    Either::Left((sent, _)) => Some(sent),
                    Either::Right(_) => None,
                };
            match sent {
                Some(Ok(())) => {}
                // Whether the peer stops it is the response's business.
                Some(Err(SendFailure::Peer(error))) => tracing::debug!(%error, "an h2 request's body was not wanted"),
                Some(Err(SendFailure::Body(error))) => {
                    // Nobody listens once the response's head is there.
                    let _ = report.send(error);
                    stream.send_reset(Reason::CANCEL);
                }
                Some(Err(SendFailure::Stalled)) | None => stream.send_reset(Reason::CANCEL),
            }
        });
        Self { cancel: guard, failure }
    }
}

/// Completes only if the request's own body fails.
async fn body_failure(failure: Option<oneshot::Receiver<BodyError>>) -> ClientError {
    match failure {
        Some(failure) => match failure.await {
            Ok(error) => ClientError::sent(ClientErrorKind::RequestBody, error),
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Why there is no final head.
enum HeadFailure {
    H2(h2::Error),
    TooMany(crate::interim::TooMany),
}

impl From<h2::Error> for HeadFailure {
    fn from(error: h2::Error) -> Self {
        Self::H2(error)
    }
}

/// The final response's head: interim ones are only told of. Dropped before, the stream is reset.
async fn final_head(mut response: ResponseFuture, hearing: &Hearing) -> Result<Response<RecvStream>, HeadFailure> {
    while let Some(interim) = poll_fn(|cx| response.poll_informational(cx)).await {
        let interim = interim?;
        hearing.hear(interim.status(), interim.headers()).map_err(HeadFailure::TooMany)?;
    }
    Ok(response.await?)
}

/// The peer has not acted on the request (RFC 9113 §8.7): it says so, or leaves with a GOAWAY that names an earlier one as
/// the last (h2 ends no other stream for a GOAWAY).
fn is_untouched(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

fn is_connection_reset(error: &h2::Error) -> bool {
    error.get_io().is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .initial_max_send_streams(FIRST_STREAMS)
        .enable_push(false);
    builder
}

/// The most bytes of one response that wait for their reader.
const STREAM_WINDOW: u32 = 1 << 20;

/// The same for all responses of a connection.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The most bytes of one request that wait for the peer.
const SEND_BUFFER: usize = 1 << 20;

/// How many requests may be sent before the peer has said how many it takes (RFC 9113 §6.5.2 recommends 100 at least).
const FIRST_STREAMS: usize = 100;

const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
