//! What is wrong with a manifest: where, which text, why, and what to do about it.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// Everything that a reading of one manifest found wrong, in the order of the file. Never empty.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ManifestErrors(pub Vec<ManifestError>);

/// One mistake in a manifest. Its `Display` is several lines, as a compiler prints them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ManifestError {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// Line of the offending text, from 1.
    pub line: usize,
    /// Column of the offending text in characters, from 1.
    pub column: usize,
    /// Byte offsets of the offending text in the file.
    pub span: Range<usize>,
    /// The offending text itself; its first line where it has several.
    pub text: String,
    /// The whole line that the offending text begins on.
    pub source_line: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ManifestErrors {
    /// The single errors.
    pub fn iter(&self) -> impl Iterator<Item = &ManifestError> {
        self.0.iter()
    }
}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestErrors {}

impl ManifestError {
    /// An error about the bytes `span` of `source`, which is the text of `file`.
    pub(crate) fn at(file: &str, source: &str, span: Range<usize>, message: String) -> Self {
        let start = floor_boundary(source, span.start);
        let end = floor_boundary(source, span.end.max(start));
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |at| start + at);
        Self {
            file: file.to_owned(),
            line: source[..line_start].matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            span: start..end,
            text: source[start..end.min(line_end)].to_owned(),
            source_line: source[line_start..line_end].trim_end_matches('\r').to_owned(),
            message,
            help: None,
        }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let window = Window::around(&self.source_line, self.column - 1, self.text.chars().count());
        writeln!(f, "error: {}", self.message)?;
        writeln!(f, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", window.shown)?;
        write!(f, "{margin} | {}{}", window.indent, "^".repeat(window.carets))?;
        if let Some(help) = &self.help {
            write!(f, "\n{margin} = help: {help}")?;
        }
        Ok(())
    }
}

/// The part of a line that is shown, and the place of the carets under it.
struct Window {
    shown: String,
    indent: String,
    carets: usize,
}

impl Window {
    /// Shows `line` so that the `length` characters from `column` (from 0) are in it.
    fn around(line: &str, column: usize, length: usize) -> Self {
        let skip = if column >= SHOWN_CHARS { column - SHOWN_CHARS / 2 } else { 0 };
        let shown: String = line.chars().skip(skip).take(SHOWN_CHARS).map(printable).collect();
        // Tabs stay tabs under the line, so that the carets line up whatever their width.
        let indent = shown.chars().take(column - skip);
        let indent = indent.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let room = shown.chars().count().saturating_sub(column - skip).max(1);
        Self { shown, indent, carets: length.clamp(1, room) }
    }
}

/// Control characters would move the terminal's cursor: they are shown as a replacement.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
}

/// The greatest character boundary of `text` that is not after `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Longest part of a source line that is shown: a generated one-line manifest must not flood the terminal.
const SHOWN_CHARS: usize = 160;
