//! Servers over real sockets.

mod draining;
mod framing;
mod http1;
mod http2;
mod patience;
mod tls;
