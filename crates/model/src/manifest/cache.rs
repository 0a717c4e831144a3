//! `cache = …` of a route: what the site's owner rules beside what responses say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A route's cache rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRule {
    /// `cache = false` turns storing off.
    pub enabled: bool,
    /// The lifetime of responses that bear no freshness information of their own.
    pub default_ttl: Option<Duration>,
    /// RFC 5861 §3 for responses that do not say.
    pub stale_while_revalidate: Option<Duration>,
    /// RFC 5861 §4 for responses that do not say.
    pub stale_if_error: Option<Duration>,
    /// What enters the cache key.
    pub key: KeyRule,
}

impl Default for CacheRule {
    fn default() -> Self {
        Self {
            enabled: true,
            default_ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            key: KeyRule::default(),
        }
    }
}

/// What of a request enters the cache key beside scheme, host and path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRule {
    /// Which of the query.
    pub query: QueryRule,
}

/// Which query parameters enter the cache key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueryRule {
    /// The query as it stands.
    #[default]
    All,
    /// No query.
    None,
    /// Only the parameters with these names (sorted).
    Only(Vec<String>),
}
