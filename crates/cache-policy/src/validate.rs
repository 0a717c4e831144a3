//! Validation: asking the origin whether a stored response is still good, and taking in its 304. RFC 9111 §4.3.

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, TRANSFER_ENCODING,
};

/// §4.3.1: adds the stored response's validators to a request.
pub fn write_validators(request: &mut HeaderMap, stored: &HeaderMap) {
    for (condition, validator) in [(IF_NONE_MATCH, ETAG), (IF_MODIFIED_SINCE, LAST_MODIFIED)] {
        if let Some(value) = stored.get(validator) {
            request.insert(condition, value.clone());
        }
    }
}

/// Can the response be validated?
pub(crate) fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED)
}

/// §3.2: takes the fields of a 304 into the stored ones, but for those that tell of the body's form or of the message.
pub(crate) fn update_stored(stored: &mut HeaderMap, fresh: &HeaderMap) {
    for name in fresh.keys() {
        if KEPT.contains(name) {
            continue;
        }
        stored.remove(name);
        for value in fresh.get_all(name) {
            stored.append(name, value.clone());
        }
    }
}

const KEPT: [HeaderName; 6] =
    [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_TYPE, CONTENT_RANGE, CONNECTION, TRANSFER_ENCODING];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_304_updates_what_it_may() {
        let mut stored = HeaderMap::new();
        stored.insert("etag", "\"a\"".parse().unwrap());
        stored.insert("content-length", "5".parse().unwrap());
        stored.insert("x-a", "old".parse().unwrap());
        stored.insert("x-b", "kept".parse().unwrap());
        let mut fresh = HeaderMap::new();
        fresh.insert("content-length", "0".parse().unwrap());
        fresh.append("x-a", "new".parse().unwrap());
        fresh.append("x-a", "newer".parse().unwrap());
        update_stored(&mut stored, &fresh);
        assert_eq!(stored["content-length"], "5");
        assert_eq!(stored["x-b"], "kept");
        assert_eq!(stored.get_all("x-a").iter().collect::<Vec<_>>(), ["new", "newer"]);
    }
}
