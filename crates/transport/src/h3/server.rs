//! The HTTP/3 server: one QUIC endpoint on the current runtime, a task for each connection and each request.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, poll_fn, select};
use h3::error::{Code, StreamError};
use holm_model::limits::{HEAD_TIMEOUT, MAX_URI_BYTES};
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use quinn::crypto::rustls::HandshakeData;
use rustls_pki_types::CertificateDer;
use tokio_util::task::TaskTracker;

use super::config::{self, Limits};
use super::pump::{self, Hold, SendFailure};
use super::quic::{self, Settled};
use crate::body::{Body, Side};
use crate::fields::{self, BadHead};
use crate::interim::Interims;
use crate::service::{ConnInfo, Protocol, Service, TlsInfo};
use crate::shutdown::Shutdown;
use crate::tls::peer_name;

/// Serves HTTP/3 on `socket` from the current runtime. Once `shutdown` begins, new connections and requests are refused
/// (GOAWAY), and it returns when those under way are answered; dropping it, with the runtime, ends them at once.
///
/// # Errors
/// The TLS configuration is not fit for QUIC (no TLS 1.3), or the socket can't be used.
pub async fn serve<S: Service>(
    socket: std::net::UdpSocket,
    tls: Arc<rustls::ServerConfig>,
    service: S,
    shutdown: Shutdown,
    limits: Limits,
) -> std::io::Result<()> {
    let server = config::server(&tls, &limits).map_err(std::io::Error::other)?;
    let local = socket.local_addr()?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let endpoint = quinn::Endpoint::new(quinn::EndpointConfig::default(), Some(server), socket, runtime)?;
    let connections = TaskTracker::new();
    let mut draining = pin!(shutdown.draining());
    while let Either::Left((Some(incoming), _)) = select(pin!(endpoint.accept()), draining.as_mut()).await {
        if let Some(incoming) = admit(incoming, connections.len(), &limits) {
            connections.spawn(serve_connection(incoming, local, service.clone(), shutdown.clone()));
        }
    }
    let _closing = shutdown.open();
    endpoint.set_server_config(None);
    connections.close();
    connections.wait().await;
    endpoint.close(u32::try_from(Code::H3_NO_ERROR.value()).unwrap_or(0).into(), b"shutdown");
    // The close frames leave within this; a peer that misses them times out.
    let _ = tokio::time::timeout(CLOSE_LINGER, endpoint.wait_idle()).await;
    Ok(())
}

fn admit(incoming: quinn::Incoming, open: usize, limits: &Limits) -> Option<quinn::Incoming> {
    if open >= limits.connections {
        incoming.refuse();
        return None;
    }
    if open >= limits.validate_above && !incoming.remote_address_validated() {
        // It fails only for an address that is validated.
        let _ = incoming.retry();
        return None;
    }
    Some(incoming)
}

async fn serve_connection<S: Service>(incoming: quinn::Incoming, local: SocketAddr, service: S, shutdown: Shutdown) {
    let _open = shutdown.open();
    let peer = incoming.remote_address();
    let connection = match tokio::time::timeout(HEAD_TIMEOUT, incoming).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "h3 handshake failed"),
        Err(_) => return tracing::debug!(%peer, "h3 handshake timed out"),
    };
    let info = Arc::new(conn_info(&connection, local));
    let (quic, last_accepted) = quic::Connection::server(connection);
    let mut builder = h3::server::builder();
    builder.max_field_section_size(super::framing::MAX_BUFFERED_FRAME).send_grease(false);
    let mut h3 = match builder.build::<_, Bytes>(quic).await {
        Ok(h3) => h3,
        Err(error) => return tracing::debug!(%peer, %error, "h3 connection failed at its start"),
    };
    let requests = TaskTracker::new();
    let mut draining = false;
    let mut begin = pin!(shutdown.draining());
    loop {
        tokio::select! {
            accepted = h3.accept() => {
                let (Ok(Some(resolver)), Some(settled)) = (accepted, last_accepted.take()) else { break };
                requests.spawn(serve_request(resolver, settled, service.clone(), Arc::clone(&info)));
            }
            () = &mut begin, if !draining => {
                draining = true;
                requests.close();
                if h3.shutdown(0).await.is_err() {
                    break;
                }
            }
            // Each request ends once its response is acknowledged, so that closing loses nothing.
            () = requests.wait(), if draining => break,
        }
    }
}

fn conn_info(connection: &quinn::Connection, local: SocketAddr) -> ConnInfo {
    let handshake = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let server_name = handshake.and_then(|data| data.server_name).map(|name| name.to_ascii_lowercase());
    let local = connection.local_ip().map_or(local, |ip| SocketAddr::new(ip, local.port()));
    ConnInfo {
        peer: connection.remote_address(),
        local,
        protocol: Protocol::Http3,
        tls: Some(TlsInfo { server_name, client_identity: client_identity(connection) }),
    }
}

type Resolver = h3::server::RequestResolver<quic::Connection, Bytes>;
type Sender = h3::server::RequestStream<quic::SendStream<Bytes>, Bytes>;

async fn serve_request<S: Service>(resolver: Resolver, mut settled: Settled, service: S, info: Arc<ConnInfo>) {
    let Ok(Ok((head, stream))) = tokio::time::timeout(HEAD_TIMEOUT, resolver.resolve_request()).await else { return };
    let (mut sender, receiver) = stream.split();
    let length = match fields::check(head.headers()) {
        Ok(_) if head.uri().path_and_query().is_some_and(|path| path.as_str().len() > MAX_URI_BYTES) => {
            return refuse(&mut sender, StatusCode::URI_TOO_LONG, settled).await;
        }
        Ok(length) => length,
        Err(BadHead::TooLarge) => {
            return refuse(&mut sender, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, settled).await;
        }
        Err(BadHead::Malformed) => return sender.stop_stream(Code::H3_MESSAGE_ERROR),
    };
    let body = pump::receive_body(receiver, length, Side::Client, Hold::default()).await;
    let request = head.map(|()| body);
    let for_head = request.method() == Method::HEAD;
    let Some(response) = call(&service, request, &info, (&mut sender, &mut settled)).await else { return };
    match send_response(&mut sender, response, for_head, &mut settled).await {
        Ok(()) => {
            settled.await;
        }
        Err(SendFailure::Peer) => {}
        Err(error) => tracing::debug!(peer = %info.peer, ?error, "h3 response broke off"),
    }
}

/// Asks the service, and sends interim responses until it answers; `None` once the client is gone.
async fn call<S: Service>(
    service: &S,
    request: Request<Body>,
    info: &Arc<ConnInfo>,
    (sender, settled): (&mut Sender, &mut Settled),
) -> Option<Response<Body>> {
    let interims = Interims::new();
    let mut answer = pin!(service.call(request, info, &interims));
    let mut sending = pin!(send_interims(sender, &interims));
    let mut answered = None;
    poll_fn(|cx| {
        if settled.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if answered.is_none()
            && let Poll::Ready(response) = answer.as_mut().poll(cx)
        {
            answered = Some(response);
            interims.close();
        }
        if interims.queue().is_none() {
            return answered.take().map_or(Poll::Pending, |response| Poll::Ready(Some(response)));
        }
        // What was sent before the answer goes before it, whole.
        sending.as_mut().poll(cx).map(|sent| sent.ok().and_then(|()| answered.take()))
    })
    .await
}

/// Sends interim responses until there can be no more.
async fn send_interims(sender: &mut Sender, interims: &Interims) -> Result<(), StreamError> {
    while let Some(heads) = poll_fn(|cx| interims.poll_sent(cx)).await {
        for head in heads {
            match sender.send_response(head.into_response()).await {
                // A client that takes small heads only goes without.
                Ok(()) | Err(StreamError::HeaderTooBig { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

async fn send_response(
    sender: &mut Sender,
    response: Response<Body>,
    for_head: bool,
    settled: &mut Settled,
) -> Result<(), SendFailure> {
    let (mut parts, mut body) = response.into_parts();
    let bodiless = for_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if parts.status == StatusCode::NO_CONTENT {
        // RFC 9110 §8.6.
        parts.headers.remove(CONTENT_LENGTH);
    }
    let mut length = fields::prepare(&mut parts.headers, if bodiless { None } else { body.exact_len() })
        .map_err(|_| SendFailure::Length)?;
    if bodiless {
        (body, length) = (Body::empty(), None);
    }
    sender.send_response(Response::from_parts(parts, ())).await.map_err(|_| SendFailure::Peer)?;
    let gone = async move {
        settled.await;
    };
    pump::send_body(sender, body, length, gone).await
}

async fn refuse(sender: &mut Sender, status: StatusCode, settled: Settled) {
    let mut head = Response::new(());
    *head.status_mut() = status;
    if sender.send_response(head).await.is_ok() && sender.finish().await.is_ok() {
        settled.await;
    }
}

fn client_identity(connection: &quinn::Connection) -> Option<String> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    peer_name(&chain)
}

/// How long a closing endpoint may take to say so.
const CLOSE_LINGER: Duration = Duration::from_millis(500);
