//! Why a call of the control API failed.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::wire::Problem;

/// Why a call of the control API failed. The messages name the node and what to look at.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not the address of an admin listener.
    #[error("`{url}` is not the address of a node's admin listener, such as http://127.0.0.1:8081: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token has characters that no token has.
    #[error("the token is none: it has line breaks or control characters in it")]
    Token,
    /// The certificates to check an https address with can't be used.
    #[error("the certificates to trust can't be used: {0}")]
    Certificates(String),
    /// The node can't be reached, or has not answered in time.
    #[error("{admin} can't be reached: {reason}")]
    Unreachable {
        /// The node's address.
        admin: String,
        /// What happened.
        reason: String,
    },
    /// The node has refused the call: status, title and detail are its own.
    #[error("{} ({} {})", .0.detail, .0.status, .0.title)]
    Refused(Problem),
    /// The answer is not one of the control API.
    #[error("{admin} gave an answer that is not of Holm's control API, or of another version's: {reason}")]
    Unexpected {
        /// The node's address.
        admin: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        reason: String,
    },
    /// A request can't be written as JSON.
    #[error("the request can't be written as JSON: {0}")]
    Request(#[from] serde_json::Error),
    /// Content to upload can't be read.
    #[error("can't read {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl ClientError {
    /// The HTTP status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            Self::Unexpected { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// The innermost cause in words: the layers above it only say that something failed.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
