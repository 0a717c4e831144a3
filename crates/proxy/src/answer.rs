//! Answers: a response for one client made of a stored one, or of nothing but an error.

use bytes::Bytes;
use holm_cache_policy::{
    ByteRange, Conditional, PartsAnswer, RangeSelection, StoredMeta, evaluate_conditions, select_range, write_age,
};
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, RANGE,
};
use http::{Method, Request, Response, StatusCode};
use smallvec::SmallVec;

use crate::pieces::{self, Multipart, Piece};
use crate::slices::{Held, Sliced};
use crate::stored::{StoredParts, StoredResponse};

/// Where the bytes of an answer come from.
pub(crate) enum Source {
    /// All of them are here.
    Whole(Bytes),
    /// All that the answer needs of them is here, in slices.
    Held(Held),
    /// They are kept in slices.
    Sliced(Box<Sliced>),
    /// They arrive.
    Stream(Body),
}

/// The answer to `request` that a stored response gives: whole, parts of it (206), nothing new (304), or none (416).
pub(crate) fn from_stored(
    request: &Request<Body>,
    head: &StoredResponse,
    source: Source,
    now: Timestamp,
) -> Response<Body> {
    let head = DecodedHead::of(head);
    match head.choose(request, source.length()) {
        Choice::Whole => head.whole(request.method(), source, now),
        Choice::NotModified => head.not_modified(now),
        Choice::Unsatisfiable(length) => unsatisfiable(length),
        Choice::Parts(length, ranges) => match *ranges {
            [range] => head.part(content_range(range, Some(length)), source.body([Piece::Of(range)]), now),
            _ => head.several(source, (length, &ranges), now),
        },
    }
}

/// The bytes of a stored response of this length that [`from_stored`] sends to this request.
pub(crate) fn needed(request: &Request<Body>, head: &StoredResponse, length: u64) -> SmallVec<[ByteRange; 1]> {
    if *request.method() == Method::HEAD {
        return SmallVec::new();
    }
    match DecodedHead::of(head).choose(request, Some(length)) {
        Choice::Whole => length.checked_sub(1).map(|last| ByteRange { first: 0, last }).into_iter().collect(),
        Choice::NotModified | Choice::Unsatisfiable(_) => SmallVec::new(),
        Choice::Parts(_, ranges) => ranges,
    }
}

/// What a stored response gives to a request.
enum Choice {
    Whole,
    NotModified,
    /// Of a body of this length.
    Unsatisfiable(u64),
    /// These ranges of a body of this length.
    Parts(u64, SmallVec<[ByteRange; 1]>),
}

impl Source {
    /// How long the whole is, where any bytes of it can be had.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Held(held) => Some(held.length()),
            Self::Sliced(sliced) => Some(sliced.length()),
            Self::Stream(_) => None,
        }
    }

    /// A body of these pieces of it; what streams gives all of itself.
    fn body(self, wanted: impl IntoIterator<Item = Piece>) -> Body {
        match self {
            Self::Whole(bytes) => pieces::body_of(wanted.into_iter().map(|piece| piece.of(&bytes))),
            Self::Held(held) => held.body(wanted),
            Self::Sliced(sliced) => sliced.body(wanted),
            Self::Stream(body) => body,
        }
    }

    fn into_whole(self) -> Body {
        match self {
            Self::Whole(bytes) => Body::full(bytes),
            Self::Stream(body) => body,
            Self::Held(_) | Self::Sliced(_) => {
                let last = self.length().unwrap_or_default().saturating_sub(1);
                self.body([Piece::Of(ByteRange { first: 0, last })])
            }
        }
    }
}

/// The answer that stored parts of a response give; `None` where the request wants bytes that are not among them.
pub(crate) fn from_parts(request: &Request<Body>, stored: &StoredParts, now: Timestamp) -> Option<Response<Body>> {
    let (wanted, head) = (request.headers(), DecodedHead::of(&stored.head));
    if evaluate_conditions(request.method(), wanted, &head.headers) == Conditional::NotModified {
        return Some(head.not_modified(now));
    }
    match stored.parts.answer(wanted, &head.headers) {
        PartsAnswer::Nothing => None,
        PartsAnswer::Again(range, bytes) => Some(head.part(Some(range), Body::full(bytes), now)),
        PartsAnswer::Bytes(range, complete, bytes) => {
            Some(head.part(content_range(range, complete), pieces::body_of(bytes), now))
        }
    }
}

/// An error made here: a short text that names the reason, not to be stored.
pub(crate) fn error(status: StatusCode, reason: &str) -> Response<Body> {
    let text = format!("{} {}: {reason}\n", status.as_u16(), status.canonical_reason().unwrap_or("error"));
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The common case of a hit: no condition, no range.
fn is_plain(headers: &HeaderMap) -> bool {
    !SELECTIVE.iter().any(|name| headers.contains_key(name))
}

/// The whole of a response.
pub(crate) fn whole(method: &Method, head: &StoredResponse, source: Source, now: Timestamp) -> Response<Body> {
    DecodedHead::of(head).whole(method, source, now)
}

/// The head of a stored response, whose fields become those of an answer.
struct DecodedHead<'a> {
    status: StatusCode,
    headers: HeaderMap,
    meta: &'a StoredMeta,
}

impl<'a> DecodedHead<'a> {
    fn of(head: &'a StoredResponse) -> Self {
        Self { status: head.status, headers: head.headers(), meta: &head.meta }
    }

    /// `length` is the body's, where its bytes can be chosen from.
    fn choose(&self, request: &Request<Body>, length: Option<u64>) -> Choice {
        let wanted = request.headers();
        if is_plain(wanted) || self.status != StatusCode::OK {
            return Choice::Whole;
        }
        if evaluate_conditions(request.method(), wanted, &self.headers) == Conditional::NotModified {
            return Choice::NotModified;
        }
        // RFC 9110 §14.2: a range means something to GET only.
        let Some(length) = length.filter(|_| *request.method() == Method::GET) else { return Choice::Whole };
        match select_range(wanted, &self.headers, length) {
            RangeSelection::Whole => Choice::Whole,
            RangeSelection::Unsatisfiable => Choice::Unsatisfiable(length),
            RangeSelection::Parts(ranges) => Choice::Parts(length, ranges),
        }
    }

    fn whole(self, method: &Method, source: Source, now: Timestamp) -> Response<Body> {
        let body = if *method == Method::HEAD { Body::empty() } else { source.into_whole() };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        write_age(response.headers_mut(), self.meta, now);
        response
    }

    /// RFC 9110 §15.3.7.1.
    fn part(self, range: Option<HeaderValue>, body: Body, now: Timestamp) -> Response<Body> {
        let length = body.held_len().or_else(|| body.exact_len());
        let mut response = self.whole(&Method::GET, Source::Stream(body), now);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let headers = response.headers_mut();
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if let Some(range) = range {
            headers.insert(CONTENT_RANGE, range);
        }
        response
    }

    /// RFC 9110 §15.3.7.2: each part bears its own range, the whole response none.
    fn several(self, source: Source, (complete, ranges): (u64, &[ByteRange]), now: Timestamp) -> Response<Body> {
        let Multipart { content_type, pieces } = Multipart::new(complete, ranges, self.headers.get(CONTENT_TYPE));
        let length: u64 = pieces.iter().map(Piece::length).sum();
        let mut response = self.whole(&Method::GET, Source::Stream(source.body(pieces)), now);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let headers = response.headers_mut();
        headers.remove(CONTENT_RANGE);
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        response
    }

    /// RFC 9110 §15.4.5: what a 200 would have said, but for what tells of the bytes: a cache before us brings its copy up
    /// to date by it.
    fn not_modified(self, now: Timestamp) -> Response<Body> {
        let mut response = self.whole(&Method::HEAD, Source::Whole(Bytes::new()), now);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        for name in FORM {
            response.headers_mut().remove(name);
        }
        response
    }
}

fn content_range(range: ByteRange, complete: Option<u64>) -> Option<HeaderValue> {
    let ByteRange { first, last } = range;
    let text = match complete {
        Some(complete) => format!("bytes {first}-{last}/{complete}"),
        None => format!("bytes {first}-{last}/*"),
    };
    HeaderValue::from_str(&text).ok()
}

/// RFC 9110 §15.5.17.
fn unsatisfiable(total: u64) -> Response<Body> {
    let mut response = with_status(StatusCode::RANGE_NOT_SATISFIABLE);
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{total}")) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

fn with_status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

const SELECTIVE: [HeaderName; 3] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE];
const FORM: [HeaderName; 2] = [CONTENT_LENGTH, CONTENT_RANGE];
