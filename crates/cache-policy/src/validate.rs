//! Validation: asking the origin whether a stored response is still good, and taking in what it says. RFC 9111 §4.3.

use http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, EXPIRES, HeaderMap, HeaderName,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};

use crate::headers::strip_hop_by_hop;
use crate::range::number;
use crate::surrogate::SURROGATE_CONTROL;
use crate::targeted::{CDN_CACHE_CONTROL, HOLM_CACHE_CONTROL};

/// What the response to a HEAD makes of a stored response to a GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadUpdate {
    /// It tells of the same representation: [`crate::StoredMeta::freshen`] takes it in.
    Update,
    /// It tells of another: the stored one is not to be used any more without asking.
    Invalidate,
    /// It does not say of which: the stored one stays what it was.
    Unsaid,
}

/// §4.3.1: adds the stored response's validators to a request.
pub fn write_validators(request: &mut HeaderMap, stored: &HeaderMap) {
    for (condition, validator) in [(IF_NONE_MATCH, ETAG), (IF_MODIFIED_SINCE, LAST_MODIFIED)] {
        if let Some(value) = stored.get(validator) {
            request.insert(condition, value.clone());
        }
    }
}

/// §4.3.5: a HEAD was answered with 200. Is it of the stored response, whose body has `stored_length` bytes? Every
/// validator that the answer has, and its length, have to be the stored one's: one that is new tells of something new. By
/// the letter an answer without any would match as well; but then the bytes of an older version would be renewed by what
/// is said of a newer one.
#[must_use]
pub fn head_update(stored: &HeaderMap, stored_length: u64, head: &HeaderMap) -> HeadUpdate {
    let same_validators = [ETAG, LAST_MODIFIED].iter().all(|name| {
        let (stored, head) = (stored.get_all(name), head.get_all(name));
        head.iter().next().is_none() || head.iter().eq(stored.iter())
    });
    let mut lengths = head.get_all(CONTENT_LENGTH).iter();
    let same_length = lengths.all(|length| length.to_str().ok().and_then(number) == Some(stored_length));
    match (same_validators && same_length, has_validator(head)) {
        (true, true) => HeadUpdate::Update,
        (true, false) => HeadUpdate::Unsaid,
        (false, _) => HeadUpdate::Invalidate,
    }
}

/// Can the response be validated?
pub(crate) fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED)
}

/// §3.2: takes the fields of a 304, or of a HEAD, into the stored ones, but for those that tell of the stored bytes or
/// of the message.
///
/// `ETag` is one of the first kind. A 304 that bears another strong validator than we asked by says, by §4.3.4, nothing
/// of the response that we have; yet the tag that we asked by was its only one, so a 304 can only mean that. The stored
/// tag stays beside the stored bytes: with the other one, the next validation would ask for what we do not have. Of what it
/// says beside that only how long the answer holds is taken: the rest, a date above all, may be of the other representation.
pub(crate) fn update_stored(stored: &mut HeaderMap, fresh: &HeaderMap) {
    let mut fresh = fresh.clone();
    strip_hop_by_hop(&mut fresh);
    let of_another = matches!((stored.get(ETAG), fresh.get(ETAG)), (Some(stored), Some(fresh)) if stored != fresh);
    for name in fresh.keys().filter(|name| if of_another { LASTING.contains(name) } else { !KEPT.contains(name) }) {
        stored.remove(name);
        for value in fresh.get_all(name) {
            stored.append(name, value.clone());
        }
    }
}

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// RFC 9530.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// What tells how long a response holds.
const LASTING: [HeaderName; 7] =
    [AGE, CACHE_CONTROL, CDN_CACHE_CONTROL, DATE, EXPIRES, HOLM_CACHE_CONTROL, SURROGATE_CONTROL];
const KEPT: [HeaderName; 7] =
    [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_MD5, CONTENT_DIGEST, REPR_DIGEST, ETAG];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn a_304_of_another_tag_tells_only_how_long() {
        let mut stored =
            headers(&[("etag", "\"1\""), ("last-modified", "Tue, 15 Nov 1994 12:00:00 GMT"), ("x", "old")]);
        let fresh = headers(&[
            ("etag", "\"2\""),
            ("last-modified", "Tue, 15 Nov 1994 13:00:00 GMT"),
            ("x", "new"),
            ("cache-control", "max-age=9"),
        ]);
        update_stored(&mut stored, &fresh);
        let text = |name: &str| stored.get(name).and_then(|value| value.to_str().ok());
        assert_eq!((text("etag"), text("x")), (Some("\"1\""), Some("old")));
        assert_eq!(text("last-modified"), Some("Tue, 15 Nov 1994 12:00:00 GMT"));
        assert_eq!(text("cache-control"), Some("max-age=9"));
    }

    /// RFC 9111 §3.2.
    #[test]
    fn what_a_304_updates() {
        let check = |name: &'static str, updated: bool| {
            let mut stored = headers(&[(name, "old"), ("x-b", "kept")]);
            update_stored(&mut stored, &headers(&[(name, "new"), (name, "newer")]));
            let expected: &[&str] = if updated { &["new", "newer"] } else { &["old"] };
            assert_eq!(stored.get_all(name).iter().collect::<Vec<_>>(), expected, "{name}");
            assert_eq!(stored["x-b"], "kept");
        };
        for updated in ["x-a", "cache-control", "content-type", "content-location", "expires", "set-cookie", "date"] {
            check(updated, true);
        }
        for kept in ["content-length", "content-encoding", "content-range", "content-md5", "content-digest", "etag"] {
            check(kept, false);
        }
        for of_the_message in ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-authenticate"] {
            check(of_the_message, false);
        }
        let mut stored = HeaderMap::new();
        update_stored(&mut stored, &headers(&[("connection", "x-a"), ("x-a", "1"), ("etag", "\"a\"")]));
        assert!(stored.is_empty(), "{stored:?}");
    }

    /// RFC 9111 §4.3.5.
    #[test]
    fn heads() {
        type Fields<'a> = &'a [(&'static str, &'a str)];
        let check = |stored: Fields<'_>, head: Fields<'_>, expected: HeadUpdate| {
            assert_eq!(head_update(&headers(stored), 5, &headers(head)), expected, "{stored:?} {head:?}");
        };
        use HeadUpdate::{Invalidate, Unsaid, Update};
        let stored = [("etag", "\"a\""), ("last-modified", "x"), ("content-length", "5")];
        check(&stored, &stored, Update);
        check(&stored, &stored[..1], Update);
        check(&stored, &stored[1..], Update);
        // Nothing that only this representation can have.
        check(&stored, &[], Unsaid);
        check(&stored, &[("content-length", "5")], Unsaid);
        check(&[], &[("content-length", "5")], Unsaid);
        check(&[], &[("content-length", "6")], Invalidate);
        check(&stored, &[("content-length", "x")], Invalidate);
        check(&stored, &[("content-length", "5"), ("content-length", "6")], Invalidate);
        // One that the stored response lacks.
        check(&[], &[("etag", "\"a\"")], Invalidate);
        check(&[("etag", "\"a\"")], &[("etag", "\"a\""), ("last-modified", "x")], Invalidate);
        check(&stored, &[("etag", "\"a\""), ("etag", "\"b\"")], Invalidate);
        check(&stored, &[("etag", "\"b\""), ("content-length", "5")], Invalidate);
        check(&stored, &[("last-modified", "y")], Invalidate);
        check(&stored, &[("etag", "\"a\""), ("content-length", "6")], Invalidate);
    }
}
