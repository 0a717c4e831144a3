//! `disk`: which responses go to the disk tier.

use toml::de::DeValue;

use super::super::report::Report;
use super::super::value::{Value, Wanted};
use crate::manifest::DiskAdmission;

/// `"second-request"`, `"always"` or `"never"`.
pub(super) fn read<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<DiskAdmission> {
    let DeValue::String(text) = value.get_ref() else {
        DISK.refuse(value, report);
        return None;
    };
    match text.as_ref() {
        "second-request" => Some(DiskAdmission::SecondRequest),
        "always" => Some(DiskAdmission::Always),
        "never" => Some(DiskAdmission::Never),
        _ => {
            report.unknown(value.span(), format!("`disk` cannot be `{text}`"), text, WORDS);
            None
        }
    }
}

const WORDS: &[&str] = &["second-request", "always", "never"];

const DISK: Wanted<'_> =
    Wanted { name: "disk", what: "\"second-request\", \"always\" or \"never\"", example: "disk = \"always\"" };
