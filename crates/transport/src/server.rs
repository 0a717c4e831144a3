//! Servers over TCP: HTTP/1.1 in the clear, and HTTP/2 or HTTP/1.1 over TLS. HTTP/3's is in [`crate::h3`].

mod accept;
mod carry;
mod date;
mod drive;
mod exchange;
mod gate;
mod http1;
mod http2;
mod http2_stream;
mod limits;
mod outgoing;
mod patience;
mod upgrade;

pub use self::accept::{serve_clear, serve_tls};
pub(crate) use self::gate::Gate;
pub use self::limits::ServerLimits;

#[cfg(test)]
mod tests;
