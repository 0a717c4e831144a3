//! `Range` answered from a stored response. RFC 9110 §14.

use http::header::{DATE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE};
use smallvec::SmallVec;

use crate::conditional::strong_match;
use crate::date::date;

/// Bytes of a representation, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte's place.
    pub first: u64,
    /// The last byte's.
    pub last: u64,
}

/// Which bytes of a body of known length a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeSelection {
    /// All of them: there is no range, or one that is not served as such (§14.2 allows that for any).
    Whole,
    /// These, at least one; several are sent as `multipart/byteranges` (§14.6).
    Parts(SmallVec<[ByteRange; 1]>),
    /// 416: no byte of any range exists.
    Unsatisfiable,
}

/// One member of a range set (§14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeSpec {
    /// From this byte to that one, or to the end.
    From(u64, Option<u64>),
    /// The last so many bytes.
    Suffix(u64),
}

impl ByteRange {
    /// How many bytes; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a range holds a byte at least")]
    #[must_use]
    pub const fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

/// Reads `Range` and `If-Range` against a body of `length` bytes.
#[must_use]
pub fn select_range(request: &HeaderMap, stored: &HeaderMap, length: u64) -> RangeSelection {
    let Some(specs) = range_set(request) else { return RangeSelection::Whole };
    if !if_range_holds(request, stored) {
        return RangeSelection::Whole;
    }
    let ranges: SmallVec<[ByteRange; 1]> = specs.iter().filter_map(|spec| spec.within(length)).collect();
    if ranges.is_empty() {
        return RangeSelection::Unsatisfiable;
    }
    RangeSelection::Parts(coalesced(ranges))
}

/// The range set of a request in bytes; `None` where there is none that is served as such (§14.2: others are ignored).
pub(crate) fn range_set(request: &HeaderMap) -> Option<SmallVec<[RangeSpec; 1]>> {
    let mut lines = request.get_all(RANGE).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let (unit, set) = line.to_str().ok()?.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let members = set.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty());
    let specs: Option<SmallVec<[RangeSpec; 1]>> = members.take(MAX_RANGES + 1).map(RangeSpec::parse).collect();
    specs.filter(|specs| !specs.is_empty() && specs.len() <= MAX_RANGES)
}

/// §13.1.5: a strong validator must match exactly; a date too, and it must be a strong one (§8.8.2.2).
pub(crate) fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(wanted) = request.get(IF_RANGE) else { return true };
    if wanted.as_bytes().starts_with(b"\"") || wanted.as_bytes().starts_with(b"W/") {
        return stored.get(ETAG).is_some_and(|etag| strong_match(wanted.as_bytes(), etag.as_bytes()));
    }
    stored.get(LAST_MODIFIED) == Some(wanted) && last_modified_is_strong(stored)
}

/// §8.8.2.2: could the representation not have changed twice within the second that it tells?
fn last_modified_is_strong(stored: &HeaderMap) -> bool {
    match (date(stored, &LAST_MODIFIED, None), date(stored, &DATE, None)) {
        (Some(modified), Some(date)) => date.since(modified).as_secs() >= 1,
        _ => false,
    }
}

impl RangeSpec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        if first.is_empty() {
            return number(last).map(Self::Suffix);
        }
        let first = number(first)?;
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        last.is_none_or(|last| last >= first).then_some(Self::From(first, last))
    }

    /// Does it name both its ends?
    pub(crate) const fn needs_no_length(self) -> bool {
        matches!(self, Self::From(_, Some(_)))
    }

    /// The bytes that it names of a body of this length; `None` where there are none.
    pub(crate) fn within(self, length: u64) -> Option<ByteRange> {
        let end = length.checked_sub(1)?;
        match self {
            Self::Suffix(0) => None,
            Self::Suffix(count) => Some(ByteRange { first: length.saturating_sub(count), last: end }),
            Self::From(first, last) => {
                (first <= end).then(|| ByteRange { first, last: last.map_or(end, |last| last.min(end)) })
            }
        }
    }
}

/// §15.3.7.2: ranges that overlap, or lie closer than a part's own head is long, become one: so no set of ranges makes a
/// response much larger than the body. Where none do, they stay in the order in which they were asked for.
fn coalesced(ranges: SmallVec<[ByteRange; 1]>) -> SmallVec<[ByteRange; 1]> {
    if ranges.len() == 1 {
        return ranges;
    }
    let mut sorted = ranges.clone();
    sorted.sort_unstable_by_key(|range| range.first);
    let mut joined: SmallVec<[ByteRange; 1]> = SmallVec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(before) if range.first <= before.last.saturating_add(PART_HEAD_BYTES) => {
                before.last = before.last.max(range.last);
            }
            _ => joined.push(range),
        }
    }
    if joined.len() == ranges.len() { ranges } else { joined }
}

/// RFC 9110 §14.1.1: digits; a number too large to hold is past any end.
pub(crate) fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// More ranges in one request are not served as such (§17.15).
const MAX_RANGES: usize = 32;

/// What a part of a multipart body costs beside its bytes, about.
const PART_HEAD_BYTES: u64 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn part(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    fn check(range: &str, length: u64, expected: &RangeSelection) {
        let mut request = HeaderMap::new();
        request.insert(RANGE, range.parse().unwrap());
        assert_eq!(select_range(&request, &HeaderMap::new(), length), *expected, "{range} of {length}");
    }

    #[test]
    fn rfc9110_14_1_2_single_ranges() {
        use RangeSelection::{Unsatisfiable, Whole};
        let one = |range, length, first, last| {
            check(range, length, &RangeSelection::Parts(SmallVec::from_slice(&[part(first, last)])));
        };
        one("bytes=0-0", 10, 0, 0);
        one("bytes=2-", 10, 2, 9);
        one("bytes=-3", 10, 7, 9);
        one("bytes=-30", 10, 0, 9);
        one("BYTES=1-1", 10, 1, 1);
        one("bytes= 1-1", 10, 1, 1);
        one("bytes=5-99999999999999999999999", 10, 5, 9);
        check("bytes=10-", 10, &Unsatisfiable);
        check("bytes=-0", 10, &Unsatisfiable);
        check("bytes=0-", 0, &Unsatisfiable);
        check("bytes=-5", 0, &Unsatisfiable);
        for ignored in
            ["bytes=5-2", "bytes=a-b", "bytes=1 -2", "lines=0-1", "bytes", "bytes=", "bytes=+1-2", "bytes =0-1"]
        {
            check(ignored, 10, &Whole);
        }
    }

    #[test]
    fn rfc9110_15_3_7_2_several_ranges() {
        let several =
            |range, parts: &[ByteRange]| check(range, 1000, &RangeSelection::Parts(SmallVec::from_slice(parts)));
        several("bytes=0-1,500-501", &[part(0, 1), part(500, 501)]);
        several("bytes=500-501, 0-1", &[part(500, 501), part(0, 1)]);
        several("bytes=-1,0-0", &[part(999, 999), part(0, 0)]);
        several("bytes=0-1,5000-", &[part(0, 1)]);
        several("bytes=0-500,400-600", &[part(0, 600)]);
        several("bytes=0-1,2-3", &[part(0, 3)]);
        several("bytes=0-1,40-41", &[part(0, 41)]);
        several("bytes=0-1,1-2,300-301", &[part(0, 2), part(300, 301)]);
        check("bytes=0-1,x", 1000, &RangeSelection::Whole);
        check(&format!("bytes={}", ["0-"; 33].join(",")), 1000, &RangeSelection::Whole);
    }

    #[test]
    fn rfc9110_13_1_5_if_range() {
        let holds = |condition: &str, stored: &[(&'static str, &str)], expected: bool| {
            let mut request = HeaderMap::new();
            request.insert(IF_RANGE, condition.parse().unwrap());
            let mut headers = HeaderMap::new();
            for (name, value) in stored {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(if_range_holds(&request, &headers), expected, "{condition} {stored:?}");
        };
        let modified = "Tue, 15 Nov 1994 12:00:00 GMT";
        holds("\"a\"", &[("etag", "\"a\"")], true);
        holds("\"b\"", &[("etag", "\"a\"")], false);
        holds("W/\"a\"", &[("etag", "W/\"a\"")], false);
        holds("\"a\"", &[], false);
        holds(modified, &[("etag", "\"a\"")], false);
        holds(modified, &[("last-modified", modified), ("date", "Tue, 15 Nov 1994 12:00:01 GMT")], true);
        holds(modified, &[("last-modified", modified), ("date", modified)], false);
        holds(modified, &[("last-modified", modified)], false);
        holds("x", &[("etag", "\"a\"")], false);
    }
}
