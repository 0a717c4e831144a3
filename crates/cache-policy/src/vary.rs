//! `Vary`: which request fields select among the responses of one URL. RFC 9111 §4.1, RFC 9110 §12.5.5.

use holm_model::manifest::Languages;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, COOKIE, DATE,
    FROM, HOST, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_RANGE, IF_UNMODIFIED_SINCE, MAX_FORWARDS, ORIGIN,
    PROXY_AUTHORIZATION, RANGE, REFERER, USER_AGENT, VARY,
};
use smallvec::SmallVec;

use crate::language;
use crate::members::{compare_words, each_word, weighted};

/// The fields that a response varies by, in alphabetical order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarySpec(SmallVec<[HeaderName; 2]>);

/// The values that one request has for these fields, brought to a common form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaryValues(SmallVec<[Option<Value>; 2]>);

/// One of them. What browsers send to choose by needs no allocation.
pub(crate) type Value = SmallVec<[u8; 64]>;

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
        Self(spec.0.iter().map(|name| selecting(name, request, languages)).collect())
    }

    /// Bytes that they hold beside what they are.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.0.iter().map(|value| size_of::<Option<Value>>() + value.as_ref().map_or(0, SmallVec::len)).sum()
    }

    /// Each value in the order of the spec; `None` for a field that the request lacks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.0.iter().map(Option::as_deref)
    }
}

/// §4.1 allows what the field's own definition knows to be without meaning. Of lists that is the space around commas and
/// the lines that they are spread over; of the two by which nearly every client chooses in its own words, the order and
/// the case too. What else may differ, differs: one client's strange value is not to select what all others get.
fn selecting(name: &HeaderName, request: &HeaderMap, languages: &Languages) -> Option<Value> {
    if *name == ACCEPT_LANGUAGE {
        return language::selecting(request, languages);
    }
    if !request.contains_key(name) {
        return None;
    }
    let quoted = |request: &HeaderMap| request.get_all(name).iter().any(|line| line.as_bytes().contains(&b'"'));
    Some(if *name == ACCEPT_ENCODING {
        accepted_codings(request).unwrap_or_else(|| as_it_stands(request, name, b", "))
    } else if *name == COOKIE {
        // RFC 9113 §8.2.3.
        as_it_stands(request, name, b"; ")
    } else if NO_LISTS.contains(name) {
        // Several lines are not one with commas.
        as_it_stands(request, name, b"\n")
    } else if quoted(request) {
        // A comma in quotes parts nothing, and readers differ in where quotes end.
        as_it_stands(request, name, b", ")
    } else {
        listed(request, name)
    })
}

/// A field's lines, without the space around each.
pub(crate) fn as_it_stands(request: &HeaderMap, name: &HeaderName, between: &[u8]) -> Value {
    let mut text = Value::new();
    for (index, line) in request.get_all(name).iter().enumerate() {
        if index > 0 {
            text.extend_from_slice(between);
        }
        text.extend_from_slice(line.as_bytes().trim_ascii());
    }
    text
}

/// The members of a list, without the space around each. RFC 9110 §5.6.1.2 has recipients ignore the empty ones, but not
/// all do.
fn listed(request: &HeaderMap, name: &HeaderName) -> Value {
    let mut text = Value::new();
    let lines = request.get_all(name).iter();
    for (index, member) in lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(member.trim_ascii());
    }
    text
}

/// RFC 9110 §12.5.3: what the client accepts, each coding once. How much it wants each is not kept: it takes any. What
/// it refuses is kept where it would be accepted if nothing were said of it: `identity`, and beside `*` everything.
/// `None` where anything else is said than that.
fn accepted_codings(request: &HeaderMap) -> Option<Value> {
    let codings = each_word(request, &ACCEPT_ENCODING, coding)?;
    let named = |name: &[u8]| codings.iter().any(|coding| !coding.refused && coding.name.eq_ignore_ascii_case(name));
    let any = named(b"*");
    let counts = |coding: &Coding<'_>| {
        let by_default = any || coding.name.eq_ignore_ascii_case(IDENTITY);
        !coding.refused || (by_default && !named(coding.name))
    };
    let mut kept: SmallVec<[&Coding<'_>; 8]> = codings.iter().filter(|coding| counts(coding)).collect();
    kept.sort_unstable_by(|a, b| compare_words(a.name, b.name));
    kept.dedup_by(|b, a| a.name.eq_ignore_ascii_case(b.name));
    let mut text = Value::new();
    for coding in kept {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend(coding.name.iter().map(u8::to_ascii_lowercase));
        text.extend_from_slice(if coding.refused { b";q=0" } else { b"" });
    }
    Some(text)
}

/// A member of `Accept-Encoding`.
struct Coding<'a> {
    name: &'a [u8],
    refused: bool,
}

fn coding(member: &[u8]) -> Option<Coding<'_>> {
    let (name, weight) = weighted(member)?;
    let is_token = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
    let refused = weight == 0;
    let name = match name {
        // `*;q=0` refuses what is not named, and that is of note of `identity` only.
        b"*" if refused => IDENTITY,
        // §8.4.1: the older name of the same.
        name if name.eq_ignore_ascii_case(b"x-gzip") => b"gzip",
        name => name,
    };
    is_token.then_some(Coding { name, refused })
}

const IDENTITY: &[u8] = b"identity";

/// Fields whose values are no lists: a comma in them, and the space beside it, is part of the value.
const NO_LISTS: [HeaderName; 16] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_TYPE,
    DATE,
    FROM,
    HOST,
    IF_MODIFIED_SINCE,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    MAX_FORWARDS,
    ORIGIN,
    PROXY_AUTHORIZATION,
    RANGE,
    REFERER,
    USER_AGENT,
];

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
        // RFC 9110 §5.6.1.2: not every recipient ignores them.
        check("x", &[("x", "1,")], &[("x", "1")], false);
        check("x", &[("x", "1"), ("x", "")], &[("x", "1")], false);
        check("x", &[("x", "\"a, b\"")], &[("x", "\"a,b\"")], false);
        check("x", &[("x", "\"a\""), ("x", "b")], &[("x", "\"a\", b")], true);
        // No lists.
        check("origin", &[("origin", "https://a,")], &[("origin", "https://a")], false);
        check("origin", &[("origin", "https://a, x")], &[("origin", "https://a,x")], false);
        check("origin", &[("origin", "a"), ("origin", "b")], &[("origin", "a, b")], false);
        check("origin", &[("origin", " https://a ")], &[("origin", "https://a")], true);
        check("user-agent", &[("user-agent", "a, b")], &[("user-agent", "a,b")], false);
        check("referer", &[("referer", "/a, b")], &[("referer", "/a,b")], false);
        check("authorization", &[("authorization", "x a, b")], &[("authorization", "x a,b")], false);
        // RFC 9113 §8.2.3.
        check("cookie", &[("cookie", "a=1"), ("cookie", "b=2")], &[("cookie", "a=1; b=2")], true);
        check("cookie", &[("cookie", "a=1"), ("cookie", "b=2")], &[("cookie", "a=1,b=2")], false);
        check("cookie", &[("cookie", "a=1, b=2")], &[("cookie", "a=1,b=2")], false);
        check(
            "accept-encoding",
            &[("accept-encoding", "gzip"), ("accept-encoding", "br")],
            &[("accept-encoding", "BR,gzip")],
            true,
        );
        check(
            "accept-encoding",
            &[("accept-encoding", "\"a"), ("accept-encoding", "b\"")],
            &[("accept-encoding", "\"a,b\"")],
            false,
        );
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
            assert_eq!(values.iter().next().flatten(), Some(expected.as_bytes()), "{field}");
        };
        check("", "");
        check("gzip, br", "br,gzip");
        check("BR;q=0.5,gzip", "br,gzip");
        check("x-gzip, gzip", "gzip");
        check("gzip;q=0", "");
        check("gzip; q=0.000, br", "br");
        check("gzip;q=0.001", "gzip");
        // Malformed: as it stands.
        check("gzip;q=nan", "gzip;q=nan");
        check("gzip;q=0.5;x", "gzip;q=0.5;x");
        check("gzip, ", "gzip,");
        check("BR, , gzip", "BR, , gzip");
        check("br gzip", "br gzip");
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
