//! Errors: one enum per operation, each message says what to do.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use holm_model::ids::{Digest, ReleaseNumber, SiteName};
use holm_model::limits::{MAX_BLOB, MAX_FILES, MAX_PURGE_SELECTORS, MAX_SITES};

use crate::component::ComponentError;

/// Why the control store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("{} is in use by {owner}; stop it, or choose another --data-dir", .path.display())]
    InUse {
        /// The database.
        path: PathBuf,
        /// Who has it.
        owner: String,
    },
    /// Not a database, or a damaged one.
    #[error(
        "{} is damaged or not a control store: {detail}; restore it from a backup, or move it away to begin anew",
        .path.display()
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Written by another version.
    #[error("{} has schema {found}, this version reads {supported}; use the version of Holm that wrote it, or a later one", .path.display())]
    Schema {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// Ours.
        supported: u64,
    },
    /// The key that signs tokens can't be used.
    #[error("{} is not an Ed25519 key (PKCS#8): remove it and a new one is made, which ends all tokens", .path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
    },
    /// A folder or file can't be made or read.
    #[error("can't {action} {}: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// What the store holds can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store failed: nothing that a caller could mend in its request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("the control store failed: {0}")]
    Database(Box<redb::Error>),
    /// A file beside it.
    #[error("can't {action} {}: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A record is not what this version writes.
    #[error("a stored {what} can't be read: {source}")]
    Record {
        /// Its kind.
        what: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// What must hold in the store does not.
    #[error("the control store is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// A blob's bytes are not those that its name says. It was set aside, so that it can be uploaded again.
    #[error("blob {0} was damaged on disk and has been set aside; publish its site again to heal it")]
    CorruptBlob(Digest),
}

macro_rules! database_errors {
    ($($error:ident)*) => {
        $(
            impl From<redb::$error> for StoreError {
                fn from(error: redb::$error) -> Self {
                    Self::Database(Box::new(error.into()))
                }
            }

            impl From<redb::$error> for SiteError {
                fn from(error: redb::$error) -> Self {
                    Self::Store(error.into())
                }
            }

            impl From<redb::$error> for PublishError {
                fn from(error: redb::$error) -> Self {
                    Self::Store(error.into())
                }
            }

            impl From<redb::$error> for ActivateError {
                fn from(error: redb::$error) -> Self {
                    Self::Store(error.into())
                }
            }
        )*
    };
}

database_errors! { TransactionError TableError StorageError CommitError }

/// Why a site can't be looked at or deleted.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// There is no such site.
    #[error("there is no site named `{0}`")]
    NoSuchSite(SiteName),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a release can't be made.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The cluster is full.
    #[error("the cluster has {MAX_SITES} sites already; delete one")]
    TooManySites,
    /// The release has too much content.
    #[error("the release has {0} files; the most is {MAX_FILES}")]
    TooManyFiles(usize),
    /// A handler has no component.
    #[error("no digest was given for the component of [handlers.{0}]")]
    NoComponent(String),
    /// A component for a handler that the manifest does not have.
    #[error("a component was given for `{0}`, but the manifest has no [handlers.{0}]")]
    UnknownHandler(String),
    /// A route with files has none.
    #[error("no files were given for the route {path} ([[routes]] number {}, counted from 0)", index)]
    NoFiles {
        /// The route's index.
        index: usize,
        /// Its pattern.
        path: String,
    },
    /// Files for a route that has none.
    #[error("files were given for [[routes]] number {0} (counted from 0), which has no `files`")]
    UnknownFiles(usize),
    /// A file's path, type or size is wrong.
    #[error("the file `{path}` can't be published: {reason}")]
    InvalidFile {
        /// Its path.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Content that the release names was not uploaded.
    #[error("{} blob(s) that the release names have not been uploaded: {}", .0.len(), shown(.0))]
    MissingBlobs(Vec<Digest>),
    /// A component is none, or none that can handle requests.
    #[error("the component of [handlers.{handler}] can't be used: {source}")]
    InvalidComponent {
        /// The handler.
        handler: String,
        /// Why not.
        source: ComponentError,
    },
    /// Another site answers for the host.
    #[error("the host `{host}` belongs to the site `{site}`; remove it there first")]
    HostTaken {
        /// The host.
        host: String,
        /// Who has it.
        site: SiteName,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a release can't be activated.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// There is no such site.
    #[error("there is no site named `{0}`")]
    NoSuchSite(SiteName),
    /// There is no such release.
    #[error("the site `{site}` has no release {release}")]
    NoSuchRelease {
        /// The site.
        site: SiteName,
        /// What was asked for.
        release: ReleaseNumber,
    },
    /// Another release than the expected one is active.
    #[error("{}; look at what changed, and try again", now_active(*.active))]
    Conflict {
        /// The active one.
        active: Option<ReleaseNumber>,
    },
    /// Another site answers for the host by now.
    #[error("the host `{host}` belongs to the site `{site}` by now; remove it there first")]
    HostTaken {
        /// The host.
        host: String,
        /// Who has it.
        site: SiteName,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a purge did not enter the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PurgeError {
    /// There is no such site.
    #[error("there is no site named `{0}`")]
    NoSuchSite(SiteName),
    /// Nothing was selected.
    #[error("nothing is selected; name urls, tags, prefixes or all")]
    NoSelectors,
    /// Too much at once.
    #[error("{0} selectors in one purge; the most is {MAX_PURGE_SELECTORS}: split it, or purge a tag, a prefix or all")]
    TooManySelectors(usize),
    /// More purges wait than the log takes.
    #[error("too many purges wait for the log; try again in a second")]
    Busy,
    /// The log's writer has ended.
    #[error("the purge log is closed")]
    Closed,
    /// The store failed; whoever shared the transaction gets the same error.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

impl From<StoreError> for PurgeError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// Why a blob was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Too large.
    #[error("a blob holds at most {MAX_BLOB}")]
    TooLarge,
    /// The bytes have another digest.
    #[error("the content has the digest {found}, not {expected}; it was discarded, send it again")]
    Mismatch {
        /// What it was to be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// An upload does not go on where the last one ended.
    #[error("the upload has {have} byte(s) so far; go on from there, or begin at 0")]
    Offset {
        /// What is there.
        have: u64,
    },
    /// The same blob is being uploaded by someone else.
    #[error("the same blob is being uploaded already; try again when that has ended")]
    Busy,
    /// Its source failed.
    #[error("can't read the content: {0}")]
    Source(io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first few of many.
fn shown(digests: &[Digest]) -> String {
    let mut text: Vec<String> = digests.iter().take(SHOWN).map(Digest::to_string).collect();
    if digests.len() > SHOWN {
        text.push(format!("and {} more", digests.len() - SHOWN));
    }
    text.join(", ")
}

fn now_active(active: Option<ReleaseNumber>) -> String {
    active.map_or_else(|| "no release is active now".to_owned(), |active| format!("release {active} is active now"))
}

/// How many digests a message names.
const SHOWN: usize = 10;
