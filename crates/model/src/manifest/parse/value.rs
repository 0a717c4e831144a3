//! Single values of a manifest: text, numbers, durations, sizes, lists; a wrong type is an error with an example.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::report::Report;
use crate::units::{ByteSize, HumanDuration};

/// A value with its place in the file.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// What a value is for, for the errors about it.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// As the user writes it: `default_ttl`.
    pub(super) name: &'a str,
    /// What it must be: `a list of host names`.
    pub(super) what: &'a str,
    /// A line that would be right: `hosts = ["shop.example"]`.
    pub(super) example: &'a str,
}

impl Wanted<'_> {
    /// `value` has the wrong type.
    pub(super) fn refuse(&self, value: &Value<'_>, report: &mut Report<'_>) {
        let found = type_name(value.get_ref());
        let message = format!("`{}` must be {}, found {found}", self.name, self.what);
        report.error_with_help(value.span(), message, format!("for example: {}", self.example));
    }

    /// `value` has the right type and makes no sense, because of `reason`.
    pub(super) fn refuse_content(&self, value: &Value<'_>, reason: impl Display, report: &mut Report<'_>) {
        let message = format!("`{}` is not valid: {reason}", self.name);
        report.error_with_help(value.span(), message, format!("for example: {}", self.example));
    }

    /// Text, not empty.
    pub(super) fn text<'a>(&self, value: &'a Value<'_>, report: &mut Report<'_>) -> Option<&'a str> {
        match value.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => {
                self.refuse_content(value, "it is empty", report);
                None
            }
            DeValue::String(text) => Some(text),
            _ => {
                self.refuse(value, report);
                None
            }
        }
    }

    /// Text that `T` can be read from.
    pub(super) fn parsed<T>(&self, value: &Value<'_>, report: &mut Report<'_>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(value, report)?;
        text.parse().map_err(|error: T::Err| self.refuse_content(value, error, report)).ok()
    }

    /// A span of time: a number with a unit.
    pub(super) fn duration(&self, value: &Value<'_>, report: &mut Report<'_>) -> Option<Duration> {
        if let DeValue::Integer(number) = value.get_ref() {
            let message = format!("`{}` has no unit", self.name);
            report.error_with_help(value.span(), message, format!("write \"{number}s\" for {number} seconds"));
            return None;
        }
        self.parsed::<HumanDuration>(value, report).map(|duration| duration.0)
    }

    /// A span of time that is not zero.
    pub(super) fn positive_duration(&self, value: &Value<'_>, report: &mut Report<'_>) -> Option<Duration> {
        let duration = self.duration(value, report)?;
        if duration.is_zero() {
            self.refuse_content(value, "it must be more than zero", report);
            return None;
        }
        Some(duration)
    }

    /// A size: text with a unit, or a number of bytes.
    pub(super) fn size(&self, value: &Value<'_>, report: &mut Report<'_>) -> Option<ByteSize> {
        match value.get_ref() {
            DeValue::Integer(_) => self.integer(value, 0..=i64::MAX as u64, report).map(ByteSize::bytes),
            _ => self.parsed(value, report),
        }
    }

    /// A whole number within `range`.
    pub(super) fn integer(
        &self,
        value: &Value<'_>,
        range: RangeInclusive<u64>,
        report: &mut Report<'_>,
    ) -> Option<u64> {
        let DeValue::Integer(number) = value.get_ref() else {
            self.refuse(value, report);
            return None;
        };
        let parsed = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let inside = parsed.filter(|number| range.contains(number));
        if inside.is_none() {
            self.refuse_content(value, format!("it must be from {} to {}", range.start(), range.end()), report);
        }
        inside
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, value: &Value<'_>, report: &mut Report<'_>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.refuse(value, report);
                None
            }
        }
    }

    /// A list of values.
    pub(super) fn list<'a>(&self, value: &'a Value<'a>, report: &mut Report<'_>) -> Option<&'a [Value<'a>]> {
        match value.get_ref() {
            DeValue::Array(list) => Some(list),
            _ => {
                self.refuse(value, report);
                None
            }
        }
    }
}

/// The type of a value, with its article.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
