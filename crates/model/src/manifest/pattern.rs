//! Patterns: which hosts a site answers for, which paths a route.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Not a host pattern.
    #[error("`{0}` is not a host; write shop.example, *.shop.example, or * for every host")]
    Host(String),
    /// Not a path pattern.
    #[error("`{0}` is not a path pattern; begin with / and use * only at the end, after a /: /a, /assets/*")]
    Path(String),
}

/// A host that a site answers for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// `*`: every host.
    Any,
    /// `shop.example`: this host.
    Exact(String),
    /// `*.shop.example`: every host below this one, however deep, not the host itself. Holds `.shop.example`.
    Below(String),
}

impl HostPattern {
    /// Does it match? `host` is in lower case and without a port.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name == host,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let lower = text.to_ascii_lowercase();
        if lower == "*" {
            return Ok(Self::Any);
        }
        let (name, below) = lower.strip_prefix("*.").map_or((lower.as_str(), false), |name| (name, true));
        if !is_host(name) {
            return Err(InvalidPattern::Host(text.to_owned()));
        }
        Ok(if below { Self::Below(format!(".{name}")) } else { Self::Exact(name.to_owned()) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*{suffix}"),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

/// The paths of a route: `/x` this path alone, `/assets/*` everything below it (`/assets/` too), `/*` every path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: String,
    below: bool,
}

impl PathPattern {
    /// Every path.
    #[must_use]
    pub fn all() -> Self {
        Self { text: "/*".to_owned(), below: true }
    }

    /// Does it match this path (without query)?
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        if self.below { path.starts_with(self.stem()) } else { path == self.text }
    }

    /// What of `path` lies below the pattern's folder, with its leading slash: `/assets/a.css` under `/assets/*` is
    /// `/a.css`. `None` for an exact pattern or a path that does not match.
    #[must_use]
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        if !self.below || !self.matches(path) {
            return None;
        }
        path.get(self.stem().len() - 1..)
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text without the final `*`.
    fn stem(&self) -> &str {
        self.text.trim_end_matches('*')
    }
}

impl FromStr for PathPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let (stem, below) = text.strip_suffix('*').map_or((text, false), |stem| (stem, true));
        let shape = stem.starts_with('/') && !stem.contains(['*', '?', '#', ' ']) && (!below || stem.ends_with('/'));
        if !shape || stem.chars().any(char::is_control) {
            return Err(InvalidPattern::Path(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), below })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for PathPattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.text
    }
}

/// A DNS name or an IP literal (`[::1]` with its brackets), in lower case, without a port.
fn is_host(name: &str) -> bool {
    if let Some(literal) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let check = |pattern: &str, host: &str, expected: Option<bool>| {
            let matched = pattern.parse::<HostPattern>().ok().map(|pattern| pattern.matches(host));
            assert_eq!(matched, expected, "{pattern} against {host}");
        };
        check("*", "anything", Some(true));
        check("Shop.example", "shop.example", Some(true));
        check("shop.example", "www.shop.example", Some(false));
        check("*.shop.example", "www.shop.example", Some(true));
        check("*.shop.example", "shop.example", Some(false));
        check("*.shop.example", "evilshop.example", Some(false));
        check("[::1]", "[::1]", Some(true));
        check("shop.example:80", "", None);
        check("a..b", "", None);
        check("*shop", "", None);
    }

    #[test]
    fn paths() {
        let check = |pattern: &str, path: &str, expected: Option<(bool, Option<&str>)>| {
            let matched = pattern.parse::<PathPattern>().ok();
            let matched = matched.as_ref().map(|pattern| (pattern.matches(path), pattern.below(path)));
            assert_eq!(matched, expected, "{pattern} against {path}");
        };
        check("/*", "/", Some((true, Some("/"))));
        check("/*", "/a/b", Some((true, Some("/a/b"))));
        check("/assets/*", "/assets/a.css", Some((true, Some("/a.css"))));
        check("/assets/*", "/assets", Some((false, None)));
        check("/x", "/x", Some((true, None)));
        check("/x", "/x/y", Some((false, None)));
        check("assets/*", "", None);
        check("/a*", "", None);
        check("/a/*/b", "", None);
    }
}
