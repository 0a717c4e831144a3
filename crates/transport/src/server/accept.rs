//! Accepting: from a listening socket to connections that are served, and, when the server is to end, to none.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::limits::ServerLimits;
use super::{http1, http2};
use crate::service::{ConnInfo, Protocol, Service, TlsInfo};
use crate::shutdown::{OpenConnection, Shutdown};
use crate::tls::{H2, peer_name};

/// Serves HTTP/1.1 in the clear from the current runtime. Once `shutdown` begins, connections that wait to be accepted
/// still are, the listener closes, and it returns when all requests under way are answered and all connections that have
/// left HTTP are closed, however long that takes; dropping it, with the runtime, ends them at once.
///
/// # Errors
/// The socket can't be used.
pub async fn serve_clear<S: Service>(
    listener: std::net::TcpListener,
    service: S,
    shutdown: Shutdown,
    limits: ServerLimits,
) -> io::Result<()> {
    serve(listener, None, service, shutdown, limits).await
}

/// Serves HTTP/2, or HTTP/1.1 where ALPN says so or nothing, over TLS; else as [`serve_clear`].
///
/// # Errors
/// The socket can't be used.
pub async fn serve_tls<S: Service>(
    listener: std::net::TcpListener,
    tls: Arc<rustls::ServerConfig>,
    service: S,
    shutdown: Shutdown,
    limits: ServerLimits,
) -> io::Result<()> {
    serve(listener, Some(tls.into()), service, shutdown, limits).await
}

/// What all connections of a listener share.
pub(super) struct Listener<S> {
    pub(super) service: S,
    pub(super) shutdown: Shutdown,
    pub(super) limits: ServerLimits,
    tls: Option<TlsAcceptor>,
}

/// A connection's place among those that are open.
pub(super) struct Place {
    _counted: OpenConnection,
    _waited_for: TaskTrackerToken,
    _permit: Option<OwnedSemaphorePermit>,
}

async fn serve<S: Service>(
    socket: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    service: S,
    shutdown: Shutdown,
    limits: ServerLimits,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = TcpListener::from_std(socket)?;
    let places = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let listener = Arc::new(Listener { service, shutdown: shutdown.clone(), limits, tls });
    let connections = TaskTracker::new();
    let start = |tcp, peer, permit| {
        let place = Place { _counted: shutdown.open(), _waited_for: connections.token(), _permit: permit };
        let listener = Arc::clone(&listener);
        tokio::spawn(async move { listener.serve_connection(tcp, peer, place).await });
    };
    let mut draining = pin!(shutdown.draining());
    while let Either::Left(((permit, (tcp, peer)), _)) = select(pin!(next(&socket, &places)), draining.as_mut()).await {
        start(tcp, peer, permit);
    }
    // Counted, so that nobody sees an empty house before the queue is taken in.
    let closing = shutdown.open();
    for (tcp, peer) in queued(socket)? {
        start(tcp, peer, None);
    }
    drop(closing);
    connections.close();
    connections.wait().await;
    Ok(())
}

/// The next connection, once there is a place for it.
async fn next(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, (TcpStream, SocketAddr)) {
    let permit = Arc::clone(places).acquire_owned().await.ok();
    let mut pause = FIRST_PAUSE;
    loop {
        match socket.accept().await {
            Ok(accepted) => return (permit, accepted),
            // This client has left already.
            Err(error) if is_of_client(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: others give some back, and trying at once would only burn time.
                tracing::warn!(%error, ?pause, "can't accept connections");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// The connections that are waiting to be accepted; then the socket closes. It is asked directly: the runtime may not yet
/// know of them.
fn queued(socket: TcpListener) -> io::Result<Vec<(TcpStream, SocketAddr)>> {
    let socket = socket.into_std()?;
    let mut queued = Vec::new();
    loop {
        match socket.accept() {
            Ok((tcp, peer)) => {
                tcp.set_nonblocking(true)?;
                queued.push((TcpStream::from_std(tcp)?, peer));
            }
            Err(error) if is_of_client(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(queued),
            Err(error) => {
                tracing::warn!(%error, "connections that were waiting are lost");
                return Ok(queued);
            }
        }
    }
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

impl<S: Service> Listener<S> {
    async fn serve_connection(&self, tcp: TcpStream, peer: SocketAddr, place: Place) {
        // It fails only on a socket that is gone, which the next read will tell.
        let _ = tcp.set_nodelay(true);
        let Ok(local) = tcp.local_addr() else { return };
        let info = ConnInfo { peer, local, protocol: Protocol::Http1, tls: None };
        match &self.tls {
            None => http1::serve(tcp, info, self, place).await,
            Some(tls) => self.serve_tls_connection(tls.accept(tcp), info, place).await,
        }
    }

    async fn serve_tls_connection(&self, handshake: tokio_rustls::Accept<TcpStream>, info: ConnInfo, place: Place) {
        let peer = info.peer;
        let stream = match tokio::time::timeout(self.limits.handshake, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => return tracing::debug!(%peer, "TLS handshake timed out"),
        };
        let session = stream.get_ref().1;
        let tls = Some(TlsInfo {
            server_name: session.server_name().map(str::to_ascii_lowercase),
            client_identity: session.peer_certificates().and_then(peer_name),
        });
        if session.alpn_protocol() == Some(H2) {
            // Boxed: only one in many connections in the clear would need the room.
            Box::pin(http2::serve(stream, ConnInfo { protocol: Protocol::Http2, tls, ..info }, self)).await;
        } else {
            http1::serve(stream, ConnInfo { tls, ..info }, self, place).await;
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
