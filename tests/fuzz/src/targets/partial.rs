//! `Content-Range`, and parts that are combined. RFC 9110 §14.4, RFC 9111 §3.4.

use bytes::Bytes;
use holm_cache_policy::{ContentRange, Parts, PartsAnswer, Pieces};
use http::HeaderValue;
use http::header::{CONTENT_RANGE, ETAG, HeaderMap};

use crate::input::{fields, lines, parts, values};

/// Lines of `Content-Range`.
pub(super) fn content_range(bytes: &[u8]) {
    let Some(ContentRange { bytes, complete }) = ContentRange::parse(&values(&CONTENT_RANGE, bytes)) else { return };
    assert!(
        bytes.first <= bytes.last && complete.is_none_or(|complete| bytes.last < complete),
        "{bytes:?} {complete:?}"
    );
    assert!(bytes.len() > 0);
    let length = complete.map_or_else(|| "*".to_owned(), |complete| complete.to_string());
    let told = format!("bytes {}-{}/{length}", bytes.first, bytes.last);
    let again = HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_str(&told).expect("digits"))]);
    assert_eq!(ContentRange::parse(&again), Some(ContentRange { bytes, complete }), "{told}");
}

/// Lines of `first last` of one body, in the order in which they come; then the fields of a request for it.
pub(super) fn combining(bytes: &[u8]) {
    let [ranges, request] = parts(bytes);
    let request = fields(request);
    let mut stored: Option<Parts> = None;
    for (first, last) in lines(ranges).filter_map(range).take(MOST_PARTS) {
        let body = Bytes::from_iter((first..=last).map(byte));
        let headers = part_headers(first, last);
        let newer = Parts::of(&HeaderMap::new(), &headers, body).expect("a part of the body");
        stored = Some(match stored {
            None => newer,
            Some(stored) => stored.with(&newer).expect("parts of one body"),
        });
    }
    let Some(stored) = stored else { return };
    assert!(stored.held() <= LENGTH as u64, "more bytes than there are");
    if let Some(whole) = stored.whole() {
        is_body(&whole, 0, LENGTH);
    }
    if let Some(prefix) = stored.prefix() {
        is_body(&prefix, 0, prefix.iter().map(Bytes::len).sum());
    }
    match stored.answer(&request, &part_headers(0, 0)) {
        PartsAnswer::Nothing => {}
        PartsAnswer::Again(..) => panic!("no part was asked for by a range"),
        PartsAnswer::Bytes(range, complete, pieces) => {
            assert_eq!(complete, Some(LENGTH as u64));
            let [first, last] = [range.first, range.last].map(|place| usize::try_from(place).expect("a place"));
            is_body(&pieces, first, last + 1);
        }
    }
}

/// Combining never changes bytes.
fn is_body(pieces: &Pieces, from: usize, to: usize) {
    let expected: Vec<u8> = (from..to).map(byte).collect();
    assert_eq!(pieces.concat(), expected, "bytes {from} to {to}");
}

fn part_headers(first: usize, last: usize) -> HeaderMap {
    let range = format!("bytes {first}-{last}/{LENGTH}");
    HeaderMap::from_iter([
        (CONTENT_RANGE, HeaderValue::from_str(&range).expect("digits")),
        (ETAG, HeaderValue::from_static("\"a\"")),
    ])
}

fn range(line: &[u8]) -> Option<(usize, usize)> {
    let (first, last) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last && last < LENGTH).then_some((first, last))
}

/// The body: each place has its byte.
#[expect(clippy::cast_possible_truncation, reason = "any byte does")]
const fn byte(place: usize) -> u8 {
    (place * 7 + 3) as u8
}

const LENGTH: usize = 200;
const MOST_PARTS: usize = 40;
