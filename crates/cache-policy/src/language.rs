//! `Accept-Language`: which languages a client wants, in a form in which equal wishes are equal. RFC 9110 §12.5.4.

use holm_model::manifest::Languages;
use http::header::{ACCEPT_LANGUAGE, HeaderMap};
use smallvec::SmallVec;

use crate::members::{members, split};

/// A language range with its weight in thousandths (§12.4.2); one without a valid weight has none.
struct Wish<'a> {
    range: &'a [u8],
    weight: u16,
}

type Wishes<'a> = SmallVec<[Wish<'a>; 8]>;

/// The value that selects; `None` where the field is absent and nothing stands for that.
pub(crate) fn selecting(request: &HeaderMap, languages: &Languages) -> Option<String> {
    match languages {
        Languages::Offered(offered) if !offered.is_empty() => {
            Some(best_offered(&wishes(request).unwrap_or_default(), offered).to_ascii_lowercase())
        }
        _ if !request.contains_key(ACCEPT_LANGUAGE) => None,
        Languages::Exact => Some(exact(request)),
        // What we cannot read may mean anything: then only the same means the same.
        _ => Some(wishes(request).map_or_else(|| exact(request), normalised)),
    }
}

/// The language that the client wants more than every other; `None` if there is no single one.
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
    members(request, &ACCEPT_LANGUAGE)
        .map(|member| {
            let mut parts = split(member, b';');
            let range = parts.next().filter(|range| range.iter().all(|b| is_range_byte(*b)))?;
            let weight = match (parts.next(), parts.next()) {
                (None, _) => ONE,
                (Some(weight), None) => weight_of(weight)?,
                (Some(_), Some(_)) => return None,
            };
            Some(Wish { range, weight })
        })
        .collect()
}

/// §12.4.2: `q=0.5`, at most three digits, at most 1.
pub(crate) fn weight_of(parameter: &[u8]) -> Option<u16> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, digits) = match value {
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        [whole] => (whole, [].as_slice()),
        _ => return None,
    };
    if !matches!(whole, b'0' | b'1') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let place = |(digit, unit): (&u8, u16)| u16::from(digit - b'0') * unit;
    let weight = u16::from(whole - b'0') * ONE + digits.iter().zip([100, 10, 1]).map(place).sum::<u16>();
    (weight <= ONE).then_some(weight)
}

/// The order of what is equally wanted says nothing, nor does case. What is refused says something only where another
/// range would have let it in.
fn normalised(mut wishes: Wishes<'_>) -> String {
    let covered = |refused: &[u8], wishes: &[Wish<'_>]| {
        wishes.iter().any(|wish| wish.weight > 0 && (wish.range == b"*" || matches(wish.range, refused)))
    };
    let kept: SmallVec<[bool; 8]> = wishes.iter().map(|wish| wish.weight > 0 || covered(wish.range, &wishes)).collect();
    let mut kept = kept.into_iter();
    wishes.retain(|_| kept.next().unwrap_or(true));
    let mut wishes: SmallVec<[(u16, String); 8]> =
        wishes.iter().map(|wish| (wish.weight, String::from_utf8_lossy(wish.range).to_ascii_lowercase())).collect();
    wishes.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    wishes.dedup();
    let text = |(weight, range): (u16, String)| if weight == ONE { range } else { format!("{range};q={weight}") };
    wishes.into_iter().map(text).collect::<Vec<_>>().join(",")
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
    let best = wishes.iter().filter_map(|wish| Some((std::cmp::Reverse(wish.weight), found(wish)?))).min();
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

/// The lines as they are.
fn exact(request: &HeaderMap) -> String {
    let lines = request.get_all(ACCEPT_LANGUAGE).iter();
    lines.map(|value| crate::vary::text_of(value.as_bytes())).collect::<Vec<_>>().join(",")
}

const fn is_range_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'*')
}

/// A weight of 1.
const ONE: u16 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn value(field: Option<&str>, languages: &Languages) -> Option<String> {
        selecting(&field.map(|value| headers(&[("accept-language", value)])).unwrap_or_default(), languages)
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
        check("de;q=1.0, fr;q=0.5", "de,fr;q=500");
        check("fr;q=0.5, de;q=1", "de,fr;q=500");
        check("fr ; Q=0.50,de", "de,fr;q=500");
        check("en, en;q=1", "en");
        // What is refused.
        check("en, de;q=0", "en");
        check("*, de;q=0", "*,de;q=0");
        check("en, en-gb;q=0.000", "en,en-gb;q=0");
        // Malformed: as it stands.
        check("en;q=2, de", "en;q=2, de");
        check("en;q=0.1234", "en;q=0.1234");
        check("en;level=1", "en;level=1");
        check("en;q=0.5;q=1", "en;q=0.5;q=1");
        check("e n", "e n");
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
        check("", None);
        assert_eq!(preferred_language(&HeaderMap::new()), None);
    }
}
