//! QUIC settings: windows, timeouts and TLS for both ends of HTTP/3.

use std::sync::Arc;
use std::time::Duration;

use holm_model::limits::MAX_STREAMS;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{IdleTimeout, TransportConfig, VarInt};

/// Bounds of an HTTP/3 endpoint and its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most connections of one endpoint (one worker's); further ones are refused.
    pub connections: usize,
    /// From this many connections on, a new client must prove its address first (QUIC Retry).
    pub validate_above: usize,
    /// The most requests under way on one connection.
    pub streams: u32,
    /// The most bytes of one request's body that wait for their reader.
    pub stream_window: u32,
    /// The same for a whole connection.
    pub connection_window: u32,
    /// The most bytes that a connection may hold sent and unacknowledged.
    pub send_window: u64,
    /// A connection without a sign of the peer for so long is dead.
    pub idle: Duration,
    /// How often a ping keeps the connection alive (and shows that the peer is).
    pub keep_alive: Option<Duration>,
    /// How long a connection may take to be established.
    pub connect: Duration,
}

impl Limits {
    /// For clients from anywhere.
    #[must_use]
    pub const fn public() -> Self {
        Self {
            connections: 20_000,
            validate_above: 2_000,
            streams: MAX_STREAMS,
            stream_window: 1 << 20,
            connection_window: 4 << 20,
            send_window: 4 << 20,
            idle: Duration::from_secs(30),
            keep_alive: None,
            connect: Duration::from_secs(10),
        }
    }

    /// Between our own tiers: few connections, many requests, long fat links, and a dead peer noticed within seconds. The
    /// connection's window is that of all its streams: where it is less, a few clients that read nothing hold up everybody.
    #[must_use]
    pub const fn internal() -> Self {
        let (streams, stream_window) = (4 * MAX_STREAMS, 1 << 20);
        Self {
            connections: 10_000,
            validate_above: 10_000,
            streams,
            stream_window,
            connection_window: streams * stream_window,
            send_window: 32 << 20,
            idle: Duration::from_secs(4),
            keep_alive: Some(Duration::from_secs(1)),
            connect: Duration::from_secs(1),
        }
    }
}

/// This TLS configuration can't serve QUIC.
#[derive(Debug, thiserror::Error)]
#[error("the TLS configuration is not fit for QUIC: {0}")]
pub struct NotForQuic(String);

/// The transport's share of the settings.
pub(super) fn transport(limits: &Limits) -> TransportConfig {
    let mut config = TransportConfig::default();
    // What can't be expressed as an idle timeout (over 2^62 ms) is no timeout at all.
    let idle = IdleTimeout::try_from(limits.idle).ok();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(limits.streams))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_UNI_STREAMS))
        .stream_receive_window(VarInt::from_u32(limits.stream_window))
        .receive_window(VarInt::from_u32(limits.connection_window))
        .send_window(limits.send_window)
        .max_idle_timeout(idle)
        .keep_alive_interval(limits.keep_alive)
        .datagram_receive_buffer_size(None);
    config
}

/// A server's settings; ALPN is set to `h3`, early data is off (RFC 8470: a replayed request must not be acted on).
pub(super) fn server(tls: &rustls::ServerConfig, limits: &Limits) -> Result<quinn::ServerConfig, NotForQuic> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.max_early_data_size = 0;
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| NotForQuic(error.to_string()))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport(limits)));
    Ok(config)
}

/// A client's settings; ALPN is set to `h3`.
pub(super) fn client(tls: &rustls::ClientConfig, limits: &Limits) -> Result<quinn::ClientConfig, NotForQuic> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_early_data = false;
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| NotForQuic(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport(limits)));
    Ok(config)
}

const ALPN: &[u8] = b"h3";

/// Control, two for QPACK, and some that are to be ignored (RFC 9114 §6.2).
const MAX_UNI_STREAMS: u32 = 16;
