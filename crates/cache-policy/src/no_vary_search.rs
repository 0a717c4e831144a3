//! `No-Vary-Search`: which parts of the query say nothing, by the response's own word. draft-ietf-httpbis-no-vary-search.

use std::borrow::Cow;

use holm_model::limits::MAX_NO_VARY_PARAMETERS;
use http::header::{HeaderMap, HeaderName};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sfv::{BareItem, Dictionary, InnerList, ListEntry};

use crate::codec::put;
use crate::targeted::dictionary;

/// §4: a URL search variance that is not the default one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NoVarySearch {
    /// The parameters that say something.
    params: Params,
    /// Does the order of the parameters' names say something?
    ordered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Params {
    /// All but these (`params=("a" "b")`; none of them without the key).
    Except(Vec<String>),
    /// None but these (`params, except=("a" "b")`).
    Only(Vec<String>),
}

impl NoVarySearch {
    /// §5.2: what a response says; `None` where all of the query counts as it stands, which is also what anything means
    /// that is not understood.
    #[must_use]
    pub fn of(response: &HeaderMap) -> Option<Self> {
        let dictionary = dictionary(response, &NO_VARY_SEARCH)?;
        let variance = Self { ordered: !key_order(&dictionary)?, params: params(&dictionary)? };
        (variance != Self::default()).then_some(variance)
    }

    /// §6: a text that two queries share exactly where this variance, which is part of it, makes them equivalent. What
    /// another response of the same path calls equivalent has another text: neither stands for the other. It is one for
    /// keys: nobody shall be sent it.
    #[must_use]
    pub fn equivalence(&self, query: Option<&str>) -> String {
        let (kind, names) = match &self.params {
            Params::Except(names) => ("except", names),
            Params::Only(names) => ("only", names),
        };
        let order = if self.ordered { "ordered" } else { "any-order" };
        // Neither an encoded name nor a canonical query has any of these separators.
        let names = names.iter().map(|name| format!(",{}", utf8_percent_encode(name, NON_ALPHANUMERIC)));
        format!("{order} {kind}{}?{}", names.collect::<String>(), self.canonical_query(query))
    }

    /// Adds the form in which it outlives the process.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(self, out);
    }

    /// Reads what [`NoVarySearch::encode`] wrote; `None` where it did not.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (variance, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        let names = variance.params.names();
        let is_set = names.is_sorted_by(|a, b| a < b) && names.len() <= MAX_NO_VARY_PARAMETERS;
        (rest.is_empty() && is_set && variance != Self::default()).then_some(variance)
    }

    /// Bytes that it occupies beside itself.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.params.names().iter().map(|name| size_of::<String>() + name.capacity()).sum()
    }

    fn canonical_query(&self, query: Option<&str>) -> String {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let mut pairs: Vec<_> = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .filter(|(name, _)| self.counts(name))
            .collect();
        if !self.ordered {
            // Stable: among equal names the order says something.
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    fn counts(&self, name: &str) -> bool {
        let named = self.params.names().iter().any(|named| named == name);
        named == matches!(self.params, Params::Only(_))
    }
}

impl Params {
    fn names(&self) -> &[String] {
        match self {
            Self::Except(names) | Self::Only(names) => names,
        }
    }
}

impl Default for NoVarySearch {
    /// §4: everything says something.
    fn default() -> Self {
        Self { params: Params::Except(Vec::new()), ordered: true }
    }
}

/// `None` for what makes the whole field invalid.
fn key_order(dictionary: &Dictionary) -> Option<bool> {
    match dictionary.get("key-order") {
        None => Some(false),
        Some(entry) => boolean(entry),
    }
}

/// §5.1; `None` for what makes the whole field invalid.
fn params(dictionary: &Dictionary) -> Option<Params> {
    match (dictionary.get("params"), dictionary.get("except")) {
        (None, None) => Some(Params::Except(Vec::new())),
        (Some(ListEntry::InnerList(list)), None) => Some(Params::Except(names(list)?)),
        (Some(item), None) => Some(if boolean(item)? { Params::Only(Vec::new()) } else { Params::Except(Vec::new()) }),
        (Some(item), Some(ListEntry::InnerList(list))) if boolean(item)? => Some(Params::Only(names(list)?)),
        _ => None,
    }
}

fn boolean(entry: &ListEntry) -> Option<bool> {
    match entry {
        ListEntry::Item(item) => item.bare_item.as_boolean(),
        ListEntry::InnerList(_) => None,
    }
}

fn names(list: &InnerList) -> Option<Vec<String>> {
    let name = |item: &BareItem| Some(decode(item.as_string()?.as_str()).into_owned());
    let mut names = list.items.iter().map(|item| name(&item.bare_item)).collect::<Option<Vec<_>>>()?;
    // It is a set.
    names.sort_unstable();
    names.dedup();
    (names.len() <= MAX_NO_VARY_PARAMETERS).then_some(names)
}

/// §5.3, and `application/x-www-form-urlencoded` of the URL standard: what is no UTF-8 is replaced.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(percent_decode(text.replace('+', " ").as_bytes()).decode_utf8_lossy().into_owned())
}

const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn parse(value: &str) -> Option<NoVarySearch> {
        NoVarySearch::of(&headers(&[("no-vary-search", value)]))
    }

    /// The draft's tables of §5.2.1.
    #[test]
    fn variances() {
        let check = |value: &str, ordered: bool, params: Params| {
            let variance = NoVarySearch { params, ordered };
            assert_eq!(parse(value).as_ref(), Some(&variance), "{value}");
            let mut written = Vec::new();
            variance.encode(&mut written);
            assert_eq!(NoVarySearch::decode(&written), Some(variance), "{value}");
        };
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        check("params", true, Params::Only(list(&[])));
        check("params=?1", true, Params::Only(list(&[])));
        check("params=(\"a\")", true, Params::Except(list(&["a"])));
        check("params, except=(\"x\")", true, Params::Only(list(&["x"])));
        check("key-order", false, Params::Except(list(&[])));
        check("key-order=?1, unknown=5", false, Params::Except(list(&[])));
        check("params, key-order, except=(\"x\")", false, Params::Only(list(&["x"])));
        check("params=(\"b\" \"a\" \"%62\")", true, Params::Except(list(&["a", "b"])));
        check("params=(\"%C3%A9+%E6%B0%97\")", true, Params::Except(list(&["é 気"])));
        for default in [
            "",
            "unknown-key",
            "key-order=\"not a boolean\"",
            "params=\"not a boolean or inner list\"",
            "params=(not-a-string)",
            "params=(\"a\"), except=(\"x\")",
            "params=(), except=()",
            "params=?0, except=(\"x\")",
            "params, except=(not-a-string)",
            "params, except=\"not an inner list\"",
            "params, except=?1",
            "except=(\"x\")",
            "except=()",
            "params=?0",
            "params=()",
            "key-order=?0",
            "key-order, params=x",
            "key-order,",
            "Params",
        ] {
            assert_eq!(parse(default), None, "{default}");
        }
        assert_eq!(NoVarySearch::of(&HeaderMap::new()), None);
    }

    /// §6 and the examples of §6.1.
    #[test]
    fn equivalence() {
        let check = |field: &str, a: Option<&str>, b: Option<&str>, expected: bool| {
            let variance = parse(field).unwrap();
            let same = variance.equivalence(a) == variance.equivalence(b);
            assert_eq!(same, expected, "{field}: {a:?} and {b:?}");
        };
        let same = |a, b| check("key-order", Some(a), Some(b), true);
        same("a=x", "%61=%78");
        same("a=é", "a=%C3%A9");
        same("a=%f6", "a=%ef%bf%bd");
        same("a=x&&&&", "a=x");
        same("a=", "a");
        same("a=%20", "a=+");
        same("a=1&b=2", "b=2&a=1");
        same("a=1&b=2&a=3", "b=2&a=1&a=3");
        check("key-order", None, Some(""), true);
        check("key-order", Some("a=1&a=2"), Some("a=2&a=1"), false);
        check("key-order", Some("a=1%26b=2"), Some("a=1&b=2"), false);
        check("key-order", Some("a=b=c"), Some("a=b%3Dc"), true);
        check("params", Some("a=1&b=2"), None, true);
        check("params=(\"a\")", Some("a=1&b=2"), Some("b=2&a=5"), true);
        check("params=(\"a\")", Some("b=2"), Some("b=3"), false);
        check("params=(\"a\")", Some("b=2&c=3"), Some("c=3&b=2"), false);
        check("params, except=(\"id\")", Some("id=1&x=2"), Some("y=1&id=1"), true);
        check("params, except=(\"id\")", Some("id=1"), Some("id=2"), false);
        check("params=(\"%C3%A9+%E6%B0%97\")", Some("é+気=2"), Some("%C3%A9%20気=3"), true);
    }

    /// What one response calls equivalent says nothing of what another one, of the same path, is stored for.
    #[test]
    fn variances_share_nothing() {
        let fields = [
            "params=(\"a\")",
            "params=(\"c\")",
            "params=(\"a\" \"c\")",
            "params=(\"a,c\")",
            "params=(\"a\"), key-order",
            "params",
            "params, except=(\"a\")",
            "params, except=(\"a?\")",
            "key-order",
        ];
        for query in [None, Some("a=1"), Some("b=1"), Some("a?=1&c=2")] {
            let mut texts: Vec<_> = fields.iter().map(|field| parse(field).unwrap().equivalence(query)).collect();
            texts.sort_unstable();
            texts.dedup();
            assert_eq!(texts.len(), fields.len(), "{query:?}: {texts:?}");
        }
        assert_eq!(
            parse("params=(\"b\" \"a\")").unwrap().equivalence(None),
            parse("params=(\"a\" \"b\")").unwrap().equivalence(None)
        );
    }
}
