//! Purges: entries of the purge log and what they select.

use serde::{Deserialize, Serialize};

use crate::ids::{Seq, SiteName};
use crate::limits::MAX_TAG_BYTES;
use crate::path;
use crate::units::Timestamp;

/// One entry of a cluster's totally ordered purge log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeEntry {
    /// Its place in the log.
    pub seq: Seq,
    /// The site whose content it concerns.
    pub site: SiteName,
    /// Which of the site's content.
    pub selector: Selector,
    /// Reject, or only make stale.
    pub mode: PurgeMode,
    /// When it was accepted; a soft purge makes content stale as of this instant.
    pub time: Timestamp,
}

/// What a purge does to the content it selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurgeMode {
    /// Not served again, not even stale; no validator either.
    Hard,
    /// Stale from the entry's time on.
    Soft,
}

/// Which of a site's content a purge concerns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selector {
    /// One URL under both schemes with all variants; without a query, every query of that path.
    Url {
        /// Lower-case host without port.
        host: String,
        /// Path as it stands in the cache key.
        path: String,
        /// Query without the question mark.
        query: Option<String>,
    },
    /// Every response that bore this tag (Surrogate-Key or Cache-Tag).
    Tag(String),
    /// Every path below this one, by whole segments: `/a` selects `/a` and `/a/b`, not `/ab`.
    Prefix {
        /// Only on this host; otherwise on all hosts of the site.
        host: Option<String>,
        /// Path without a trailing slash (the root is the empty text).
        path: String,
    },
    /// The whole site.
    All,
}

/// Why a text does not name content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// Not an absolute http or https URL.
    #[error("`{0}` is not an absolute URL; write it like https://shop.example/path?query")]
    Url(String),
    /// A tag is empty, too long, or has spaces or control characters.
    #[error("`{0}` is not a tag: 1 to {MAX_TAG_BYTES} visible ASCII characters without spaces")]
    Tag(String),
    /// Not an absolute path nor a URL.
    #[error("`{0}` is not a path prefix; write it like /assets or https://shop.example/assets")]
    Prefix(String),
}

impl Selector {
    /// Reads `https://shop.example/a?b`.
    pub fn parse_url(text: &str) -> Result<Self, InvalidSelector> {
        let url = absolute(text).ok_or_else(|| InvalidSelector::Url(text.to_owned()))?;
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let (path, query) = target(text);
        Ok(Self::Url { host, path: path::normalise(path).into_owned(), query: query.map(str::to_owned) })
    }

    /// Reads a tag.
    pub fn parse_tag(text: &str) -> Result<Self, InvalidSelector> {
        let valid = (1..=MAX_TAG_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        valid.then(|| Self::Tag(text.to_owned())).ok_or_else(|| InvalidSelector::Tag(text.to_owned()))
    }

    /// Reads `/assets`, or `https://shop.example/assets` for one host alone. A trailing `/` or `/*` is allowed.
    pub fn parse_prefix(text: &str) -> Result<Self, InvalidSelector> {
        let trim = |path: &str| path.trim_end_matches('*').trim_end_matches('/').to_owned();
        if text.starts_with('/') && !text.contains(['?', '#']) {
            return Ok(Self::Prefix { host: None, path: trim(&path::normalise(text)) });
        }
        let url = absolute(text)
            .filter(|url| url.query().is_none())
            .ok_or_else(|| InvalidSelector::Prefix(text.to_owned()))?;
        let host = url.host_str().map(str::to_ascii_lowercase);
        Ok(Self::Prefix { host, path: trim(&path::normalise(target(text).0)) })
    }
}

/// Path and query as they are written, like those of a request: the url crate would encode some characters.
fn target(text: &str) -> (&str, Option<&str>) {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let whole = rest.split('#').next().unwrap_or_default();
    let target = whole.find(['/', '?']).map_or("", |at| &whole[at..]);
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    (if path.is_empty() { "/" } else { path }, query)
}

fn absolute(text: &str) -> Option<url::Url> {
    let url = url::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str, path: &str, query: Option<&str>) -> Selector {
        Selector::Url { host: host.into(), path: path.into(), query: query.map(Into::into) }
    }

    #[test]
    fn urls() {
        let check = |text: &str, expected: Option<Selector>| {
            assert_eq!(Selector::parse_url(text).ok(), expected, "{text}");
        };
        check("https://Shop.example/a?b=1", Some(url("shop.example", "/a", Some("b=1"))));
        check("http://shop.example:8080", Some(url("shop.example", "/", None)));
        check("http://a?b#c", Some(url("a", "/", Some("b"))));
        check("http://a/%70{x}/../y", Some(url("a", "/y", None)));
        check("http://a/{x}", Some(url("a", "/{x}", None)));
        check("/a", None);
        check("ftp://a/b", None);
    }

    #[test]
    fn prefixes() {
        let check = |text: &str, expected: Option<(Option<&str>, &str)>| {
            let expected =
                expected.map(|(host, path)| Selector::Prefix { host: host.map(Into::into), path: path.into() });
            assert_eq!(Selector::parse_prefix(text).ok(), expected, "{text}");
        };
        check("/assets/*", Some((None, "/assets")));
        check("/", Some((None, "")));
        check("https://a.example/x/", Some((Some("a.example"), "/x")));
        check("assets", None);
        check("/a?b", None);
    }

    #[test]
    fn tags() {
        assert!(Selector::parse_tag("product-1").is_ok());
        assert!(Selector::parse_tag("a b").is_err());
        assert!(Selector::parse_tag("").is_err());
    }
}
