//! Why a command failed, as it is told to people: what was wrong, and what to do.

use std::fmt;
use std::process::ExitCode;

use holm_model::manifest::ManifestErrors;

/// Why a command failed. Its `Display` is one or more whole lines for standard error.
#[derive(Debug)]
pub enum Failure {
    /// One thing went wrong.
    Plain {
        /// What.
        message: String,
        /// What to do about it.
        help: Option<String>,
        /// The exit status: 1 failed, 2 wrong usage.
        status: u8,
    },
    /// A manifest has mistakes.
    Manifest(ManifestErrors),
}

impl Failure {
    /// The command could not do its work: status 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Plain { message: message.into(), help: None, status: FAILED }
    }

    /// The command was asked for something that makes no sense: status 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Plain { message: message.into(), help: None, status: USAGE }
    }

    /// The file or folder `path` could not be used for `what` (`read`, `open`, …).
    pub(crate) fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(format!("cannot {what} {}: {error}", path.display()))
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn help(self, cure: impl Into<String>) -> Self {
        match self {
            Self::Plain { message, status, .. } => Self::Plain { message, help: Some(cure.into()), status },
            manifest @ Self::Manifest(_) => manifest,
        }
    }

    /// The exit status of the process.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Plain { status, .. } => ExitCode::from(*status),
            Self::Manifest(_) => ExitCode::from(FAILED),
        }
    }
}

impl From<ManifestErrors> for Failure {
    fn from(errors: ManifestErrors) -> Self {
        Self::Manifest(errors)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain { message, help, .. } => {
                write!(f, "error: {message}")?;
                match help {
                    Some(help) => write!(f, "\n  help: {help}"),
                    None => Ok(()),
                }
            }
            Self::Manifest(errors) => {
                let count = errors.0.len();
                let noun = if count == 1 { "error" } else { "errors" };
                write!(f, "{errors}\n\nerror: {count} {noun} in {}", errors.0.first().map_or("", |e| e.file.as_str()))
            }
        }
    }
}

impl std::error::Error for Failure {}

const FAILED: u8 = 1;
const USAGE: u8 = 2;
