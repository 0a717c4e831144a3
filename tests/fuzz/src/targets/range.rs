//! `Range` and `If-Range`. RFC 9110 §14. Parts: length, request fields, stored fields.

use holm_cache_policy::{RangeSelection, select_range};
use http::header::RANGE;

use crate::input::{fields, parts};

pub(super) fn run(bytes: &[u8]) {
    let [length, request, stored] = parts(bytes);
    let length = std::str::from_utf8(length).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(10);
    let (mut request, stored) = (fields(request), fields(stored));
    if let RangeSelection::Parts(parts) = select_range(&request, &stored, length) {
        assert!(!parts.is_empty());
        for part in &parts {
            assert!(part.first <= part.last && part.last < length, "{part:?} of {length}");
        }
        let bytes: u128 = parts.iter().map(|part| u128::from(part.len())).sum();
        assert!(bytes <= u128::from(length), "{bytes} bytes of {length} are asked for");
    }
    request.remove(RANGE);
    assert_eq!(select_range(&request, &stored, length), RangeSelection::Whole, "no range");
}
