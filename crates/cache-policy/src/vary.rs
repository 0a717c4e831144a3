//! `Vary`: which request fields select among the responses of one URL. RFC 9111 §4.1, RFC 9110 §12.5.5.

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, VARY};
use smallvec::SmallVec;

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

    /// Is this one of the fields?
    #[must_use]
    pub fn names(&self, field: &HeaderName) -> bool {
        self.0.contains(field)
    }
}

impl VaryValues {
    /// The values of a request.
    #[must_use]
    pub fn of(spec: &VarySpec, request: &HeaderMap) -> Self {
        Self(spec.0.iter().map(|name| normalised(name, request)).collect())
    }

    /// Each value in the order of the spec; `None` for a field that the request lacks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().map(Option::as_deref)
    }
}

/// §4.1 allows what is known to be without meaning: list whitespace, the lines a list is spread over; and for
/// `Accept-Encoding` the order and the codings that nobody serves, without which nearly every client is a variant.
fn normalised(name: &HeaderName, request: &HeaderMap) -> Option<String> {
    let mut lines = request.get_all(name).iter().peekable();
    lines.peek()?;
    let text = lines.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(",");
    if *name == ACCEPT_ENCODING {
        return Some(accepted_codings(&text));
    }
    Some(text.split(',').map(str::trim).filter(|member| !member.is_empty()).collect::<Vec<_>>().join(","))
}

fn accepted_codings(text: &str) -> String {
    let accepted = |coding: &str| {
        text.split(',').any(|member| {
            let mut parts = member.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
            let refused =
                parts.any(|part| matches!(part.strip_prefix("q=").map(str::parse::<f32>), Some(Ok(q)) if q <= 0.0));
            named && !refused
        })
    };
    CODINGS.iter().filter(|coding| accepted(coding)).copied().collect::<Vec<_>>().join(",")
}

/// The content codings in use; `*` counts as one of its own.
const CODINGS: [&str; 6] = ["*", "br", "deflate", "gzip", "identity", "zstd"];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

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
            let equal = VaryValues::of(&spec, &headers(one)) == VaryValues::of(&spec, &headers(other));
            assert_eq!(equal, same, "{vary}: {one:?} and {other:?}");
        };
        check("x", &[], &[], true);
        check("x", &[("x", "1")], &[], false);
        check("x", &[("x", "")], &[], false);
        check("x", &[("x", "1, 2")], &[("x", "1,2")], true);
        check("x", &[("x", "1"), ("x", "2")], &[("x", "1,2")], true);
        check("x", &[("x", "1")], &[("x", "2")], false);
        check("accept-encoding", &[("accept-encoding", "gzip, br")], &[("accept-encoding", "br;q=0.5,gzip")], true);
        check("accept-encoding", &[("accept-encoding", "gzip")], &[("accept-encoding", "br")], false);
        check("accept-encoding", &[("accept-encoding", "gzip;q=0")], &[("accept-encoding", "foo")], true);
    }
}
