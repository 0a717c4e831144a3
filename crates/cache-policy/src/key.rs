//! Cache keys: what makes two requests ask for the same stored response.
//!
//! A rule that leaves something out of the key promises that origins do not answer by it. So wherever readers of a query
//! or of a cookie differ, a part enters that any of them may take for one that counts: the price is a miss, while the
//! other choice would let one client choose what all others get (docs/cache-safety.md).

mod cookies;
mod explain;
mod query;
mod text;

use holm_model::manifest::KeyRule;
use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderValue};

pub use self::explain::{Explanation, KeyPart};
use self::text::KeyText;
use crate::vary::VaryValues;

/// A cache key: 128 bits of BLAKE3. Two requests share one only if they are the same in all that enters it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(pub u128);

/// What a key is made of, by the route's rule.
#[derive(Debug, Clone, Copy)]
pub struct KeyInput<'a> {
    /// The site (or what stands for it).
    pub site: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Lower case, without a port.
    pub host: &'a str,
    /// Empty for the scheme's own. The origin sees which one the client named, and may write it into its response.
    pub port: &'a str,
    /// In its normal form ([`holm_model::path::normalise`]).
    pub path: &'a str,
    /// As the client wrote it, without the question mark.
    pub query: Option<&'a str>,
    /// The request's fields, of which the rule takes some.
    pub request: &'a HeaderMap,
    /// The digest of a QUERY's content and its type. Absent for GET and HEAD, which share what is stored.
    pub content: Option<[u8; 32]>,
    /// What of all this enters.
    pub rule: &'a KeyRule,
}

impl CacheKey {
    /// The key of a URL: where its response stands, or the list of the fields that its responses vary by. Nothing is
    /// allocated for a rule without `sort` and a URL of usual length.
    #[must_use]
    pub fn primary(input: &KeyInput<'_>) -> Self {
        let mut text = KeyText::new();
        input.each_part(&mut |part| text.part(part));
        text.finish()
    }

    /// The key of the variant that these values select.
    #[must_use]
    pub fn variant(self, values: &VaryValues) -> Self {
        let mut text = KeyText::new();
        text.part(Part::Primary(&self.0.to_le_bytes()));
        for value in values.iter() {
            text.part(value.map_or(Part::Absent, Part::Selecting));
        }
        text.finish()
    }
}

/// The digest of a QUERY's content, which names its response as its URI does, with all lines of the fields that say what
/// it is.
#[must_use]
pub fn content_digest(request: &HeaderMap, content: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
        let lines = request.get_all(name);
        hasher.update(&(lines.iter().count() as u64).to_le_bytes());
        for line in lines.iter().map(HeaderValue::as_bytes) {
            hasher.update(&(line.len() as u64).to_le_bytes()).update(line);
        }
    }
    hasher.update(content);
    *hasher.finalize().as_bytes()
}

impl<'a> KeyInput<'a> {
    /// Gives every part that enters, in order. The parts of a rule that leaves something out begin with that rule: when
    /// a release changes it, what was stored under the old one is not found.
    fn each_part(&self, give: &mut impl FnMut(Part<'a>)) {
        give(Part::Site(self.site));
        give(Part::Scheme(self.scheme));
        if self.rule.share_hosts {
            give(Part::AnyHost);
        } else {
            give(Part::Host(self.host));
            give(Part::Port(self.port));
        }
        give(Part::Path(self.path));
        query::each_part(self.query, self.rule, give);
        for name in &self.rule.headers {
            give(Part::Field(name));
            each_member(self.request, name, give);
        }
        cookies::each_part(self.request, &self.rule.cookies, give);
        if let Some(digest) = self.content {
            give(Part::Content(digest));
        }
    }
}

/// The members of a field's value, whose lines make one list (RFC 9110 §5.3). A value with quotes may hold commas that
/// part nothing, and counts as one.
fn each_member<'a>(request: &'a HeaderMap, name: &str, give: &mut impl FnMut(Part<'a>)) {
    for line in request.get_all(name) {
        let line = line.as_bytes();
        if line.contains(&b'"') {
            give(Part::FieldValue(line.trim_ascii()));
        } else {
            line.split(|byte| *byte == b',').for_each(|member| give(Part::FieldValue(member.trim_ascii())));
        }
    }
}

/// One part of the text that a key is the hash of.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Site(&'a str),
    Scheme(&'a str),
    Host(&'a str),
    Port(&'a str),
    /// In the place of host and port.
    AnyHost,
    Path(&'a str),
    /// A query as it stands.
    Query(&'a str),
    /// The rule: no query.
    NoQuery,
    /// The rule: parameters in the order of their names.
    Sorted,
    /// The rule: only parameters of this name and of others.
    Listed(&'a str),
    /// The rule: no parameters of this name and of others.
    Ignored(&'a str),
    /// `name=value` of a query.
    Parameter(&'a str),
    /// A field of this name enters; its values follow.
    Field(&'a str),
    FieldValue(&'a [u8]),
    /// A cookie of this name enters; `name=value` of each one follows.
    Cookie(&'a str),
    CookiePair(&'a [u8]),
    /// A whole line of cookies that readers take apart in different ways.
    CookieLine(&'a [u8]),
    Content([u8; 32]),
    /// The key of the URL that this is a variant of.
    Primary(&'a [u8]),
    /// A value that selects a variant.
    Selecting(&'a [u8]),
    /// The request lacks a field that selects.
    Absent,
}

impl Part<'_> {
    /// What tells it from the others, and its bytes. The numbers are not kept: nothing outlives the process.
    fn tagged(&self) -> (u8, &[u8]) {
        match self {
            Self::Site(text) => (1, text.as_bytes()),
            Self::Scheme(text) => (2, text.as_bytes()),
            Self::Host(text) => (3, text.as_bytes()),
            Self::Port(text) => (4, text.as_bytes()),
            Self::AnyHost => (5, b""),
            Self::Path(text) => (6, text.as_bytes()),
            Self::Query(text) => (7, text.as_bytes()),
            Self::NoQuery => (8, b""),
            Self::Sorted => (9, b""),
            Self::Listed(text) => (10, text.as_bytes()),
            Self::Ignored(text) => (11, text.as_bytes()),
            Self::Parameter(text) => (12, text.as_bytes()),
            Self::Field(text) => (13, text.as_bytes()),
            Self::FieldValue(bytes) => (14, bytes),
            Self::Cookie(text) => (15, text.as_bytes()),
            Self::CookiePair(bytes) => (16, bytes),
            Self::CookieLine(bytes) => (17, bytes),
            Self::Content(digest) => (18, digest),
            Self::Primary(bytes) => (19, bytes),
            Self::Selecting(bytes) => (20, bytes),
            Self::Absent => (21, b""),
        }
    }
}

#[cfg(test)]
mod tests;
