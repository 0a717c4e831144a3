//! The HTTP/3 client: a QUIC connection that carries many requests at once.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};
use h3::ConnectionState;
use h3::error::{Code, ConnectionError, StreamError};
use http::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::config::{self, Limits, NotForQuic};
use super::pump::{self, Hold, SendFailure};
use super::quic::{self, Opener};
use crate::body::{Body, BodyError, BodyErrorKind, Side};
use crate::client::{ClientError, ClientErrorKind};
use crate::fields;
use crate::interim::Hearing;

/// Opens HTTP/3 connections.
#[derive(Debug, Clone)]
pub struct Client {
    config: quinn::ClientConfig,
    limits: Limits,
}

impl Client {
    /// A client that trusts, and identifies itself, as `tls` says.
    ///
    /// # Errors
    /// The TLS configuration is not fit for QUIC (no TLS 1.3).
    pub fn new(tls: &rustls::ClientConfig, limits: Limits) -> Result<Self, NotForQuic> {
        Ok(Self { config: config::client(tls, &limits)?, limits })
    }

    /// Connects to `addr`, whose certificate must be for `server_name`; the current runtime drives the connection.
    ///
    /// # Errors
    /// [`ClientErrorKind::ConnectTimeout`] if nobody answers (QUIC knows no refused port), [`ClientErrorKind::Tls`] if
    /// either side refuses the other's certificate, else [`ClientErrorKind::Connect`].
    pub async fn connect(&self, addr: SocketAddr, server_name: &str) -> Result<Connection, ClientError> {
        let any = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let failed = |error: &dyn std::fmt::Display| ClientError::unsent(ClientErrorKind::Connect, error);
        let endpoint = quinn::Endpoint::client(SocketAddr::new(any, 0)).map_err(|error| failed(&error))?;
        let connecting =
            endpoint.connect_with(self.config.clone(), addr, server_name).map_err(|error| failed(&error))?;
        let connected = tokio::time::timeout(self.limits.connect, connecting).await;
        let quic = connected
            .map_err(|_| ClientError::unsent(ClientErrorKind::ConnectTimeout, addr))?
            .map_err(|error| ClientError::unsent(connect_kind(&error), error))?;
        let mut builder = h3::client::builder();
        builder.max_field_section_size(super::framing::MAX_BUFFERED_FRAME).send_grease(false);
        let (mut driver, sender) =
            builder.build(quic::Connection::client(quic.clone())).await.map_err(|error| failed(&error))?;
        tokio::spawn(async move {
            let error = driver.wait_idle().await;
            tracing::debug!(%addr, %error, "h3 connection ended");
        });
        Ok(Connection(Arc::new(Inner { sender, quic, _endpoint: endpoint })))
    }
}

/// An open HTTP/3 connection; clones share it, and it closes when the last clone and the last body from it are gone.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    sender: h3::client::SendRequest<Opener, Bytes>,
    quic: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

impl Connection {
    /// Will it take no further requests? (It is closed, or the server said GOAWAY.)
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.quic.close_reason().is_some() || self.0.sender.is_closing()
    }

    /// How many requests, or bodies from them, hold it. One with a body of its own counts twice until it is through.
    #[must_use]
    pub fn under_way(&self) -> usize {
        // Whoever asks and whoever keeps it hold it too, which makes no difference at the numbers that matter.
        Arc::strong_count(&self.0)
    }

    /// Sends a request and returns its response as soon as the head is there; the request's body goes on being sent
    /// meanwhile, and until it is through or the response's body is dropped before its end.
    ///
    /// The URI must be absolute: scheme, authority and path (or an authority alone for CONNECT).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        if self.is_closed() {
            return Err(ClientError::unsent(ClientErrorKind::Closed, "the connection is closed").with_request(request));
        }
        let for_head = request.method() == Method::HEAD;
        let hearing = Hearing::of(&request);
        let (mut parts, body) = request.into_parts();
        let length = fields::prepare(&mut parts.headers, body.exact_len())
            .map_err(|_| ClientError::unsent(ClientErrorKind::Protocol, "bad Content-Length"))?;
        let mut opener = self.0.sender.clone();
        let stream = opener.send_request(Request::from_parts(parts, ())).await.map_err(|error| stream_error(&error))?;
        let (sender, receiver) = stream.split();
        let upload = self.upload(sender, body, length).await?;
        self.receive(receiver, upload, (for_head, &hearing)).await
    }

    /// Sends the body: at once if it is empty, else from a task.
    async fn upload(&self, mut sender: Sender, body: Body, length: Option<u64>) -> Result<Upload, ClientError> {
        let (report, failure) = oneshot::channel();
        let cancel = CancellationToken::new();
        if length.unwrap_or(0) == 0 && http_body::Body::is_end_stream(&body) {
            sender.finish().await.map_err(|error| stream_error(&error))?;
            return Ok(Upload { failure, cancel: None });
        }
        let guard = cancel.clone().drop_guard();
        let connection = Arc::clone(&self.0);
        tokio::spawn(async move {
            let gone = cancel.cancelled();
            if let Err(error) = pump::send_body(&mut sender, body, length, gone).await {
                // Nobody listens once the response's head is there.
                let _ = report.send(error);
            }
            drop((sender, connection));
        });
        Ok(Upload { failure, cancel: Some(guard) })
    }

    async fn receive(
        &self,
        mut receiver: Receiver,
        mut upload: Upload,
        (for_head, hearing): (bool, &Hearing),
    ) -> Result<Response<Body>, ClientError> {
        let head = {
            let head = pin!(final_head(&mut receiver, hearing));
            let failure = pin!(body_failure(&mut upload.failure));
            match select(head, failure).await {
                Either::Left((head, _)) => head?,
                Either::Right((error, _)) => return Err(error),
            }
        };
        let length = fields::check(head.headers())
            .map_err(|error| ClientError::sent(ClientErrorKind::Protocol, format!("response head: {error:?}")))?;
        let connection: Arc<dyn std::any::Any + Send + Sync> = Arc::clone(&self.0) as _;
        let hold = Hold { upload: upload.cancel, _connection: Some(connection) };
        if for_head || matches!(head.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            // §4.1: nothing may follow but the end; what the length says is not about this stream.
            let _ = pump::receive_body(receiver, Some(0), Side::Upstream, hold).await;
            return Ok(head.map(|()| Body::empty()));
        }
        let body = pump::receive_body(receiver, length, Side::Upstream, hold).await;
        Ok(head.map(|()| body))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.0.quic.remote_address()).finish_non_exhaustive()
    }
}

type Sender = h3::client::RequestStream<quic::SendStream<Bytes>, Bytes>;
type Receiver = h3::client::RequestStream<quic::RecvStream, Bytes>;

struct Upload {
    failure: oneshot::Receiver<SendFailure>,
    cancel: Option<tokio_util::sync::DropGuard>,
}

/// Completes only if the request's own body fails: whether the peer stops it is the response's business.
async fn body_failure(failure: &mut oneshot::Receiver<SendFailure>) -> ClientError {
    let detail = match failure.await {
        Ok(SendFailure::Body(error)) => error,
        Ok(SendFailure::Length) => BodyError::new(BodyErrorKind::Incomplete, Side::Client),
        Ok(SendFailure::Peer) | Err(_) => std::future::pending().await,
    };
    ClientError::sent(ClientErrorKind::RequestBody, detail)
}

/// The final response's head: interim ones are only told of.
async fn final_head(receiver: &mut Receiver, hearing: &Hearing) -> Result<Response<()>, ClientError> {
    loop {
        let head = receiver.recv_response().await.map_err(|error| stream_error(&error))?;
        if !head.status().is_informational() {
            return Ok(head);
        }
        let heard = hearing.hear(head.status(), head.headers());
        heard.map_err(|error| ClientError::sent(ClientErrorKind::Protocol, error))?;
    }
}

fn connect_kind(error: &quinn::ConnectionError) -> ClientErrorKind {
    /// RFC 9001 §4.8: a TLS alert as a transport error.
    const CRYPTO_ERRORS: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;
    let code = match error {
        quinn::ConnectionError::TimedOut => return ClientErrorKind::ConnectTimeout,
        quinn::ConnectionError::TransportError(error) => error.code,
        quinn::ConnectionError::ConnectionClosed(close) => close.error_code,
        _ => return ClientErrorKind::Connect,
    };
    if CRYPTO_ERRORS.contains(&u64::from(code)) { ClientErrorKind::Tls } else { ClientErrorKind::Connect }
}

fn stream_error(error: &StreamError) -> ClientError {
    match error {
        // §4.1.1, §5.2: the server did not act on it.
        StreamError::RemoteClosing => ClientError::unsent(ClientErrorKind::Closed, error),
        StreamError::RemoteTerminate { code } if *code == Code::H3_REQUEST_REJECTED => {
            ClientError::unsent(ClientErrorKind::Closed, error)
        }
        StreamError::HeaderTooBig { .. } => ClientError::unsent(ClientErrorKind::TooLarge, error),
        StreamError::RemoteTerminate { .. } => ClientError::sent(ClientErrorKind::Reset, error),
        StreamError::ConnectionError(ConnectionError::Timeout) => ClientError::sent(ClientErrorKind::Timeout, error),
        StreamError::ConnectionError(_) => ClientError::sent(ClientErrorKind::Closed, error),
        _ => ClientError::sent(ClientErrorKind::Protocol, error),
    }
}
