//! Server limits: what one listener, one connection and one request may take.

use std::time::Duration;

use holm_model::limits::{HEAD_TIMEOUT, IDLE_TIMEOUT, MAX_STREAMS};

/// Bounds of a listener and its connections. Those of a head (bytes, fields, target) hold for every protocol alike and
/// are in [`holm_model::limits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// The most connections of one listener (one worker's). Past it nothing is accepted until one closes: further clients
    /// wait in the listener's queue, and idle connections end soon enough.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a head may take to arrive: on a new connection from its beginning, later from the head's first byte.
    pub head: Duration,
    /// How long a connection without a request is kept.
    pub idle: Duration,
    /// How long a client may let us wait in mid-message: it sends nothing of a body that is asked for, or takes nothing of
    /// a response. A service that takes its time is none of this. HTTP/2: of a stream, while nothing of any message moves on
    /// the connection; only that stream ends.
    pub stall: Duration,
    /// How long, after the last response, the rest of what a client sends is thrown away, so that the close does not
    /// destroy the response on its way. Also how long an HTTP/2 client has to take its leave.
    pub linger: Duration,
    /// HTTP/2: the most requests under way on one connection.
    pub streams: u32,
    /// HTTP/2: the most bytes of one request's body that wait for their reader.
    pub stream_window: u32,
    /// HTTP/2: the same for a whole connection.
    pub connection_window: u32,
    /// HTTP/2: the most bytes of one response that wait for the client.
    pub send_buffer: usize,
    /// HTTP/2: streams that a client may open and reset before we see them; more end the connection (CVE-2023-44487).
    pub pending_resets: usize,
    /// HTTP/2: streams that a client may make us reset; more end the connection (CVE-2025-8671).
    pub local_resets: usize,
    /// HTTP/2: how often a ping shows that the client is there.
    pub ping_interval: Duration,
    /// HTTP/2: how long it may take to answer one.
    pub ping_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            handshake: Duration::from_secs(10),
            head: HEAD_TIMEOUT,
            idle: IDLE_TIMEOUT,
            stall: Duration::from_secs(60),
            linger: Duration::from_secs(5),
            streams: MAX_STREAMS,
            stream_window: 1 << 20,
            connection_window: 8 << 20,
            send_buffer: 256 << 10,
            pending_resets: 20,
            local_resets: 256,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
        }
    }
}
