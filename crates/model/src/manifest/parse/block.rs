//! One table of the manifest, whose keys were checked against those that exist.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::report::Report;
use super::value::{Value, type_name};

/// The keys that a kind of table may have.
pub(super) struct Keys {
    /// Those that this version reads.
    pub(super) known: &'static [&'static str],
    /// Those that the manifest's language has and this version does not: refused, never silently ignored.
    pub(super) later: &'static [&'static str],
}

/// An open table.
pub(super) struct Block<'a> {
    table: &'a DeTable<'a>,
    span: Range<usize>,
    name: String,
    /// Known keys that an unknown one was probably meant to be: not reported as missing, too.
    misspelt: Vec<&'static str>,
}

impl<'a> Block<'a> {
    /// Opens `value` as a table called `name` in errors (`a route`, `[origins.web]`) and reports each key that is not
    /// one of `keys`. `None`, and an error, if it is no table.
    pub(super) fn open(value: &'a Value<'a>, name: String, keys: &Keys, report: &mut Report<'_>) -> Option<Self> {
        let mut block = Self::open_any(value, name, report)?;
        for key in block.table.keys() {
            let text: &str = key.get_ref();
            if keys.later.contains(&text) {
                let help = format!("remove it from {}", block.name);
                report.not_available(key.span(), &format!("`{text}`"), &help);
            } else if !keys.known.contains(&text) {
                let message = format!("unknown key `{text}` in {}", block.name);
                block.misspelt.extend(report.unknown(key.span(), message, text, keys.known));
            }
        }
        Some(block)
    }

    /// Opens a table whose keys are the user's own names.
    pub(super) fn open_any(value: &'a Value<'a>, name: String, report: &mut Report<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Self { table, span: value.span(), name, misspelt: Vec::new() }),
            other => {
                report.error(value.span(), format!("{name} must be a table, found {}", type_name(other)));
                None
            }
        }
    }

    /// Every key with its place and value, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Range<usize>, &'a Value<'a>)> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
    }

    /// The value of `key`, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value<'a>> {
        self.table.get(key)
    }

    /// The value of `key`; an error if it is missing. `example` is a line that would be right.
    pub(super) fn require(&self, key: &str, example: &str, report: &mut Report<'_>) -> Option<&'a Value<'a>> {
        let value = self.get(key);
        if !self.mentions(key) {
            let message = format!("{} has no `{key}`", self.name);
            report.error_with_help(self.head(), message, format!("add: {example}"));
        }
        value
    }

    /// `key` is there, or was probably meant by a key that is there.
    pub(super) fn mentions(&self, key: &str) -> bool {
        self.table.contains_key(key) || self.misspelt.contains(&key)
    }

    /// Where the table begins: what an error about the whole of it points at.
    pub(super) fn head(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What the table is called in errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}
