//! Target URIs, and what references in a response's fields name beside them. RFC 9110 §7.1, RFC 3986 §5.

use holm_model::path::normalise;
use http::header::{CONTENT_LOCATION, HeaderMap};

/// The parts of the URI that a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetUri<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Without a port.
    pub host: &'a str,
    /// Empty for the scheme's own.
    pub port: &'a str,
    /// In normal form or not.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
}

/// What is named at the same origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// In normal form (`holm_model::path::normalise`).
    pub path: String,
    /// Without the question mark.
    pub query: Option<String>,
}

impl TargetUri<'_> {
    /// What a reference in a response to the target names: resolved against it (RFC 3986 §5.2), the fragment left away.
    /// `None` at another origin (RFC 9110 §4.3.1), or for what is no reference.
    #[must_use]
    pub fn resolve(&self, reference: &str) -> Option<Named> {
        let reference = reference.split('#').next().unwrap_or_default();
        if !reference.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let rest = match scheme_of(reference) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(self.scheme) => rest,
            Some(_) => return None,
            None => reference,
        };
        let had_scheme = rest.len() < reference.len();
        if let Some(rest) = rest.strip_prefix("//") {
            let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            return self.has_authority(authority).then(|| named(rest));
        }
        // A URI of our schemes without an authority names nothing (RFC 9110 §4.2).
        if had_scheme { None } else { Some(self.resolve_path(rest)) }
    }

    /// RFC 9110 §8.7, §9.3.3: does `Content-Location` say that the response is a representation of the target? That of a
    /// `POST` then answers later `GET`s (RFC 9111 §4).
    #[must_use]
    pub fn is_named_by(&self, response: &HeaderMap) -> bool {
        let mut lines = response.get_all(CONTENT_LOCATION).iter();
        let (Some(reference), None) = (lines.next(), lines.next()) else { return false };
        let found = reference.to_str().ok().and_then(|reference| self.resolve(reference.trim()));
        found.is_some_and(|found| found.path == normalise(self.path) && found.query.as_deref() == self.query)
    }

    /// RFC 3986 §5.2.2, where neither scheme nor authority are given.
    fn resolve_path(&self, reference: &str) -> Named {
        if reference.is_empty() {
            return Named { path: normalise(self.path).into_owned(), query: self.query.map(str::to_owned) };
        }
        if reference.starts_with('/') {
            return named(reference);
        }
        if reference.starts_with('?') {
            return named(&[self.path, reference].concat());
        }
        // §5.2.3: instead of the base's last segment.
        let end = self.path.rfind('/').map_or(0, |slash| slash + 1);
        named(&[&self.path[..end], reference].concat())
    }

    fn has_authority(&self, authority: &str) -> bool {
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let colon = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
        let (host, port) = match colon {
            Some(colon) => (&authority[..colon], &authority[colon + 1..]),
            None => (authority, ""),
        };
        host.eq_ignore_ascii_case(self.host) && self.port_of(port) == self.port_of(self.port)
    }

    fn port_of<'a>(&self, port: &'a str) -> &'a str {
        let port = port.trim_start_matches('0');
        match (port, self.scheme) {
            ("", "https") => "443",
            ("", _) => "80",
            (port, _) => port,
        }
    }
}

/// RFC 3986 §3.1; a colon further on belongs to a path or a query.
fn scheme_of(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    valid.then_some((scheme, rest))
}

fn named(path_and_query: &str) -> Named {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (path_and_query, None),
    };
    let path = if path.is_empty() { "/" } else { path };
    Named { path: normalise(path).into_owned(), query }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    const TARGET: TargetUri<'_> =
        TargetUri { scheme: "http", host: "a.example", port: "", path: "/b/c/d;p", query: Some("q") };

    /// RFC 3986 §5.4, as far as the references stay at the origin.
    #[test]
    fn references() {
        let check = |reference: &str, expected: &str| {
            let (path, query) = expected.split_once('?').map_or((expected, None), |(path, query)| (path, Some(query)));
            let expected = Named { path: path.to_owned(), query: query.map(str::to_owned) };
            assert_eq!(TARGET.resolve(reference), Some(expected), "{reference}");
        };
        check("g", "/b/c/g");
        check("./g", "/b/c/g");
        check("g/", "/b/c/g/");
        check("/g", "/g");
        check("?y", "/b/c/d;p?y");
        check("g?y", "/b/c/g?y");
        check("#s", "/b/c/d;p?q");
        check("g#s", "/b/c/g");
        check("g?y#s", "/b/c/g?y");
        check(";x", "/b/c/;x");
        check("", "/b/c/d;p?q");
        check(".", "/b/c/");
        check("..", "/b/");
        check("../g", "/b/g");
        check("../..", "/");
        check("../../../g", "/g");
        check("/./g", "/g");
        check("/../g", "/g");
        check("g.", "/b/c/g.");
        check("..g", "/b/c/..g");
        check("./g/.", "/b/c/g/");
        check("g/../h", "/b/c/h");
        check("g?y/../x", "/b/c/g?y/../x");
        check("g;x=1/../y", "/b/c/y");
        check("%7eg", "/b/c/~g");
        check("g?a=b:c", "/b/c/g?a=b:c");
        // The same origin (RFC 9110 §4.3.1).
        check("http://a.example/g", "/g");
        check("HTTP://A.Example:80/g?y", "/g?y");
        check("http://a.example:080", "/");
        check("http://user@a.example/g", "/g");
        check("//a.example?y", "/?y");
    }

    #[test]
    fn what_is_not_at_the_origin() {
        for reference in [
            "https://a.example/g",
            "http://b.example/g",
            "http://a.example.b/g",
            "http://a.example:8080/g",
            "http://a.example@b/g",
            "//b/g",
            "http:g",
            "http:/g",
            "mailto:a",
            "/a b",
            "/\u{e9}",
            "//[::1]/g",
        ] {
            assert_eq!(TARGET.resolve(reference), None, "{reference}");
        }
        let v6 = TargetUri { host: "[::1]", port: "8080", ..TARGET };
        assert!(v6.resolve("http://[::1]:8080/g").is_some());
        assert!(v6.resolve("http://[::1]/g").is_none());
    }

    #[test]
    fn content_locations() {
        let check = |fields: &[(&'static str, &str)], expected: bool| {
            assert_eq!(TARGET.is_named_by(&headers(fields)), expected, "{fields:?}");
        };
        let location = |value| [("content-location", value)];
        check(&[], false);
        check(&location(""), true);
        check(&location("/b/c/d;p?q"), true);
        check(&location("d;p?q"), true);
        check(&location("http://a.example/b/c/./d;p?q"), true);
        check(&location("/b/c/d;p"), false);
        check(&location("/b/c/d;p?r"), false);
        check(&location("http://b.example/b/c/d;p?q"), false);
        check(&[location("/b/c/d;p?q"), location("/b/c/d;p?q")].concat(), false);
    }
}
