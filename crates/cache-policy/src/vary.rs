//! `Vary`: which request fields select among the responses of one URL. RFC 9111 §4.1, RFC 9110 §12.5.5.

use holm_model::manifest::Languages;
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderMap, HeaderName, VARY};
use smallvec::SmallVec;

use crate::language;
use crate::members::{members, split};

/// The fields that a response varies by, in alphabetical order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarySpec(SmallVec<[HeaderName; 2]>);

/// The values that one request has for these fields, brought to a common form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaryValues(SmallVec<[Option<String>; 2]>);

impl VarySpec {
    /// Reads `Vary`; `None` where the response does not vary. `*` is for [`crate::storable`] to refuse.
    #[must_use]
    pub fn of(response: &HeaderMap) -> Option<Self> {
        let mut names: SmallVec<[HeaderName; 2]> = response
            .get_all(VARY)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            .collect();
        names.sort_unstable_by(|a: &HeaderName, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        (!names.is_empty()).then_some(Self(names))
    }

    /// Is this the only field?
    #[must_use]
    pub fn is_only(&self, field: &HeaderName) -> bool {
        matches!(&*self.0, [only] if only == field)
    }

    /// Is this one of the fields?
    #[must_use]
    pub fn names(&self, field: &HeaderName) -> bool {
        self.0.contains(field)
    }
}

impl VaryValues {
    /// The values of a request. `languages` says how `Accept-Language` selects.
    #[must_use]
    pub fn of(spec: &VarySpec, request: &HeaderMap, languages: &Languages) -> Self {
        Self(spec.0.iter().map(|name| normalised(name, request, languages)).collect())
    }

    /// Each value in the order of the spec; `None` for a field that the request lacks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().map(Option::as_deref)
    }
}

/// §4.1 allows what is known to be without meaning: list whitespace, the lines a list is spread over; and for the two
/// fields that nearly every client words in its own way, the order and the case too.
fn normalised(name: &HeaderName, request: &HeaderMap, languages: &Languages) -> Option<String> {
    if *name == ACCEPT_LANGUAGE {
        return language::selecting(request, languages);
    }
    let mut lines = request.get_all(name).iter().peekable();
    lines.peek()?;
    if *name == ACCEPT_ENCODING {
        return Some(accepted_codings(request));
    }
    let text = lines.map(|value| text_of(value.as_bytes())).collect::<Vec<_>>().join(",");
    Some(text.split(',').map(str::trim).filter(|member| !member.is_empty()).collect::<Vec<_>>().join(","))
}

/// RFC 9110 §12.5.3: what the client accepts, each coding once. How much it wants each is not kept: it takes any. What
/// it refuses is kept where it would be accepted if nothing were said of it: `identity`, and beside `*` everything.
fn accepted_codings(request: &HeaderMap) -> String {
    let mut accepted: SmallVec<[String; 8]> = SmallVec::new();
    let mut refused: SmallVec<[String; 2]> = SmallVec::new();
    for member in members(request, &ACCEPT_ENCODING) {
        let mut parts = split(member, b';');
        let coding = text_of(parts.next().unwrap_or_default()).to_ascii_lowercase();
        // §8.4.1: the older name of the same.
        let coding = if coding == "x-gzip" { "gzip".to_owned() } else { coding };
        let refuses = parts.any(|part| language::weight_of(part) == Some(0));
        if refuses { refused.push(coding) } else { accepted.push(coding) }
    }
    let any = accepted.iter().any(|coding| coding == "*");
    // `*;q=0` refuses what is not named, and that is of note of `identity` only.
    if let Some(star) = refused.iter_mut().find(|coding| *coding == "*") {
        "identity".clone_into(star);
    }
    refused.retain(|coding| (any || coding == "identity") && !accepted.contains(coding));
    accepted.extend(refused.into_iter().map(|coding| coding + ";q=0"));
    accepted.sort_unstable();
    accepted.dedup();
    accepted.join(",")
}

/// A field's bytes as text: each byte is one character, so that different bytes stay different.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn specs() {
        let spec = |fields: &[(&'static str, &str)]| VarySpec::of(&headers(fields));
        assert_eq!(spec(&[]), None);
        assert_eq!(spec(&[("vary", "")]), None);
        assert_eq!(spec(&[("vary", "A, b"), ("vary", "a")]), spec(&[("vary", "b,a")]));
    }

    #[test]
    fn selection() {
        let check = |vary: &str, one: &[(&'static str, &str)], other: &[(&'static str, &str)], same: bool| {
            let spec = VarySpec::of(&headers(&[("vary", vary)])).unwrap();
            let values = |fields| VaryValues::of(&spec, &headers(fields), &Languages::Normalised);
            let equal = values(one) == values(other);
            assert_eq!(equal, same, "{vary}: {one:?} and {other:?}");
        };
        check("x", &[], &[], true);
        check("x", &[("x", "1")], &[], false);
        check("x", &[("x", "")], &[], false);
        check("x", &[("x", "1, 2")], &[("x", "1,2")], true);
        check("x", &[("x", "1"), ("x", "2")], &[("x", "1,2")], true);
        check("x", &[("x", "1")], &[("x", "2")], false);
        check("accept-language", &[("accept-language", "en, de")], &[("accept-language", "de,EN")], true);
        check("accept-language", &[("accept-language", "en, de")], &[("accept-language", "de")], false);
        check("accept-language", &[("accept-language", "en")], &[], false);
    }

    /// RFC 9110 §12.5.3.
    #[test]
    fn codings() {
        let check = |field: &str, expected: &str| {
            let spec = VarySpec::of(&headers(&[("vary", "accept-encoding")])).unwrap();
            let values = VaryValues::of(&spec, &headers(&[("accept-encoding", field)]), &Languages::Normalised);
            assert_eq!(values.iter().next().flatten(), Some(expected), "{field}");
        };
        check("", "");
        check("gzip, br", "br,gzip");
        check("BR;q=0.5,gzip", "br,gzip");
        check("x-gzip, gzip", "gzip");
        check("gzip;q=0", "");
        check("gzip; q=0.000, br", "br");
        check("gzip;q=0.001", "gzip");
        check("gzip;q=nan", "gzip");
        // A coding that we do not know may be what the origin answers in.
        check("dcb, gzip", "dcb,gzip");
        check("identity", "identity");
        check("identity;q=0, gzip", "gzip,identity;q=0");
        check("*;q=0, gzip", "gzip,identity;q=0");
        check("*;q=0, identity", "identity");
        check("*", "*");
        check("*, br;q=0", "*,br;q=0");
    }
}
