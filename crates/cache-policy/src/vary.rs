//! `Vary`: which request fields select among the responses of one URL. RFC 9111 §4.1, RFC 9110 §12.5.5.

use holm_model::limits::MAX_VARY_FIELDS;
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

/// A spec with the values that a request has for it, as one run of bytes: it stays with every response that varies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected(Box<[u8]>);

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

    /// Adds the form in which it outlives the process: the names with commas between.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (index, name) in self.0.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b"," } else { b"" });
            out.extend_from_slice(name.as_str().as_bytes());
        }
    }

    /// Reads what [`VarySpec::encode`] wrote; `None` where it did not.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let names = bytes.split(|byte| *byte == b',').map(|name| HeaderName::from_lowercase(name).ok());
        let names: SmallVec<[HeaderName; 2]> = names.collect::<Option<_>>()?;
        let in_order = names.is_sorted_by(|a, b| a.as_str() < b.as_str());
        (in_order && names.len() <= MAX_VARY_FIELDS).then_some(Self(names))
    }

    /// Bytes that it occupies beside itself.
    #[must_use]
    pub fn weight(&self) -> usize {
        let names: usize = self.0.iter().map(|name| name.as_str().len()).sum();
        names + if self.0.spilled() { self.0.capacity() * size_of::<HeaderName>() } else { 0 }
    }
}

impl Selected {
    /// What a response that varies by `spec` was selected by.
    #[must_use]
    pub fn of(spec: &VarySpec, values: &VaryValues) -> Self {
        let mut run = Vec::new();
        for (name, value) in spec.0.iter().zip(values.iter()) {
            put(&mut run, Some(name.as_str().as_bytes()));
            put(&mut run, value);
        }
        Self(run.into())
    }

    /// Does a request select the same? `languages` says how `Accept-Language` selects.
    #[must_use]
    pub fn selected_by(&self, request: &HeaderMap, languages: &Languages) -> bool {
        self.fields().all(|(name, value)| {
            let name = HeaderName::from_lowercase(name);
            name.is_ok_and(|name| selecting(&name, request, languages).as_deref() == value)
        })
    }

    /// The form in which it outlives the process.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads what [`Selected::as_bytes`] gave; `None` where it did not.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut names: SmallVec<[&[u8]; 4]> = SmallVec::new();
        while !rest.is_empty() {
            names.push(take(&mut rest)??);
            take(&mut rest)?;
        }
        let valid = names.iter().all(|name| HeaderName::from_lowercase(name).is_ok());
        let in_order = !names.is_empty() && names.is_sorted_by(|a, b| a < b) && names.len() <= MAX_VARY_FIELDS;
        (valid && in_order).then(|| Self(bytes.into()))
    }

    /// Bytes that it occupies beside itself.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.0.len()
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || Some((take(&mut rest)??, take(&mut rest)?)))
    }
}

/// Its length and one more, in four bytes, before a text; zero for none.
fn put(run: &mut Vec<u8>, text: Option<&[u8]>) {
    let length = text.map_or(0, |text| u32::try_from(text.len() + 1).expect("invariant: a head is short"));
    run.extend_from_slice(&length.to_le_bytes());
    run.extend_from_slice(text.unwrap_or_default());
}

/// The next text, or none, of a run; `None` where there is no such thing.
fn take<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    let Some(length) = u32::from_le_bytes(*length).checked_sub(1) else { return Some(None) };
    let (text, after) = after.split_at_checked(length as usize)?;
    *rest = after;
    Some(Some(text))
}

impl VaryValues {
    /// The values of a request. `languages` says how `Accept-Language` selects.
    #[must_use]
    pub fn of(spec: &VarySpec, request: &HeaderMap, languages: &Languages) -> Self {
        Self(spec.0.iter().map(|name| selecting(name, request, languages)).collect())
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
        let written = |spec: VarySpec| {
            let mut written = Vec::new();
            spec.encode(&mut written);
            written
        };
        assert_eq!(VarySpec::decode(b"a,b").map(written).as_deref(), Some(b"a,b".as_slice()));
        for other in [b"".as_slice(), b"b,a", b"a,a", b"A", b"a,", b"a b", b"\xff"] {
            assert_eq!(VarySpec::decode(other), None, "{other:?}");
        }
    }

    #[test]
    fn selection() {
        let check = |vary: &str, one: &[(&'static str, &str)], other: &[(&'static str, &str)], same: bool| {
            let spec = VarySpec::of(&headers(&[("vary", vary)])).unwrap();
            let values = |fields| VaryValues::of(&spec, &headers(fields), &Languages::Normalised);
            let equal = values(one) == values(other);
            assert_eq!(equal, same, "{vary}: {one:?} and {other:?}");
            let selected = Selected::of(&spec, &values(one));
            assert_eq!(Selected::decode(selected.as_bytes()), Some(selected.clone()), "{vary}: {one:?}");
            assert_eq!(selected.selected_by(&headers(other), &Languages::Normalised), same, "{vary}: {other:?}");
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
