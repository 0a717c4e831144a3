//! Invalidation: what a response to an unsafe request makes unfit for use without asking. RFC 9111 §4.4.

use http::header::{CONTENT_LOCATION, HeaderMap, LOCATION};
use http::{Method, StatusCode};
use smallvec::SmallVec;

use crate::methods::is_safe;
use crate::target::{Named, TargetUri};

/// Does such a response invalidate what is stored for its target? One that is no error does, if the method is unsafe;
/// so does one to a method that we do not know.
#[must_use]
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    !is_safe(method) && (status.is_success() || status.is_redirection())
}

/// What else it invalidates: the URIs in `Location` and `Content-Location`, but only at the target's own origin, or one
/// site could make another's cache forget.
#[must_use]
pub fn invalidated_beside(target: &TargetUri<'_>, response: &HeaderMap) -> SmallVec<[Named; 2]> {
    let mut found: SmallVec<[Named; 2]> = [LOCATION, CONTENT_LOCATION]
        .iter()
        .flat_map(|name| response.get_all(name))
        .filter_map(|reference| target.resolve(reference.to_str().ok()?.trim()))
        .take(MAX_NAMED)
        .collect();
    found.dedup();
    found
}

/// Each field can be there once; more of them are a mistake that must not cost much.
const MAX_NAMED: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn responses() {
        let check = |method: &str, status: u16, expected: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(invalidates(&method.parse().unwrap(), status), expected, "{method} {status}");
        };
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
            check(method, 200, true);
            check(method, 204, true);
            check(method, 303, true);
            check(method, 404, false);
            check(method, 500, false);
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"] {
            check(method, 200, false);
        }
    }

    #[test]
    fn other_targets() {
        let target = TargetUri { scheme: "https", host: "a", port: "", path: "/b/c", query: None };
        let check = |fields: &[(&'static str, &str)], expected: &[(&str, Option<&str>)]| {
            let found = invalidated_beside(&target, &headers(fields));
            let found: Vec<_> = found.iter().map(|named| (named.path.as_str(), named.query.as_deref())).collect();
            assert_eq!(found, expected, "{fields:?}");
        };
        check(&[], &[]);
        check(&[("location", "d?x"), ("content-location", "/e")], &[("/b/d", Some("x")), ("/e", None)]);
        check(&[("location", "/e"), ("content-location", "/e")], &[("/e", None)]);
        check(&[("location", "https://b/e"), ("content-location", "http://a/e")], &[]);
        check(&[("location", "https://a/e")], &[("/e", None)]);
    }
}
