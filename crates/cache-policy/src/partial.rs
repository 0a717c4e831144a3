//! Partial content: parts of one representation, stored, combined, and answered from. RFC 9111 §3.3 and §3.4.

use bytes::Bytes;
use http::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, RANGE};
use smallvec::SmallVec;

use crate::conditional::{is_strong, strong_match};
use crate::range::{ByteRange, RangeSpec, if_range_holds, number, range_set};

/// `Content-Range` of a 206 with one part (RFC 9110 §14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// Which bytes.
    pub bytes: ByteRange,
    /// The length of the whole, where it is known.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Reads the field; `None` where it is not there once, in bytes, and valid.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(CONTENT_RANGE).iter();
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        let (unit, rest) = line.to_str().ok()?.trim().split_once(' ')?;
        let (range, complete) = rest.trim_start().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        // One that no number holds is none.
        let complete = if complete == "*" { None } else { Some(number(complete).filter(|length| *length < u64::MAX)?) };
        let valid = first <= last && last < u64::MAX && complete.is_none_or(|complete| last < complete);
        (unit.eq_ignore_ascii_case("bytes") && valid).then_some(Self { bytes: ByteRange { first, last }, complete })
    }
}

/// Parts of one representation: none overlaps another, they are in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    complete: Option<u64>,
    parts: Vec<Part>,
    /// The one request, and the answer's `Content-Range`, where only one has been stored so far.
    only: Option<(HeaderValue, HeaderValue)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    first: u64,
    bytes: Bytes,
}

/// What parts give for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartsAnswer {
    /// Not what it wants.
    Nothing,
    /// The answer that the same `Range` had, with its `Content-Range`.
    Again(HeaderValue, Bytes),
    /// These bytes, of a whole of that length, in pieces.
    Bytes(ByteRange, Option<u64>, Pieces),
}

/// Bytes that follow one another.
pub type Pieces = SmallVec<[Bytes; 1]>;

impl Parts {
    /// What a 206 with these headers brought for a request. `None` where it brought more than it announces, or nothing. If
    /// it brought less, those bytes are what is known: like any incomplete response it is stored as that (§3.3).
    #[must_use]
    pub fn of(request: &HeaderMap, headers: &HeaderMap, bytes: Bytes) -> Option<Self> {
        let range = ContentRange::parse(headers)?;
        let length = bytes.len() as u64;
        if length == 0 || length > range.bytes.len() {
            return None;
        }
        // The very same request gets the origin's own answer again. One that announced more than it brought is not repeated,
        // but to who asks for the last so many bytes: which those are, only the origin can say.
        let honest = length == range.bytes.len() || asks_for_suffix(request);
        let answered = headers.get(CONTENT_RANGE).filter(|_| honest);
        let only = request.get(RANGE).cloned().zip(answered.cloned());
        Some(Self { complete: range.complete, parts: vec![Part { first: range.bytes.first, bytes }], only })
    }

    /// These parts and newer ones of the same representation; `None` where they cannot be of the same, or are too many.
    /// The caller has compared the validators ([`may_combine`]).
    #[must_use]
    pub fn with(&self, newer: &Self) -> Option<Self> {
        if let (Some(one), Some(other)) = (self.complete, newer.complete)
            && one != other
        {
            return None;
        }
        let mut parts = newer.parts.clone();
        for part in &self.parts {
            add(&mut parts, part);
        }
        let parts = joined(parts);
        let complete = self.complete.or(newer.complete);
        let end = parts.last().map_or(0, Part::end);
        let fits = complete.is_none_or(|complete| end <= complete) && parts.len() <= MAX_PARTS;
        fits.then_some(Self { complete, parts, only: None })
    }

    /// All bytes of the representation, if they are here.
    #[must_use]
    pub fn whole(&self) -> Option<Pieces> {
        self.slice(ByteRange { first: 0, last: self.complete?.checked_sub(1)? })
    }

    /// The bytes from the first on, as far as they are here without a gap.
    #[must_use]
    pub fn prefix(&self) -> Option<Pieces> {
        let mut end = 0;
        let pieces: Pieces = self
            .parts
            .iter()
            .take_while(|part| {
                let follows = part.first == end;
                end = part.end();
                follows
            })
            .map(|part| part.bytes.clone())
            .collect();
        (!pieces.is_empty()).then_some(pieces)
    }

    /// The length of the whole, where it is known.
    #[must_use]
    pub const fn complete(&self) -> Option<u64> {
        self.complete
    }

    /// How many bytes are here.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.len() as u64).sum()
    }

    /// Bytes that they occupy beside those, nearly.
    #[must_use]
    pub fn overhead(&self) -> usize {
        let fields = self.only.iter().map(|(asked, answered)| asked.len() + answered.len()).sum::<usize>();
        self.parts.capacity() * (size_of::<Part>() + SHARED) + fields
    }

    /// What they give for a request, whose conditions the caller has looked at but for `If-Range`. §3.3: only a range that
    /// lies within one stored without a gap, or the very same request again.
    #[must_use]
    pub fn answer(&self, request: &HeaderMap, headers: &HeaderMap) -> PartsAnswer {
        if !if_range_holds(request, headers) {
            return PartsAnswer::Nothing;
        }
        if let (Some((asked, answered)), [part]) = (&self.only, &*self.parts)
            && request.get(RANGE) == Some(asked)
        {
            return PartsAnswer::Again(answered.clone(), part.bytes.clone());
        }
        let found = range_set(request).filter(|set| set.len() == 1).and_then(|set| {
            // Where the length is not known, only what needs none can be told: the bytes up to a named one.
            let length = self.complete.or_else(|| set[0].needs_no_length().then_some(u64::MAX))?;
            let range = set[0].within(length)?;
            Some((range, self.slice(range)?))
        });
        found.map_or(PartsAnswer::Nothing, |(range, pieces)| PartsAnswer::Bytes(range, self.complete, pieces))
    }

    fn slice(&self, range: ByteRange) -> Option<Pieces> {
        let mut pieces = Pieces::new();
        let mut next = range.first;
        for part in self.parts.iter().filter(|part| part.end() > range.first) {
            if part.first > next {
                return None;
            }
            let from = usize::try_from(next - part.first).ok()?;
            let to = usize::try_from((range.last + 1).min(part.end()) - part.first).ok()?;
            pieces.push(part.bytes.slice(from..to));
            next = part.first + to as u64;
            if next > range.last {
                return Some(pieces);
            }
        }
        None
    }
}

impl Part {
    /// The place after its last byte.
    fn end(&self) -> u64 {
        self.first + self.bytes.len() as u64
    }

    /// Of a piece of a part: with bytes of its own, for the whole part's would stay in memory that nobody counts.
    fn cut_from(self, whole: &Self) -> Self {
        if self.bytes.len() == whole.bytes.len() {
            return self;
        }
        Self { bytes: Bytes::copy_from_slice(&self.bytes), ..self }
    }
}

/// §3.4: may two partial responses with these headers be combined? Only under one strong validator.
#[must_use]
pub fn may_combine(one: &HeaderMap, other: &HeaderMap) -> bool {
    match (one.get(ETAG), other.get(ETAG)) {
        (Some(a), Some(b)) => strong_match(a.as_bytes(), b.as_bytes()),
        _ => false,
    }
}

/// The strong validator by which the rest of an incomplete response can be asked for.
#[must_use]
pub fn strong_etag(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(ETAG).filter(|etag| is_strong(etag.as_bytes()))
}

fn asks_for_suffix(request: &HeaderMap) -> bool {
    range_set(request).is_some_and(|set| matches!(*set, [RangeSpec::Suffix(_)]))
}

/// Adds what of `part` is not there yet.
fn add(parts: &mut Vec<Part>, part: &Part) {
    let mut rest = part.clone();
    let mut at = 0;
    while at < parts.len() && !rest.bytes.is_empty() {
        let (first, end) = (parts[at].first, parts[at].end());
        if rest.first < first {
            let before = usize::try_from(first - rest.first).unwrap_or(usize::MAX).min(rest.bytes.len());
            let bytes = rest.bytes.split_to(before);
            parts.insert(at, Part { first: rest.first, bytes }.cut_from(part));
            rest.first += before as u64;
            at += 1;
        }
        let held = usize::try_from(end.saturating_sub(rest.first)).unwrap_or(usize::MAX).min(rest.bytes.len());
        if rest.first >= first {
            rest.bytes = rest.bytes.slice(held..);
            rest.first += held as u64;
        }
        at += 1;
    }
    if !rest.bytes.is_empty() {
        parts.push(rest.cut_from(part));
    }
}

/// Parts that follow one another as one, while they are small: many of them would cost more than their bytes.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut all: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match all.last_mut() {
            Some(last) if last.end() == part.first && last.bytes.len() + part.bytes.len() <= SMALL => {
                last.bytes = [&*last.bytes, &*part.bytes].concat().into();
            }
            _ => all.push(part),
        }
    }
    all
}

/// What a piece of bytes costs once it is shared.
const SHARED: usize = 48;

/// Parts together no longer than this become one.
const SMALL: usize = 16 << 10;

/// More parts of one representation are not combined.
const MAX_PARTS: usize = 1024;

#[cfg(test)]
mod tests;
