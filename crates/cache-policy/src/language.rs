//! `Accept-Language`: which languages a client wants, in a form in which equal wishes are equal. RFC 9110 §12.5.4.

use std::cmp::Reverse;
use std::io::Write as _;

use holm_model::manifest::Languages;
use http::header::{ACCEPT_LANGUAGE, HeaderMap};
use smallvec::SmallVec;

use crate::members::{ONE, compare_words, each_word, weighted};
use crate::vary::{Value, as_it_stands};

/// A language range with its weight in thousandths (§12.4.2).
struct Wish<'a> {
    range: &'a [u8],
    weight: u16,
}

type Wishes<'a> = SmallVec<[Wish<'a>; 8]>;

/// The value that selects; `None` where the field is absent and nothing stands for that.
pub(crate) fn selecting(request: &HeaderMap, languages: &Languages) -> Option<Value> {
    let exact = || as_it_stands(request, &ACCEPT_LANGUAGE, b", ");
    match languages {
        Languages::Offered(offered) if !offered.is_empty() => {
            let best = best_offered(&wishes(request).unwrap_or_default(), offered);
            Some(best.bytes().map(|byte| byte.to_ascii_lowercase()).collect())
        }
        _ if !request.contains_key(ACCEPT_LANGUAGE) => None,
        Languages::Exact => Some(exact()),
        // What we cannot read may mean anything: then only the same means the same.
        _ => Some(wishes(request).map_or_else(exact, normalised)),
    }
}

/// Does the request say what its client wants, in nothing but languages with their weights? What an origin answers where
/// it does not says nothing of what it would answer where it does.
#[must_use]
pub fn states_languages(request: &HeaderMap) -> bool {
    wishes(request).is_some_and(|wishes| !wishes.is_empty())
}

/// The language that the client wants more than every other; `None` if there is no single one, or if the field is not
/// well-formed.
#[must_use]
pub fn preferred_language(request: &HeaderMap) -> Option<&str> {
    let wishes = wishes(request)?;
    let most = wishes.iter().map(|wish| wish.weight).max().filter(|weight| *weight > 0)?;
    let mut first = wishes.iter().filter(|wish| wish.weight == most);
    match (first.next(), first.next()) {
        (Some(wish), None) if wish.range != b"*" => std::str::from_utf8(wish.range).ok(),
        _ => None,
    }
}

/// `None` if any member is malformed.
fn wishes(request: &HeaderMap) -> Option<Wishes<'_>> {
    each_word(request, &ACCEPT_LANGUAGE, |member| {
        let (range, weight) = weighted(member)?;
        is_range(range).then_some(Wish { range, weight })
    })
}

/// RFC 4647 §2.1: a basic language range.
fn is_range(range: &[u8]) -> bool {
    let mut subtags = range.split(|byte| *byte == b'-');
    let first = subtags.next().is_some_and(|subtag| subtag.iter().all(u8::is_ascii_alphabetic));
    let others = subtags.all(|subtag| subtag.iter().all(u8::is_ascii_alphanumeric));
    let lengths = range.split(|byte| *byte == b'-').all(|subtag| (1..=8).contains(&subtag.len()));
    range == b"*" || (first && others && lengths)
}

/// The order of what is equally wanted says nothing, nor does case. What is refused says something even where it is not
/// asked for: it might be what is given to those for whom nothing is found.
fn normalised(mut wishes: Wishes<'_>) -> Value {
    wishes.sort_unstable_by(|a, b| b.weight.cmp(&a.weight).then_with(|| compare_words(a.range, b.range)));
    wishes.dedup_by(|b, a| a.weight == b.weight && a.range.eq_ignore_ascii_case(b.range));
    let mut text = Value::new();
    for Wish { range, weight } in wishes {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend(range.iter().map(u8::to_ascii_lowercase));
        // As a field would say it: so that no malformed one, which stands for itself, looks like this.
        let _ = match weight {
            ONE => Ok(()),
            0 => text.write_all(b";q=0"),
            _ => write!(text, ";q=0.{weight:03}"),
        };
    }
    text
}

/// RFC 4647 §3.4, the ranges in the order of their weights; what two equal ones find is decided by the site's order, and
/// where none finds anything its first language is the default.
fn best_offered<'a>(wishes: &[Wish<'_>], offered: &'a [String]) -> &'a str {
    let refused = |tag: &str| wishes.iter().any(|wish| wish.weight == 0 && matches(wish.range, tag.as_bytes()));
    let found = |wish: &Wish<'_>| {
        let mut range = Some(wish.range);
        while let Some(part) = range.filter(|_| wish.weight > 0) {
            let place = offered.iter().position(|tag| tag.as_bytes().eq_ignore_ascii_case(part) && !refused(tag));
            if place.is_some() {
                return place;
            }
            range = truncated(part);
        }
        None
    };
    let best = wishes.iter().filter_map(|wish| Some((Reverse(wish.weight), found(wish)?))).min();
    let place = best.map_or_else(|| offered.iter().position(|tag| !refused(tag)), |(_, place)| Some(place));
    place.and_then(|place| offered.get(place)).or(offered.first()).map_or("", String::as_str)
}

/// RFC 4647 §3.4: without its last subtag, and without a single letter that then stands last.
fn truncated(range: &[u8]) -> Option<&[u8]> {
    let shorter = &range[..memchr::memrchr(b'-', range)?];
    match shorter {
        [rest @ .., b'-', _] => Some(rest),
        shorter => Some(shorter),
    }
}

/// RFC 4647 §3.3.1: is the tag the range, or one of its kind?
fn matches(range: &[u8], tag: &[u8]) -> bool {
    tag.get(..range.len()).is_some_and(|start| start.eq_ignore_ascii_case(range))
        && tag.get(range.len()).is_none_or(|next| *next == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn value(field: Option<&str>, languages: &Languages) -> Option<String> {
        let request = field.map(|value| headers(&[("accept-language", value)])).unwrap_or_default();
        selecting(&request, languages).map(|value| String::from_utf8(value.to_vec()).unwrap())
    }

    #[test]
    fn normal_forms() {
        let check = |field: &str, expected: &str| {
            assert_eq!(value(Some(field), &Languages::Normalised).as_deref(), Some(expected), "{field}");
        };
        assert_eq!(value(None, &Languages::Normalised), None);
        check("", "");
        check("en, de", "de,en");
        check("eN ,   De", "de,en");
        check("de;q=1.0, fr;q=0.5", "de,fr;q=0.500");
        check("fr;q=0.5, de;q=1", "de,fr;q=0.500");
        check("fr ; Q=0.50,de", "de,fr;q=0.500");
        check("en, en;q=1", "en");
        // What is refused.
        check("en;q=0", "en;q=0");
        check("de;q=0, EN;q=0.0", "de;q=0,en;q=0");
        check("de;q=0, en", "en,de;q=0");
        check("*, de;q=0", "*,de;q=0");
        check("en, en-gb;q=0.000", "en,en-gb;q=0");
        // Malformed: as it stands.
        check("en;q=2, de", "en;q=2, de");
        check("en;q=0.1234", "en;q=0.1234");
        check("en;level=1", "en;level=1");
        check("en;q=0.5;q=1", "en;q=0.5;q=1");
        check("e n", "e n");
        check("en,,de", "en,,de");
        check("en, ", "en,");
        check("en;", "en;");
        check("-en", "-en");
        check("en-123456789", "en-123456789");
        check("*-CH", "*-CH");
        check("de,fr;q=500", "de,fr;q=500");
    }

    #[test]
    fn exact_values() {
        assert_eq!(value(Some("en, De"), &Languages::Exact).as_deref(), Some("en, De"));
        assert_eq!(value(None, &Languages::Exact), None);
    }

    /// RFC 4647 §3.4.
    #[test]
    fn what_is_offered() {
        let site = Languages::Offered(["en", "de", "zh-Hant", "fr-CH"].map(String::from).into());
        let check = |field: Option<&str>, expected: &str| {
            assert_eq!(value(field, &site).as_deref(), Some(expected), "{field:?}");
        };
        check(None, "en");
        check(Some(""), "en");
        check(Some("de"), "de");
        check(Some("DE-at"), "de");
        check(Some("zh-Hant-CN-x-private1-private2"), "zh-hant");
        check(Some("zh-Hans"), "en");
        check(Some("fr"), "en");
        check(Some("fr-ch, de;q=0.9"), "fr-ch");
        check(Some("de;q=0.5, fr-ch;q=0.6"), "fr-ch");
        // Equal weights: the site's order decides, not the client's.
        check(Some("de, en"), "en");
        check(Some("en, de"), "en");
        check(Some("*"), "en");
        check(Some("es, *;q=0.5"), "en");
        check(Some("en;q=0"), "de");
        check(Some("en;q=0, es"), "de");
        check(Some("de-at, de;q=0"), "en");
        check(Some("en;q=2"), "en");
        assert_eq!(value(Some("de"), &Languages::Offered(Vec::new())).as_deref(), Some("de"));
    }

    #[test]
    fn preferences() {
        let check = |field: &str, expected: Option<&str>| {
            assert_eq!(preferred_language(&headers(&[("accept-language", field)])), expected, "{field}");
        };
        check("fr;q=0.5, de;q=1.0", Some("de"));
        check("de, en;q=0.9", Some("de"));
        check("de-CH", Some("de-CH"));
        check("en, de", None);
        check("*", None);
        check("de;q=0", None);
        check("de;q=x", None);
        check("de, x_y;q=0.5", None);
        check("de, en;q=2", None);
        check("de,", None);
        check("", None);
        assert_eq!(preferred_language(&HeaderMap::new()), None);
    }

    #[test]
    fn what_states_languages() {
        let check = |field: &str, expected: bool| {
            assert_eq!(states_languages(&headers(&[("accept-language", field)])), expected, "{field}");
        };
        check("de-CH, de;q=0.9, *;q=0.1", true);
        check("de;q=0", true);
        for malformed in ["", "de,", "de;q=x", "de;level=1", "d e", "\"de\"", "de/*", "abcdefghi"] {
            check(malformed, false);
        }
        assert!(!states_languages(&HeaderMap::new()));
        assert!(states_languages(&headers(&[("accept-language", "de"), ("accept-language", "en")])));
        assert!(!states_languages(&headers(&[("accept-language", "de"), ("accept-language", "")])));
    }
}
