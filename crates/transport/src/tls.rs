//! TLS: who we are, whom we believe, and the configurations of both ends.

mod authority;
mod config;
mod error;
mod identity;
mod sites;

pub use self::authority::Authority;
pub(crate) use self::config::H2;
pub use self::config::{mutual_client_config, mutual_server_config, origin_client_config, server_config};
pub use self::error::TlsError;
pub use self::identity::Identity;
#[cfg(test)]
pub(crate) use self::identity::certificates;
pub(crate) use self::identity::peer_name;
pub use self::sites::{CertificateSource, Reload, SiteCertificate, SiteCertificates};
pub use rustls::{ClientConfig, ServerConfig};

#[cfg(test)]
mod tests;
