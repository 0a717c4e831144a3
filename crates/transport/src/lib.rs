//! HTTP/1, HTTP/2, HTTP/3 and TLS, server and client side: the only importer of quinn, h3 and rustls.

pub mod body;
pub mod client;
mod fields;
pub mod h3;
mod head;
mod http2;
pub mod interim;
pub mod listen;
pub mod server;
pub mod service;
pub mod serving;
pub mod shutdown;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod workers;

pub use self::head::{head_end, is_valid_host};
