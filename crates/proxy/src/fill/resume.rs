//! Resuming: the rest of a body whose hop broke off is asked for, where it is sure to be of the same representation.

use holm_cache_policy::{ContentRange, strong_etag};
use holm_model::ids::Seq;
use holm_transport::body::Body;
use http::header::{HeaderValue, IF_RANGE, RANGE};
use http::{Method, StatusCode};

use crate::hop::{Answer, Head};
use crate::stored::StoredResponse;

/// What has come of a body so far.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    /// The validator by which more of it can be asked for.
    pub(super) etag: HeaderValue,
    /// The seq that it is good for.
    pub(super) as_of: Seq,
    /// Bytes.
    pub(super) got: u64,
    /// Its length, if that is known.
    pub(super) length: Option<u64>,
}

impl Arrived {
    /// The request for the rest (RFC 9110 §13.1.5, §14.2); `None` where there is none to ask for.
    pub(super) fn request(&self, asked: &Head) -> Option<Head> {
        let missing = self.got > 0 && self.length.is_none_or(|length| self.got < length);
        if !missing || asked.method != Method::GET {
            return None;
        }
        let mut head = asked.clone();
        head.headers.insert(RANGE, HeaderValue::from_str(&format!("bytes={}-", self.got)).ok()?);
        head.headers.insert(IF_RANGE, self.etag.clone());
        Some(head)
    }

    /// The rest, and the length of the whole, if that is what the answer brings: the same representation (RFC 9110 §15.3.7.3)
    /// from the missing byte on to the end, and no older than what has come.
    pub(super) fn rest(&self, answer: Answer) -> Option<(Body, u64)> {
        let (head, body) = answer.response.into_parts();
        let range = ContentRange::parse(&head.headers).filter(|_| head.status == StatusCode::PARTIAL_CONTENT)?;
        let complete = range.complete.or(self.length)?;
        let is_rest = range.bytes.first == self.got && range.bytes.last + 1 == complete;
        let same_length = self.length.is_none_or(|length| length == complete);
        let same = same_length && strong_etag(&head.headers) == Some(&self.etag);
        let fits = body.exact_len().is_none_or(|length| length == complete - self.got);
        (is_rest && same && fits && answer.as_of >= self.as_of).then_some((body, complete))
    }
}

/// The validator by which the rest of a response can be asked for; only a 200 is a whole that a range can be of (RFC 9110
/// §14.2).
pub(super) fn validator(head: &StoredResponse) -> Option<HeaderValue> {
    head.strong_etag().filter(|_| head.status == StatusCode::OK)
}

/// How often the rest of one body is asked for: an origin that breaks off again and again is no better asked for ever.
pub(super) const MAX_RESUMES: u32 = 2;
