//! Dialling: from a name and a port to a connection that speaks HTTP, within one time limit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::{ClientError, ClientErrorKind};
use super::h1::Http1;
use super::h2::Http2;
use crate::body::Body;

/// Where to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// DNS name or IP literal (IPv6 without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What is spoken there.
    pub security: Security,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// HTTP/1.1 in the clear.
    Clear,
    /// HTTP/2 in the clear, by prior knowledge.
    ClearHttp2,
    /// TLS for this server name; HTTP/2 or HTTP/1.1 as ALPN decides.
    Tls {
        /// The name to ask for and to verify.
        server_name: String,
    },
}

/// Opens connections.
#[derive(Debug, Clone)]
pub struct Dialer {
    tls: Option<Arc<rustls::ClientConfig>>,
    timeout: Duration,
}

/// An open connection.
#[derive(Debug)]
pub enum Connection {
    /// One request at a time.
    Http1(Http1),
    /// Many requests at once.
    Http2(Http2),
}

impl Dialer {
    /// A dialer whose connections, TLS included, must be there within `timeout`. Without `tls`, [`Security::Tls`] fails.
    #[must_use]
    pub fn new(tls: Option<Arc<rustls::ClientConfig>>, timeout: Duration) -> Self {
        let tls = tls.map(|tls| {
            if tls.alpn_protocols.is_empty() {
                let mut tls = rustls::ClientConfig::clone(&tls);
                tls.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
                Arc::new(tls)
            } else {
                tls
            }
        });
        Self { tls, timeout }
    }

    /// Connects; the current runtime drives the connection.
    ///
    /// # Errors
    /// Always unsent: [`ClientErrorKind::Dns`], [`ClientErrorKind::ConnectTimeout`],
    /// [`ClientErrorKind::ConnectRefused`], [`ClientErrorKind::Connect`] or [`ClientErrorKind::Tls`].
    pub async fn dial(&self, target: &Target) -> Result<Connection, ClientError> {
        let timed = tokio::time::timeout(self.timeout, self.dial_untimed(target)).await;
        timed.unwrap_or_else(|_| {
            let detail = format!("{}:{} within {:?}", target.host, target.port, self.timeout);
            Err(ClientError::unsent(ClientErrorKind::ConnectTimeout, detail))
        })
    }

    async fn dial_untimed(&self, target: &Target) -> Result<Connection, ClientError> {
        let tcp = connect_tcp(&target.host, target.port).await?;
        match &target.security {
            Security::Clear => Ok(Connection::Http1(Http1::handshake(tcp).await?)),
            Security::ClearHttp2 => Ok(Connection::Http2(Http2::handshake(tcp).await?)),
            Security::Tls { server_name } => self.start_tls(tcp, server_name).await,
        }
    }

    async fn start_tls(&self, tcp: TcpStream, server_name: &str) -> Result<Connection, ClientError> {
        let failed = |error: &dyn std::fmt::Display| ClientError::unsent(ClientErrorKind::Tls, error);
        let tls = self.tls.clone().ok_or_else(|| failed(&"no TLS configuration"))?;
        let name = ServerName::try_from(server_name.to_owned()).map_err(|error| failed(&error))?;
        let io = TlsConnector::from(tls).connect(name, tcp).await.map_err(|error| failed(&error))?;
        let is_h2 = io.get_ref().1.alpn_protocol() == Some(H2);
        Ok(if is_h2 {
            Connection::Http2(Http2::handshake(io).await?)
        } else {
            Connection::Http1(Http1::handshake(io).await?)
        })
    }
}

impl Connection {
    /// Sends a request; see [`Http1::send`] and [`Http2::send`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send(&mut self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        match self {
            Self::Http1(connection) => connection.send(request).await,
            Self::Http2(connection) => connection.send(request).await,
        }
    }
}

/// Tries each address of the name in turn; the last failure counts.
async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, ClientError> {
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| ClientError::unsent(ClientErrorKind::Dns, format!("{host}: {error}")))?;
    let mut last = ClientError::unsent(ClientErrorKind::Dns, format!("{host} has no address"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                // It fails only on a socket that is gone, which the handshake will tell.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Err(error) => last = ClientError::unsent(refusal(&error), format!("{address}: {error}")),
        }
    }
    Err(last)
}

fn refusal(error: &io::Error) -> ClientErrorKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ClientErrorKind::ConnectRefused,
        io::ErrorKind::TimedOut => ClientErrorKind::ConnectTimeout,
        _ => ClientErrorKind::Connect,
    }
}

const H2: &[u8] = b"h2";
