//! Tokens: who may do what to which sites. JWTs (RFC 7519) signed with Ed25519 (RFC 8037); no other algorithm is read.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use holm_model::ids::SiteName;
use holm_model::units::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::error::OpenError;

/// The key of a cluster, which makes and checks its tokens.
pub struct TokenKeys {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who has it, for the audit log.
    pub sub: String,
    /// When it was made, in seconds since the epoch.
    pub iat: u64,
    /// When it ends.
    pub exp: u64,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// On which sites.
    pub sites: Sites,
}

/// Something that a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Uploading, making and activating releases.
    Publish,
    /// Purging.
    Purge,
    /// Looking at releases, numbers and nodes.
    Read,
    /// Reading and writing the handlers' keys and values.
    Kv,
    /// Everything, deleting sites too.
    Admin,
}

/// The sites that a token is good for: `"*"` or a list of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sites {
    /// These.
    Only(Vec<SiteName>),
    /// Every site.
    All(Star),
}

/// The text `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Star {
    /// Every one.
    #[serde(rename = "*")]
    Star,
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its time is over.
    #[error("the token has expired; ask for a new one")]
    Expired,
    /// Another cluster's key, or changed since it was made.
    #[error("the token was not made by this cluster")]
    Signature,
    /// Not a token of ours at all.
    #[error("the token can't be read; it is the content of the cluster's token file")]
    Malformed,
}

impl TokenKeys {
    /// The key in this file, which is made if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let pkcs8 = match fs::read(path) {
            Ok(pkcs8) => {
                keep_private(path)?;
                pkcs8
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = Ed25519KeyPair::generate().map_err(|_| OpenError::Key { path: path.to_owned() })?;
                let pkcs8 = pair.to_pkcs8().map_err(|_| OpenError::Key { path: path.to_owned() })?.as_ref().to_vec();
                write_private(path, &pkcs8)?;
                pkcs8
            }
            Err(source) => return Err(OpenError::File { action: "read", path: path.to_owned(), source }),
        };
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| OpenError::Key { path: path.to_owned() })?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY.as_secs();
        Ok(Self {
            signing: EncodingKey::from_ed_der(&pkcs8),
            checking: DecodingKey::from_ed_der(pair.public_key().as_ref()),
            validation,
        })
    }

    /// A token that is good from now on for `lifetime`.
    ///
    /// # Panics
    /// Never: the key was read when the store was opened.
    #[must_use]
    pub fn make(&self, subject: &str, scopes: Vec<Scope>, sites: Sites, lifetime: Duration) -> String {
        let now = Timestamp::from_system_time(SystemTime::now()).as_secs();
        let exp = now.saturating_add(lifetime.as_secs());
        self.sign(&Claims { sub: subject.to_owned(), iat: now, exp, scopes, sites })
    }

    /// What a token says, if this cluster made it and its time is not over.
    ///
    /// # Errors
    /// It is not to be believed, with why.
    pub fn check(&self, token: &str) -> Result<Claims, TokenError> {
        let read = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation);
        read.map(|token| token.claims).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => TokenError::Expired,
            ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => TokenError::Signature,
            _ => TokenError::Malformed,
        })
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        let signed = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &self.signing);
        signed.expect("invariant: the key is a valid Ed25519 key and claims are plain data")
    }

    /// Sees to it that the file holds a token for everything that is good for a while yet.
    pub(crate) fn keep_admin_token(&self, path: &Path) -> Result<(), OpenError> {
        let held = fs::read_to_string(path).ok().and_then(|token| self.check(token.trim()).ok());
        let soon = Timestamp::from_system_time(SystemTime::now()).plus(ADMIN_RENEWED).as_secs();
        if held.is_some_and(|claims| claims.exp > soon && claims.scopes.contains(&Scope::Admin)) {
            return keep_private(path);
        }
        let token = self.make("admin", vec![Scope::Admin], Sites::All(Star::Star), ADMIN_LIFETIME);
        write_private(path, format!("{token}\n").as_bytes())
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys")
    }
}

impl Claims {
    /// Does it allow this? `admin` allows everything.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| *held == scope || *held == Scope::Admin)
    }

    /// Is it good for this site?
    #[must_use]
    pub fn covers(&self, site: &SiteName) -> bool {
        match &self.sites {
            Sites::All(_) => true,
            Sites::Only(sites) => sites.contains(site),
        }
    }

    /// Is it good for every site?
    #[must_use]
    pub fn covers_all(&self) -> bool {
        matches!(self.sites, Sites::All(_))
    }
}

impl Scope {
    /// The scope as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Purge => "purge",
            Self::Read => "read",
            Self::Kv => "kv",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Publish, Self::Purge, Self::Read, Self::Kv, Self::Admin];
        let found = all.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is not a scope; use publish, purge, read, kv or admin"))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes a file that only this user reads, as a whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), OpenError> {
    let failed = |source| OpenError::File { action: "write", path: path.to_owned(), source };
    let mut temp = PathBuf::from(path);
    temp.set_extension("new");
    let _ = fs::remove_file(&temp);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temp).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&temp, path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Takes the rights of others away from a secret, and says so.
fn keep_private(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::File { action: "protect", path: path.to_owned(), source };
    let mut rights = fs::metadata(path).map_err(failed)?.permissions();
    if rights.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others could read this secret; they no longer can");
        rights.set_mode(0o600);
        fs::set_permissions(path, rights).map_err(failed)?;
    }
    Ok(())
}

/// How far the clocks of the cluster may differ.
const LEEWAY: Duration = Duration::from_secs(30);

/// How long the token in the token file is good.
const ADMIN_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A start with less than this left makes a new one.
const ADMIN_RENEWED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[cfg(test)]
mod tests;
