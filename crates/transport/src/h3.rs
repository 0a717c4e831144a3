//! HTTP/3, server and client: quinn below, the h3 crate in the middle, [`Body`](crate::body::Body) above.

mod client;
mod config;
mod framing;
mod pump;
mod quic;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Client, Connection};
pub use config::{Limits, NotForQuic};
pub use server::serve;
