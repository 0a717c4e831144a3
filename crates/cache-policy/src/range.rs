//! `Range` answered from a stored response. RFC 9110 §14.

use http::header::{ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE};

use crate::conditional::strong_match;

/// Which bytes of a body of known length a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSelection {
    /// All of them: there is no range, or one that is not served as such (§14.2 allows that for any).
    Whole,
    /// One part, both ends included.
    Part {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// 416: no byte of the range exists.
    Unsatisfiable,
}

/// Reads `Range` and `If-Range`. Several ranges are answered with the whole.
#[must_use]
pub fn select_range(request: &HeaderMap, stored: &HeaderMap, length: u64) -> RangeSelection {
    let Some(range) = request.get(RANGE).and_then(|value| value.to_str().ok()) else { return RangeSelection::Whole };
    if !if_range_holds(request, stored) {
        return RangeSelection::Whole;
    }
    let Some((unit, spec)) = range.split_once('=') else { return RangeSelection::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return RangeSelection::Whole;
    }
    single(spec.trim(), length).unwrap_or(RangeSelection::Whole)
}

/// `None` for what is no range: it is ignored (§14.2).
fn single(spec: &str, length: u64) -> Option<RangeSelection> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        if suffix == 0 || length == 0 {
            return Some(RangeSelection::Unsatisfiable);
        }
        return Some(RangeSelection::Part { first: length.saturating_sub(suffix), last: length - 1 });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    if first >= length {
        return Some(RangeSelection::Unsatisfiable);
    }
    Some(RangeSelection::Part { first, last: last.min(length - 1) })
}

/// §13.1.5: a strong validator must match exactly; a date too.
fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(wanted) = request.get(IF_RANGE) else { return true };
    let wanted = wanted.as_bytes();
    let validator = if wanted.starts_with(b"\"") || wanted.starts_with(b"W") { ETAG } else { LAST_MODIFIED };
    stored.get(validator).is_some_and(|stored| strong_match(wanted, stored.as_bytes()))
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let check = |range: &str, expected: RangeSelection| {
            let mut request = HeaderMap::new();
            request.insert(RANGE, range.parse().unwrap());
            assert_eq!(select_range(&request, &HeaderMap::new(), 10), expected, "{range}");
        };
        use RangeSelection::{Part, Unsatisfiable, Whole};
        check("bytes=0-0", Part { first: 0, last: 0 });
        check("bytes=2-", Part { first: 2, last: 9 });
        check("bytes=-3", Part { first: 7, last: 9 });
        check("bytes=-30", Part { first: 0, last: 9 });
        check("bytes=5-99999999999999999999999", Part { first: 5, last: 9 });
        check("bytes=10-", Unsatisfiable);
        check("bytes=-0", Unsatisfiable);
        check("bytes=5-2", Whole);
        check("bytes=a-b", Whole);
        check("bytes=0-1,3-4", Whole);
        check("lines=0-1", Whole);
        check("bytes", Whole);
    }

    #[test]
    fn if_range() {
        let check = |condition: &str, expected: bool| {
            let mut request = HeaderMap::new();
            request.insert(RANGE, "bytes=0-0".parse().unwrap());
            request.insert(IF_RANGE, condition.parse().unwrap());
            let mut stored = HeaderMap::new();
            stored.insert(ETAG, "\"a\"".parse().unwrap());
            let part = select_range(&request, &stored, 10) != RangeSelection::Whole;
            assert_eq!(part, expected, "{condition}");
        };
        check("\"a\"", true);
        check("\"b\"", false);
        check("W/\"a\"", false);
        check("Tue, 15 Nov 1994 12:00:00 GMT", false);
    }
}
