//! The site manifest, resolved: hosts, routes, handlers, origins, every default filled in.

mod cache;
mod errors;
mod handler;
mod origin;
mod parse;
mod pattern;
mod route;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::cache::{CacheRule, DiskAdmission, KeyRule, Languages, QueryRule};
pub use self::errors::{ManifestError, ManifestErrors};
pub use self::handler::HandlerSpec;
pub use self::origin::{Balance, Endpoint, EndpointUrl, InvalidEndpoint, OriginSpec, Retry, Scheme, Timeouts};
pub use self::parse::{MAX_ERRORS, parse};
pub use self::pattern::{HostPattern, InvalidPattern, PathPattern};
pub use self::route::{FilesSpec, Position, Route, RouteHandler};
use crate::ids::SiteName;

/// A site: which hosts it answers for and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The site's name.
    pub name: SiteName,
    /// The hosts it answers for.
    pub hosts: Vec<HostPattern>,
    /// Its own certificate, chosen by SNI.
    pub tls: Option<TlsFiles>,
    /// Routes; the first whose path matches wins.
    pub routes: Vec<Route>,
    /// Handlers by name.
    pub handlers: BTreeMap<String, HandlerSpec>,
    /// Origin pools by name.
    pub origins: BTreeMap<String, OriginSpec>,
}

/// Where a site's certificate and key stand, as PEM files on each node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

impl Manifest {
    /// The first host that is named as a whole, not by a pattern.
    #[must_use]
    pub fn first_host(&self) -> Option<&str> {
        self.hosts.iter().find_map(|host| match host {
            HostPattern::Exact(name) => Some(name.as_str()),
            HostPattern::Any | HostPattern::Below(_) => None,
        })
    }

    /// The site named `default` of `holm up --origin …`: every host, every path, one pool of these origins.
    ///
    /// # Panics
    /// Never: the names are constants.
    #[must_use]
    pub fn for_origins(urls: Vec<EndpointUrl>) -> Self {
        let endpoints = urls.into_iter().map(|url| Endpoint { url, weight: 1 }).collect();
        let route = Route {
            path: PathPattern::all(),
            origin: Some(DEFAULT.to_owned()),
            files: None,
            handler: None,
            cache: CacheRule::default(),
        };
        Self {
            name: DEFAULT.parse().expect("invariant: a constant name"),
            hosts: vec![HostPattern::Any],
            tls: None,
            routes: vec![route],
            handlers: BTreeMap::new(),
            origins: BTreeMap::from([(DEFAULT.to_owned(), OriginSpec::new(endpoints))]),
        }
    }

    /// The site of `holm serve`: every host and path to one handler.
    ///
    /// # Panics
    /// Never: the names are constants.
    #[must_use]
    pub fn for_handler(spec: HandlerSpec) -> Self {
        let route = Route {
            path: PathPattern::all(),
            origin: None,
            files: None,
            handler: Some(RouteHandler { name: DEFAULT.to_owned(), position: Position::Viewer }),
            cache: CacheRule::default(),
        };
        Self {
            name: DEFAULT.parse().expect("invariant: a constant name"),
            hosts: vec![HostPattern::Any],
            tls: None,
            routes: vec![route],
            handlers: BTreeMap::from([(DEFAULT.to_owned(), spec)]),
            origins: BTreeMap::new(),
        }
    }
}

/// The name of the site, pool and handler that a command line makes without a manifest.
const DEFAULT: &str = "default";
