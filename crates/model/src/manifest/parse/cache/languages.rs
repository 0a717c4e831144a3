//! `languages`: how `Accept-Language` selects.

use toml::de::DeValue;

use super::super::report::Report;
use super::super::value::{Value, Wanted};
use crate::limits::{MAX_KEY_NAME_BYTES, MAX_KEY_NAMES};
use crate::manifest::Languages;

/// `"normalised"`, `"exact"`, or the languages that the site speaks.
pub(super) fn read<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<Languages> {
    match value.get_ref() {
        DeValue::String(text) if text == "normalised" => Some(Languages::Normalised),
        DeValue::String(text) if text == "exact" => Some(Languages::Exact),
        DeValue::String(text) => {
            let message = format!("`languages` cannot be `{text}`");
            report.unknown(value.span(), message, text, &["normalised", "exact"]);
            None
        }
        DeValue::Array(_) => offered(value, report).map(Languages::Offered),
        _ => {
            LANGUAGES.refuse(value, report);
            None
        }
    }
}

fn offered<'a>(value: &'a Value<'a>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let list = LANGUAGES.list(value, report)?;
    if list.is_empty() || list.len() > MAX_KEY_NAMES {
        LANGUAGES.refuse_content(value, format!("it must name 1 to {MAX_KEY_NAMES} languages"), report);
        return None;
    }
    let mut tags: Vec<String> = Vec::with_capacity(list.len());
    for item in list {
        let Some(tag) = LANGUAGES.text(item, report) else { continue };
        if !is_language_tag(tag) {
            LANGUAGES.refuse_content(item, format!("`{tag}` is not a language tag"), report);
        } else if tags.iter().any(|other| other.eq_ignore_ascii_case(tag)) {
            report.error_with_help(item.span(), format!("language `{tag}` is listed twice"), "remove one of the two");
        } else {
            tags.push(tag.to_owned());
        }
    }
    (tags.len() == list.len()).then_some(tags)
}

/// RFC 5646 §2.1 as RFC 4647 §2.1 needs it: subtags of 1 to 8 letters and digits, the first of letters alone.
fn is_language_tag(tag: &str) -> bool {
    let subtag = |text: &str| (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let first = tag.split('-').next().unwrap_or_default();
    tag.len() <= MAX_KEY_NAME_BYTES && tag.split('-').all(subtag) && first.bytes().all(|b| b.is_ascii_alphabetic())
}

const LANGUAGES: Wanted<'_> = Wanted {
    name: "languages",
    what: "\"normalised\", \"exact\" or a list of language tags",
    example: "languages = [\"en\", \"de\"]",
};
