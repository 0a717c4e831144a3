//! Members: the parts of a comma-separated list field, read from its bytes without allocating. RFC 9110 §5.6.1.

use std::cmp::Ordering;

use http::header::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// The members of all lines of a field, trimmed, without the empty ones (§5.6.1.2).
pub(crate) fn members<'a>(headers: &'a HeaderMap, field: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(field).iter().flat_map(|value| split(value.as_bytes(), b','))
}

/// What `parse` makes of each member of a list of words, such as clients send to choose by; `None` if it can make nothing
/// of one, or if one is empty: readers differ in what such a list means.
pub(crate) fn each_word<'a, T>(
    headers: &'a HeaderMap,
    field: &HeaderName,
    parse: impl Fn(&'a [u8]) -> Option<T>,
) -> Option<SmallVec<[T; 8]>> {
    let lines = || headers.get_all(field).iter().map(|line| line.as_bytes().trim_ascii());
    if lines().eq([b""]) {
        return Some(SmallVec::new());
    }
    let members = lines().flat_map(|line| line.split(|byte| *byte == b','));
    members.map(|member| parse(member.trim_ascii())).collect()
}

/// A word and its weight in thousandths, which is 1 where there is none (RFC 9110 §12.4.2); `None` for anything else.
pub(crate) fn weighted(member: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let word = parts.next().filter(|word| !word.is_empty())?;
    match (parts.next(), parts.next()) {
        (None, _) => Some((word, ONE)),
        (Some(weight), None) => Some((word, weight_of(weight)?)),
        (Some(_), Some(_)) => None,
    }
}

/// `q=0.5`, at most three digits, at most 1.
fn weight_of(parameter: &[u8]) -> Option<u16> {
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

/// The order of words whose case says nothing.
pub(crate) fn compare_words(one: &[u8], other: &[u8]) -> Ordering {
    one.iter().map(u8::to_ascii_lowercase).cmp(other.iter().map(u8::to_ascii_lowercase))
}

/// The parts between separators, trimmed, without the empty ones. A separator within a quoted string does not separate.
pub(crate) fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = end_of_part(rest, separator);
            let part = rest[..end].trim_ascii();
            rest = rest.get(end + 1..).unwrap_or_default();
            if !part.is_empty() {
                return Some(part);
            }
        }
        None
    })
}

/// `name` and `argument` of `name=argument`, both trimmed. The argument of a quoted string is what stands in the quotes.
pub(crate) fn name_and_argument(member: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'=', member) {
        Some(at) => (member[..at].trim_ascii_end(), Some(unquoted(member[at + 1..].trim_ascii_start()))),
        None => (member, None),
    }
}

/// The name in lower case. Nothing that we know is longer than the buffer: a longer name comes out empty.
pub(crate) fn lower<'b>(name: &[u8], buffer: &'b mut [u8; LONGEST_NAME]) -> &'b [u8] {
    let Some(room) = buffer.get_mut(..name.len()) else { return &[] };
    room.copy_from_slice(name);
    room.make_ascii_lowercase();
    room
}

/// RFC 9111 §1.2.2: a non-negative whole number; one that overflows is very large; anything else is no number.
pub(crate) fn seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(text.iter().fold(0, add).min(MANY_SECONDS))
}

/// A quote that is never closed opens nothing: the directives that stand behind it count.
fn end_of_part(text: &[u8], separator: u8) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = end_of_quoted(text, at).unwrap_or(at),
            _ if byte == separator => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Where the string that is opened at `open` is closed (§5.6.4).
fn end_of_quoted(text: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// What is quoted on one side only is left as it stands, and so is no number.
fn unquoted(argument: &[u8]) -> &[u8] {
    argument.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(argument)
}

/// A weight of 1.
pub(crate) const ONE: u16 = 1000;

/// Seconds; a number too large to hold counts as this (RFC 9111 §1.2.2).
pub(crate) const MANY_SECONDS: u64 = 1 << 31;

/// `stale-while-revalidate` has 22.
pub(crate) const LONGEST_NAME: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<_> = split(text.as_bytes(), b',').map(|part| std::str::from_utf8(part).unwrap()).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("", &[]);
        check(" , ,", &[]);
        check("a,b , c", &["a", "b", "c"]);
        check("a=\"x, y\", b", &["a=\"x, y\"", "b"]);
        check("a=\"x\\\", y\", b", &["a=\"x\\\", y\"", "b"]);
        // Not closed, not even by the escaped quote.
        check("a=\"x, y", &["a=\"x", "y"]);
        check("a=\"x\\\", y", &["a=\"x\\\"", "y"]);
        check("a=\"x\\", &["a=\"x\\"]);
    }

    #[test]
    fn numbers() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        check("0", Some(0));
        check("003600", Some(3600));
        check("2147483648", Some(MANY_SECONDS));
        check("99999999999999999999999", Some(MANY_SECONDS));
        for none in ["", "-1", "+1", "1.5", "1 ", "a1", "1a", "'1'"] {
            check(none, None);
        }
    }
}
