//! Clients: dialling, and connections that speak HTTP/1.1 or HTTP/2. HTTP/3's are in [`crate::h3`].

mod dial;
mod error;
mod h1;
mod h2;
#[cfg(test)]
mod tests;

pub use dial::{Connection, Dialer, Security, Target};
pub use error::{ClientError, ClientErrorKind};
pub use h1::Http1;
pub use h2::Http2;
pub use rustls::ClientConfig as TlsConfig;
