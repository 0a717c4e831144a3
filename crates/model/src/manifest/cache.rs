//! `cache = …` of a route: what the site's owner rules beside what responses say.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A route's cache rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheRule {
    /// `cache = false` turns storing off.
    pub enabled: bool,
    /// The lifetime of every response that may be stored, whatever it says itself.
    pub ttl: Option<Duration>,
    /// The lifetime of responses that bear no freshness information of their own.
    pub default_ttl: Option<Duration>,
    /// A shorter lifetime is raised to this one.
    pub min_ttl: Option<Duration>,
    /// A longer lifetime is cut to this one.
    pub max_ttl: Option<Duration>,
    /// May a lifetime be derived from `Last-Modified` (RFC 9111 §4.2.2)?
    pub heuristic: bool,
    /// The lifetimes of errors (4xx and 5xx) that bear no freshness information of their own, by status.
    pub negative_ttl: BTreeMap<u16, Duration>,
    /// No error is kept longer, whatever it says.
    pub negative_max: Duration,
    /// RFC 5861 §3 for responses that do not say.
    pub stale_while_revalidate: Option<Duration>,
    /// RFC 5861 §4 for responses that do not say.
    pub stale_if_error: Option<Duration>,
    /// Is the last 103 of a URL sent to the next client that has to wait for its response (RFC 8297)?
    pub early_hints: bool,
    /// What goes to the disk tier, where the node has one.
    pub disk: DiskAdmission,
    /// How `Accept-Language` selects among responses that vary by it.
    pub languages: Languages,
    /// What enters the cache key.
    pub key: KeyRule,
}

impl Default for CacheRule {
    fn default() -> Self {
        Self {
            enabled: true,
            ttl: None,
            default_ttl: None,
            min_ttl: None,
            max_ttl: None,
            heuristic: true,
            negative_ttl: BTreeMap::new(),
            negative_max: NEGATIVE_MAX,
            stale_while_revalidate: None,
            stale_if_error: None,
            early_hints: false,
            disk: DiskAdmission::default(),
            languages: Languages::default(),
            key: KeyRule::default(),
        }
    }
}

/// Which stored responses are written to the disk tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskAdmission {
    /// Those that are asked for again: most are not, and would wear the device for nothing.
    #[default]
    SecondRequest,
    /// All of them, as they are stored.
    Always,
    /// None: memory alone holds them.
    Never,
}

/// How `Accept-Language` selects a response (RFC 9110 §12.5.4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Languages {
    /// Field values that mean the same select the same: case, space, and the order of what is equally wanted say nothing.
    #[default]
    Normalised,
    /// Field values select the same only if they are equal.
    Exact,
    /// The site speaks these: the best of them for the client selects (RFC 4647 §3.4, the first where none fits).
    Offered(Vec<String>),
}

/// What of a request enters the cache key beside scheme, host and path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyRule {
    /// Which of the query.
    pub query: QueryRule,
    /// Does the order of the query's parameters say nothing?
    pub sort: bool,
    /// Fields whose values enter, in lower case.
    pub headers: Vec<String>,
    /// Cookies whose values enter.
    pub cookies: Vec<String>,
    /// Do the hosts of the site share what is stored? Neither host nor port then enters.
    pub share_hosts: bool,
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
    /// All parameters but those with these names (sorted); a name may end in `*`.
    Except(Vec<String>),
}

/// An error that says of itself that it may be kept for a year is a mistake more often than not.
const NEGATIVE_MAX: Duration = Duration::from_secs(3600);
