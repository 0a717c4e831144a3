//! Targeted fields: cache directives that a response means for us alone, as structured dictionaries. RFC 9213.

use http::header::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::directives::ResponseDirectives;
use crate::members::MANY_SECONDS;

/// §2.2: the directives of the first field on our target list that is valid and not empty.
pub(crate) fn directives(headers: &HeaderMap) -> Option<ResponseDirectives> {
    TARGET_LIST.iter().find_map(|name| from_field(headers, name))
}

/// §2.1: a field that is empty or cannot be parsed is as good as absent.
fn from_field(headers: &HeaderMap, name: &HeaderName) -> Option<ResponseDirectives> {
    let dictionary = dictionary(headers, name).filter(|dictionary| !dictionary.is_empty())?;
    let mut directives = ResponseDirectives { targeted: true, ..ResponseDirectives::default() };
    for (key, value) in &dictionary {
        // Parameters mean nothing (§2.1), and no directive has a list.
        if let ListEntry::Item(item) = value {
            set(&mut directives, key.as_str(), &item.bare_item);
        }
    }
    Some(directives)
}

/// A structured dictionary, all its lines taken together (RFC 9651 §4.2); `None` if it cannot be parsed.
pub(crate) fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    let mut lines = headers.get_all(name).iter();
    let first = Parser::new(lines.next()?.as_bytes()).parse().ok()?;
    lines.try_fold(first, |all, line| Parser::new(line.as_bytes()).parse_dictionary_with_visitor(all).ok())
}

/// §2.1: a value of another type than the directive's own is not to be consumed: the directive is then ignored.
fn set(directives: &mut ResponseDirectives, key: &str, value: &BareItem) {
    match value {
        BareItem::Boolean(true) => {
            directives.set_flag(key.as_bytes());
        }
        // The list of fields of these two; the whole response is the safe reading, as in `Cache-Control`.
        BareItem::String(_) if matches!(key, "no-cache" | "private") => {
            directives.set_flag(key.as_bytes());
        }
        BareItem::Integer(number) => {
            if let (Some(place), Ok(number)) = (directives.number(key.as_bytes()), u64::try_from(i64::from(*number))) {
                *place = Some(number.min(MANY_SECONDS));
            }
        }
        _ => {}
    }
}

pub(crate) const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
pub(crate) const HOLM_CACHE_CONTROL: HeaderName = HeaderName::from_static("holm-cache-control");
/// From the most applicable to the least.
const TARGET_LIST: [HeaderName; 2] = [HOLM_CACHE_CONTROL, CDN_CACHE_CONTROL];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    const CDN: &str = "cdn-cache-control";
    const OWN: &str = "holm-cache-control";

    #[test]
    fn the_first_valid_field_counts() {
        let check = |fields: &[(&'static str, &str)], expected: Option<u64>| {
            assert_eq!(ResponseDirectives::parse(&headers(fields)).lifetime(), expected, "{fields:?}");
        };
        let cc = ("cache-control", "max-age=1");
        // §2.2: the target list.
        check(&[cc, (CDN, "max-age=2")], Some(2));
        check(&[cc, (CDN, "max-age=2"), (OWN, "max-age=3")], Some(3));
        check(&[cc, (CDN, "max-age=2"), (OWN, "")], Some(2));
        check(&[cc, (CDN, "max-age=2"), ("surrogate-control", "max-age=4")], Some(2));
        check(&[cc, ("surrogate-control", "max-age=4")], Some(4));
        check(&[cc, (CDN, "none")], None);
        check(&[cc, (CDN, "no-store")], None);
        // §2.1: empty, or not to be parsed.
        for invalid in
            ["", " ", "max-age=", "max-age=x,", "Max-Age=2", "max-age=2 no-store", "a=\"x", ",", "max-age=1e5"]
        {
            check(&[cc, (CDN, invalid)], Some(1));
        }
        // Lines are one dictionary, and of a key's values the last counts (RFC 9651 §4.2.2).
        check(&[cc, (CDN, "max-age=2"), (CDN, "max-age=9")], Some(9));
        check(&[cc, (CDN, "max-age=2"), (CDN, "!")], Some(1));
        // Parameters are ignored.
        check(&[cc, (CDN, "max-age=2;x=1")], Some(2));
    }

    #[test]
    fn values_of_another_type_are_ignored() {
        let check = |value: &str, expected: ResponseDirectives| {
            let expected = ResponseDirectives { targeted: true, ..expected };
            assert_eq!(ResponseDirectives::parse(&headers(&[(CDN, value)])), expected, "{value}");
        };
        let none = ResponseDirectives::default;
        check("max-age=2.0", none());
        check("max-age=\"2\"", none());
        check("max-age=-2", none());
        check("max-age", none());
        check("max-age=(2)", none());
        check("no-store=?0", none());
        check("no-store=1", none());
        check("no-store=\"x\"", none());
        check("no-store", ResponseDirectives { no_store: true, ..none() });
        check("no-store=?1", ResponseDirectives { no_store: true, ..none() });
        check("no-cache=\"a, b\"", ResponseDirectives { no_cache: true, ..none() });
        check("private=\"a\"", ResponseDirectives { private: true, ..none() });
        check("max-age=999999999999999", ResponseDirectives { max_age: Some(MANY_SECONDS), ..none() });
        check("s-maxage=3, unknown=4", ResponseDirectives { s_maxage: Some(3), ..none() });
    }
}
