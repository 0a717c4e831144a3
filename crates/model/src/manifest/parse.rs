//! Reading a manifest: TOML text in, a resolved `Manifest` or all that is wrong with it out.

mod block;
mod cache;
mod handlers;
mod origins;
mod report;
mod routes;
mod site;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::report::Report;
use super::Manifest;
use super::errors::ManifestErrors;
use crate::limits::MAX_MANIFEST;

/// Reads the site manifest `text`; `file_name` is only named in errors.
///
/// # Errors
/// All that is wrong with it, at most [`MAX_ERRORS`] of them, each with line, column, the offending text and, where
/// there is one, the cure. A syntax error ends the reading before names and values are looked at.
pub fn parse(file_name: &str, text: &str) -> Result<Manifest, ManifestErrors> {
    let mut report = Report::new(file_name, text);
    if text.len() as u64 > MAX_MANIFEST.get() {
        let message = format!("the manifest has {} bytes; the most is {MAX_MANIFEST}", text.len());
        report.error(0..0, message);
        return Err(report.into_errors());
    }
    let (root, syntax) = DeTable::parse_recoverable(text);
    for error in &syntax {
        report.error(error.span().unwrap_or(0..0), format!("not valid TOML: {}", error.message()));
    }
    if !syntax.is_empty() {
        return Err(report.into_errors());
    }
    let span = root.span();
    let root = Spanned::new(span, DeValue::Table(root.into_inner()));
    match site::read(&root, &mut report) {
        Some(manifest) if report.is_clean() => Ok(manifest),
        _ => Err(report.into_errors()),
    }
}

/// Most errors that one reading reports: beyond that, they are one mistake many times over.
pub const MAX_ERRORS: usize = 32;
