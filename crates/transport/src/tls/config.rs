//! Configurations: TLS for those outside, for our own tiers, and towards origins.

use std::sync::{Arc, LazyLock};

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::error::TlsError;
use super::identity::{Identity, certificates};
use super::sites::SiteCertificates;

/// For clients from anywhere: TLS 1.3 and 1.2, HTTP/2 or HTTP/1.1 by ALPN; for QUIC the same, which sets its own ALPN.
/// All workers should share it, so that a session begun at one can be resumed at another.
///
/// # Errors
/// [`TlsError::Config`].
pub fn server_config(certificates: Arc<SiteCertificates>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// For our own tiers: TLS 1.3, and clients must show a certificate that `ca_pem` vouches for.
///
/// # Errors
/// [`TlsError`]: of the CA or the identity.
pub fn mutual_server_config(identity: &Identity, ca_pem: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let roots = Arc::new(authority_roots(ca_pem)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| TlsError::Config(error.to_string()))?;
    let (chain, key) = identity.parts();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    // Nodes connect rarely; each time, the certificate is looked at anew.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Towards our own tiers: TLS 1.3, showing `identity`, and believing `ca_pem` alone.
///
/// # Errors
/// [`TlsError`]: of the CA or the identity.
pub fn mutual_client_config(identity: &Identity, ca_pem: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(authority_roots(ca_pem)?), provider())
        .build()
        .map_err(|error| TlsError::Config(error.to_string()))?;
    let (chain, key) = identity.parts();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// Towards origins: TLS 1.3 and 1.2, believing the authorities that this machine believes, and those of `extra_ca_pem`.
/// A machine that believes none is no error here: connections to origins that no extra authority vouches for then fail.
///
/// # Errors
/// [`TlsError`]: of the extra authorities.
pub fn origin_client_config(extra_ca_pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of this machine's certificate authorities can't be read");
    }
    let (_, ignored) = roots.add_parsable_certificates(native.certs);
    tracing::debug!(believed = roots.len(), ignored, "certificate authorities of this machine");
    if let Some(pem) = extra_ca_pem {
        add_all(&mut roots, pem)?;
    }
    if roots.is_empty() {
        tracing::warn!("no certificate authority is believed: https origins will fail; install ca-certificates");
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The one implementation of cryptography that we link.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

fn authority_roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    add_all(&mut roots, pem)?;
    Ok(roots)
}

fn add_all(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsError> {
    const PLACE: &str = "the certificate authority";
    for certificate in certificates(PLACE, pem)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Damaged { place: PLACE.to_owned(), detail: error.to_string() })?;
    }
    Ok(())
}

/// HTTP/2 in ALPN.
pub(crate) const H2: &[u8] = b"h2";

const HTTP1: &[u8] = b"http/1.1";
