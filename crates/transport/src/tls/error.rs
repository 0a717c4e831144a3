//! What can be wrong with certificates and keys: where, and what cures it.

use std::io;

/// A certificate, a key or a configuration that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read {place}: {source}; check the path and that this user may read it")]
    Read {
        /// The file.
        place: String,
        /// The system's error.
        source: io::Error,
    },
    /// There is no certificate where one should be.
    #[error("no certificate in {place}: {cure}")]
    NoCertificate {
        /// The file, or what was given instead.
        place: String,
        /// What to do.
        cure: &'static str,
    },
    /// There is no private key where one should be.
    #[error("no private key in {place}: {cure}")]
    NoKey {
        /// The file, or what was given instead.
        place: String,
        /// What to do.
        cure: &'static str,
    },
    /// It is not what it says to be.
    #[error("{place} is damaged: {detail}; write it anew from its source")]
    Damaged {
        /// The file, or what was given instead.
        place: String,
        /// What is wrong.
        detail: String,
    },
    /// The key is not the certificate's.
    #[error(
        "the key in {key} does not belong to the first certificate in {certificate}; give the key that it was issued \
         for, and let the server's own certificate stand before those that signed it"
    )]
    KeyMismatch {
        /// Where the certificate came from.
        certificate: String,
        /// Where the key came from.
        key: String,
    },
    /// A certificate can't be made: a name that can't stand in one, or an authority that is none.
    #[error("can't make a certificate for {name:?}: {detail}")]
    Issue {
        /// For whom.
        name: String,
        /// Why.
        detail: String,
    },
    /// The authority can't be restored.
    #[error("the certificate authority is of no use: {0}; give its certificate and its key as they were written")]
    Authority(String),
    /// The parts don't make a configuration.
    #[error("the TLS configuration is refused: {0}")]
    Config(String),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Config(error.to_string())
    }
}
