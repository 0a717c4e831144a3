//! The errors of one reading, as they are found.

use std::ops::Range;

use super::super::errors::{ManifestError, ManifestErrors};
use super::MAX_ERRORS;

/// Collects errors; the reading goes on, so that one run shows all of them.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    errors: Vec<ManifestError>,
}

impl<'a> Report<'a> {
    /// No errors so far in `text`, the content of `file`.
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, errors: Vec::new() }
    }

    /// Something is wrong with the bytes `span`.
    pub(super) fn error(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.errors.push(ManifestError::at(self.file, self.text, span, message.into()));
    }

    /// The same, with what to do about it.
    pub(super) fn error_with_help(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let error = ManifestError::at(self.file, self.text, span, message.into());
        self.errors.push(ManifestError { help: Some(help.into()), ..error });
    }

    /// A knob of the manifest's language that this version does not have. `knob` is written as the user would.
    pub(super) fn not_available(&mut self, span: Range<usize>, knob: &str, help: &str) {
        self.error_with_help(span, format!("{knob} is not available in this version"), help);
    }

    /// A name that stands for nothing: `known` are those that exist. Returns the one that was probably meant.
    pub(super) fn unknown<'k>(
        &mut self,
        span: Range<usize>,
        message: String,
        name: &str,
        known: &[&'k str],
    ) -> Option<&'k str> {
        let near = nearest(name, known);
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        self.error_with_help(span, message, help);
        near
    }

    /// Nothing was wrong so far.
    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// All errors in the order of the file.
    pub(super) fn into_errors(mut self) -> ManifestErrors {
        self.errors.sort_by_key(|error| error.span.start);
        self.errors.truncate(MAX_ERRORS);
        ManifestErrors(self.errors)
    }
}

/// The known name that `name` was most likely meant to be, if any is near.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.to_lowercase().replace('-', "_");
    let distance = |other: &str| strsim::damerau_levenshtein(&name, &other.to_lowercase().replace('-', "_"));
    let near = known.iter().map(|other| (distance(other), *other)).min()?;
    // A third of the letters may differ: `orgin`, `default-tll`; not `cache` for `path`.
    let allowed = (name.chars().count().max(near.1.chars().count()) / 3).max(1);
    (near.0 <= allowed).then_some(near.1)
}
