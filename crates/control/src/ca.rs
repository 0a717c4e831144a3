//! The cluster's certificate authority: who is a node of ours, and the certificate that clients see where none is given.

use std::fs;
use std::path::{Path, PathBuf};

use holm_transport::tls::{Authority, Identity, TlsError};

use crate::error::OpenError;
use crate::token::write_private;

/// A certificate authority whose certificate and key are kept in a folder.
#[derive(Debug)]
pub struct ClusterCa {
    authority: Authority,
    file: PathBuf,
}

/// What a node shows to others, and whom it believes.
#[derive(Debug)]
pub struct NodeIdentity {
    /// Its certificate and key.
    pub identity: Identity,
    /// The cluster's CA (PEM).
    pub ca_pem: String,
}

/// Why the authority can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] OpenError),
    /// A certificate can't be made or read.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl ClusterCa {
    /// The authority in this folder; made, with a key that only this user can read, if there is none.
    ///
    /// # Errors
    /// See [`CaError`].
    pub fn open(dir: &Path) -> Result<Self, CaError> {
        let (file, key) = (dir.join("ca.pem"), dir.join("ca.key"));
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| OpenError::File { action: "read", path: path.to_owned(), source })
        };
        if file.exists() && key.exists() {
            let authority = Authority::from_pem(&read(&file)?, &read(&key)?)?;
            return Ok(Self { authority, file });
        }
        let authority = Authority::generate("Holm cluster CA")?;
        // The key first: a certificate whose key is lost is of no use.
        write_private(&key, authority.key_pem().as_bytes())?;
        write_private(&file, authority.ca_pem().as_bytes())?;
        Ok(Self { authority, file })
    }

    /// The file that holds the authority's certificate (PEM).
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for a node, by which other nodes know it.
    ///
    /// # Errors
    /// [`CaError::Tls`]: the name can't stand in a certificate.
    pub fn node(&self, name: &str) -> Result<NodeIdentity, CaError> {
        Ok(NodeIdentity { identity: self.authority.issue_node(name)?, ca_pem: self.authority.ca_pem().to_owned() })
    }

    /// A certificate for these DNS names and IP addresses, for clients that believe this authority.
    ///
    /// # Errors
    /// [`CaError::Tls`]: a name can't stand in a certificate.
    pub fn server(&self, names: &[&str]) -> Result<Identity, CaError> {
        Ok(self.authority.issue_server(names)?)
    }
}
