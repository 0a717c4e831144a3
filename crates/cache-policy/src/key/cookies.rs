//! The cookies' part of a key. RFC 6265 §5.4; HTTP/2 and HTTP/3 may spread them over several lines.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

use super::Part;
use super::query::is_one_of;

pub(super) fn each_part<'a>(request: &'a HeaderMap, names: &'a [String], give: &mut impl FnMut(Part<'a>)) {
    if names.is_empty() {
        return;
    }
    names.iter().for_each(|name| give(Part::Cookie(name)));
    let lines = || request.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    if lines().flat_map(pairs).any(|pair| is_ambiguous(pair, names)) {
        return lines().for_each(|line| give(Part::CookieLine(line)));
    }
    for name in names {
        let own = |pair: &&[u8]| is_one_of(self::name(pair), std::slice::from_ref(name));
        lines().flat_map(pairs).filter(own).for_each(|pair| give(Part::CookiePair(pair)));
    }
}

/// The cookies that do not enter.
pub(super) fn left_out<'a>(request: &'a HeaderMap, names: &[String]) -> Vec<&'a [u8]> {
    let all = || request.get_all(COOKIE).iter().map(HeaderValue::as_bytes).flat_map(pairs);
    if !names.is_empty() && all().any(|pair| is_ambiguous(pair, names)) {
        return Vec::new();
    }
    all().filter(|pair| !is_one_of(name(pair), names)).collect()
}

/// Does it hold, for readers of the older grammar (RFC 2109 §4.2.2), less or more than this one cookie? A quote would
/// then reach past the semicolon, or a comma begin another cookie that counts.
fn is_ambiguous(pair: &[u8], names: &[String]) -> bool {
    let open = pair.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
    let mut further = pair.split(|byte| *byte == b',').skip(1);
    open || further.any(|piece| is_one_of(name(piece.trim_ascii()), names))
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

fn name(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}
