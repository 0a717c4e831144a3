//! Fields: what HTTP/2 and HTTP/3 ask of a head beyond what the crates below check (RFC 9113 §8.2, RFC 9114 §4.2, RFC
//! 9110 §8.6).

use holm_model::limits::{MAX_HEAD_BYTES, MAX_HEADERS};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};

/// A head that must not be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadHead {
    /// Larger than we read: 431 from a server.
    TooLarge,
    /// Malformed (RFC 9114 §4.1.2): a stream error.
    Malformed,
}

/// Checks a received head; returns its Content-Length.
pub(crate) fn check(headers: &HeaderMap) -> Result<Option<u64>, BadHead> {
    let size = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD).sum::<usize>();
    if size > MAX_HEAD_BYTES || headers.len() > MAX_HEADERS {
        return Err(BadHead::TooLarge);
    }
    let te_ok = headers.get_all(TE).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    if !te_ok || CONNECTION_FIELDS.iter().any(|name| headers.contains_key(name)) {
        return Err(BadHead::Malformed);
    }
    content_length(headers)
}

/// Makes a head fit to send: no connection-specific fields, and a Content-Length where the body's length is known.
/// Returns the length that the body must have.
pub(crate) fn prepare(headers: &mut HeaderMap, body_length: Option<u64>) -> Result<Option<u64>, BadHead> {
    strip_connection(headers);
    if headers.get(TE).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        headers.remove(TE);
    }
    if let Some(length) = content_length(headers)? {
        return Ok(Some(length));
    }
    if let Some(length) = body_length.filter(|length| *length > 0) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(body_length)
}

/// Takes away what is about a connection of HTTP/1.1: where the others find it, they take the message for malformed.
pub(crate) fn strip_connection(fields: &mut HeaderMap) {
    for name in &CONNECTION_FIELDS {
        fields.remove(name);
    }
}

/// The Content-Length, if it is one (RFC 9110 §8.6).
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, BadHead> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
        let parsed = digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or(BadHead::Malformed)?;
        if length.is_some_and(|earlier| earlier != parsed) {
            return Err(BadHead::Malformed);
        }
        length = Some(parsed);
    }
    Ok(length)
}

const CONNECTION_FIELDS: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a field counts beside its bytes (§4.2.2).
const FIELD_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).expect("a valid test value"));
        }
        headers
    }

    #[test]
    fn received_heads() {
        let check = |fields: &[(&'static str, &str)], expected| assert_eq!(check(&map(fields)), expected, "{fields:?}");
        check(&[], Ok(None));
        check(&[("content-length", "5")], Ok(Some(5)));
        check(&[("content-length", "5"), ("content-length", "5")], Ok(Some(5)));
        check(&[("content-length", "5"), ("content-length", "6")], Err(BadHead::Malformed));
        check(&[("content-length", "+5")], Err(BadHead::Malformed));
        check(&[("content-length", "")], Err(BadHead::Malformed));
        check(&[("content-length", "99999999999999999999")], Err(BadHead::Malformed));
        check(&[("transfer-encoding", "chunked")], Err(BadHead::Malformed));
        check(&[("connection", "close")], Err(BadHead::Malformed));
        check(&[("te", "trailers")], Ok(None));
        check(&[("te", "gzip")], Err(BadHead::Malformed));
        check(&[("x", &"y".repeat(MAX_HEAD_BYTES))], Err(BadHead::TooLarge));
    }

    #[test]
    fn sent_heads() {
        let check = |fields: &[(&'static str, &str)], body, expected, left: &[(&'static str, &str)]| {
            let mut headers = map(fields);
            assert_eq!(prepare(&mut headers, body), expected, "{fields:?}");
            assert_eq!(headers, map(left), "{fields:?}");
        };
        check(&[("connection", "close"), ("te", "gzip")], None, Ok(None), &[]);
        check(&[("te", "trailers")], Some(0), Ok(Some(0)), &[("te", "trailers")]);
        check(&[], Some(3), Ok(Some(3)), &[("content-length", "3")]);
        check(&[("content-length", "4")], Some(3), Ok(Some(4)), &[("content-length", "4")]);
    }
}
