//! An identity: a certificate, those that vouch for it, and its private key.

use std::fmt;
use std::fs;
use std::path::Path;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsError;

/// A certificate chain, the owner's certificate first, and the key that belongs to it.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads PEM files: the chain from one, the key from another (it may be the same).
    ///
    /// # Errors
    /// A file can't be read or does not hold what it should, or the key is not the certificate's. The error names the
    /// file and what to do.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read =
            |path: &Path| fs::read(path).map_err(|source| TlsError::Read { place: path.display().to_string(), source });
        let (certificate_pem, key_pem) = (read(certificate)?, read(key)?);
        Self::read(
            Text { place: &certificate.display().to_string(), bytes: &certificate_pem },
            Text { place: &key.display().to_string(), bytes: &key_pem },
        )
    }

    /// Reads PEM texts.
    ///
    /// # Errors
    /// As for [`Identity::from_files`].
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::read(
            Text { place: "the certificate given", bytes: certificate },
            Text { place: "the key given", bytes: key },
        )
    }

    /// The DNS names that its certificate is for, in lower case; a wildcard as `*.example`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.chain.first().map(dns_names).unwrap_or_default()
    }

    /// From parts that belong together.
    pub(super) fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self { chain, key }
    }

    pub(super) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }

    /// Ready to sign with.
    pub(super) fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, rustls::Error> {
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), provider)
    }

    fn read(certificate: Text<'_>, key: Text<'_>) -> Result<Self, TlsError> {
        let identity = Self { chain: certificate.chain()?, key: key.key()? };
        match identity.certified(&super::config::provider()) {
            Ok(_) => Ok(identity),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(TlsError::KeyMismatch { certificate: certificate.place.to_owned(), key: key.place.to_owned() })
            }
            Err(error @ rustls::Error::InvalidCertificate(_)) => Err(certificate.damaged(error)),
            Err(error) => Err(key.damaged(error)),
        }
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        let (chain, key) = self.parts();
        Self { chain, key }
    }
}

impl fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.names()).finish_non_exhaustive()
    }
}

/// The certificates of a PEM text.
pub(crate) fn certificates(place: &str, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    Text { place, bytes }.chain()
}

/// The DNS names of a certificate.
pub(crate) fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    match webpki::EndEntityCert::try_from(certificate) {
        Ok(parsed) => parsed.valid_dns_names().map(str::to_ascii_lowercase).collect(),
        Err(_) => Vec::new(),
    }
}

/// The name by which we know a peer that has shown these certificates and was believed.
pub(crate) fn peer_name(chain: &[CertificateDer<'_>]) -> Option<String> {
    dns_names(chain.first()?).into_iter().next()
}

#[derive(Clone, Copy)]
struct Text<'a> {
    place: &'a str,
    bytes: &'a [u8],
}

impl Text<'_> {
    fn chain(self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(self.bytes).collect();
        let chain = chain.map_err(|error| self.damaged(error))?;
        if !chain.is_empty() {
            return Ok(chain);
        }
        let cure = if self.bytes.is_empty() {
            "it is empty"
        } else if self.is_der() {
            "it is in binary (DER) form; convert it with `openssl x509 -inform der -in OLD -out NEW`"
        } else if self.has("PRIVATE KEY-----") {
            "it holds a private key; are certificate and key the wrong way round?"
        } else {
            "it needs to be in PEM form, `-----BEGIN CERTIFICATE-----` and so on"
        };
        Err(TlsError::NoCertificate { place: self.place.to_owned(), cure })
    }

    fn key(self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let cure = match PrivateKeyDer::from_pem_slice(self.bytes) {
            Ok(key) => return Ok(key),
            Err(pem::Error::NoItemsFound) if self.bytes.is_empty() => "it is empty",
            Err(pem::Error::NoItemsFound) if self.is_der() => {
                "it is in binary (DER) form; convert it with `openssl pkey -inform der -in OLD -out NEW`"
            }
            Err(pem::Error::NoItemsFound) if self.has("ENCRYPTED") => {
                "it is encrypted; decrypt it with `openssl pkey -in OLD -out NEW`"
            }
            Err(pem::Error::NoItemsFound) if self.has("BEGIN CERTIFICATE") => {
                "it holds a certificate; are certificate and key the wrong way round?"
            }
            Err(pem::Error::NoItemsFound) => "it needs to be in PEM form, `-----BEGIN PRIVATE KEY-----` and so on",
            Err(error) => return Err(self.damaged(error)),
        };
        Err(TlsError::NoKey { place: self.place.to_owned(), cure })
    }

    fn damaged(self, detail: impl fmt::Display) -> TlsError {
        TlsError::Damaged { place: self.place.to_owned(), detail: detail.to_string() }
    }

    /// An ASN.1 sequence with a long length, as each certificate and key begins.
    fn is_der(self) -> bool {
        self.bytes.starts_with(&[0x30, 0x81]) || self.bytes.starts_with(&[0x30, 0x82])
    }

    fn has(self, words: &str) -> bool {
        memchr::memmem::find(self.bytes, words.as_bytes()).is_some()
    }
}
