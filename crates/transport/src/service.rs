//! What a listener asks: the service behind it, and what it knows of the connection that a request came by.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::Body;
use crate::interim::Interims;

/// Answers requests, whichever protocol they came by. It cannot fail: an error is a response too. Dropping the future
/// means that the client left.
pub trait Service: Clone + Send + Sync + 'static {
    /// Answers one request. Until then, interim responses may go to `interims`.
    fn call(
        &self,
        request: Request<Body>,
        connection: &Arc<ConnInfo>,
        interims: &Interims,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What is known of a connection.
#[derive(Debug, Clone)]
pub struct ConnInfo {
    /// The peer's address.
    pub peer: SocketAddr,
    /// Our own address.
    pub local: SocketAddr,
    /// The protocol spoken.
    pub protocol: Protocol,
    /// The TLS facts; `None` in the clear.
    pub tls: Option<TlsInfo>,
}

/// An HTTP version as spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    /// Its label in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Http2 => "h2",
            Self::Http3 => "h3",
        }
    }
}

/// What TLS says of a connection.
#[derive(Debug, Clone, Default)]
pub struct TlsInfo {
    /// The server name that the client asked for, in lower case.
    pub server_name: Option<String>,
    /// The name in the client's certificate, where mutual TLS is on: a peer that holds one is a node of ours.
    pub client_identity: Option<String>,
}

/// Both directions of a connection as bytes, once an upgrade is through.
pub type UpgradedIo = Pin<Box<dyn DuplexIo>>;

/// Reads and writes, of any kind.
pub trait DuplexIo: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> DuplexIo for T {}

/// A connection that may leave HTTP: the extension of an HTTP/1.1 request that asks for an upgrade, and of a 101
/// response. It is cloneable because extensions are; the first to take it has it.
#[derive(Clone)]
pub struct Upgrade(Arc<Mutex<Option<PendingIo>>>);

type PendingIo = Pin<Box<dyn Future<Output = std::io::Result<UpgradedIo>> + Send>>;

impl Upgrade {
    /// An upgrade that yields its bytes once `pending` completes.
    pub fn new(pending: impl Future<Output = std::io::Result<UpgradedIo>> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(pending)))))
    }

    /// hyper's upgrade.
    #[must_use]
    pub fn from_hyper(pending: hyper::upgrade::OnUpgrade) -> Self {
        Self::new(async move {
            let io = pending.await.map_err(std::io::Error::other)?;
            Ok(Box::pin(hyper_util::rt::TokioIo::new(io)) as UpgradedIo)
        })
    }

    /// Waits until the connection has left HTTP.
    ///
    /// # Errors
    /// The connection failed before, the upgrade was refused, or someone else took it.
    pub async fn take(self) -> std::io::Result<UpgradedIo> {
        let pending = self.0.lock().take();
        match pending {
            Some(pending) => pending.await,
            None => Err(std::io::Error::other("the upgraded connection was taken already")),
        }
    }
}

impl std::fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upgrade")
    }
}
