//! Sites: active releases made ready to serve, and the table that finds one by host.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use holm_model::ids::SiteName;
use holm_model::manifest::{CacheRule, HostPattern, Manifest, OriginSpec, PathPattern};
use holm_model::release::{Files, Release};
use holm_upstream::Pool;

use crate::address::Authority;
use crate::handler::Handler;

/// An active release, ready to serve.
pub struct Site {
    release: Arc<Release>,
    routes: Vec<SiteRoute>,
    pools: HashMap<String, Arc<Pool>>,
    first_host: Option<Authority>,
}

/// One route of a site, with everything that a request needs in place.
pub(crate) struct SiteRoute {
    /// Its name in metrics.
    pub(crate) name: Arc<str>,
    pub(crate) pattern: PathPattern,
    pub(crate) rule: CacheRule,
    pub(crate) content: Option<Content>,
    pub(crate) handler: Option<Arc<dyn Handler>>,
}

/// What a route's fetches end at.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Origin(Arc<Pool>),
    Files(Arc<FileSet>),
}

/// The static files of a route.
#[derive(Debug)]
pub(crate) struct FileSet {
    pub(crate) pattern: PathPattern,
    pub(crate) files: Files,
    /// Enters the cache key: a new release never serves an old one's file.
    pub(crate) salt: String,
}

/// What a site is made of beside its release.
pub(crate) struct Parts {
    pub(crate) handlers: HashMap<String, Arc<dyn Handler>>,
    pub(crate) pools: HashMap<String, Arc<Pool>>,
}

impl Site {
    /// Puts a release and its parts together.
    pub(crate) fn new(release: Arc<Release>, parts: &Parts) -> Self {
        let routes = (0..release.manifest.routes.len()).map(|index| SiteRoute::new(&release, index, parts)).collect();
        let first_host = release.manifest.first_host().and_then(|host| Authority::parse(host).ok());
        Self { routes, pools: parts.pools.clone(), first_host, release }
    }

    /// The site's name.
    #[must_use]
    pub fn name(&self) -> &SiteName {
        &self.release.site
    }

    /// The release.
    #[must_use]
    pub fn release(&self) -> &Arc<Release> {
        &self.release
    }

    /// Does the manifest name this host, not only by `*`?
    pub(crate) fn names(&self, host: &str) -> bool {
        let named = |pattern: &HostPattern| *pattern != HostPattern::Any && pattern.matches(host);
        self.manifest().hosts.iter().any(named)
    }

    /// The first host that the manifest names as a whole.
    pub(crate) const fn first_host(&self) -> Option<&Authority> {
        self.first_host.as_ref()
    }

    /// The pool of this name, if its specification is still the same: connections and health survive a release.
    pub(crate) fn pool_for(&self, name: &str, spec: &OriginSpec) -> Option<Arc<Pool>> {
        let same = self.manifest().origins.get(name).is_some_and(|own| own == spec);
        same.then(|| self.pools.get(name).cloned()).flatten()
    }

    pub(crate) fn viewer_route(&self, path: &str) -> Option<&SiteRoute> {
        self.routes.iter().find(|route| route.pattern.matches(path))
    }

    pub(crate) fn content_route(&self, path: &str) -> Option<&SiteRoute> {
        self.routes.iter().find(|route| route.content.is_some() && route.pattern.matches(path))
    }

    fn manifest(&self) -> &Manifest {
        &self.release.manifest
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("name", self.name()).field("release", &self.release.number).finish()
    }
}

impl SiteRoute {
    fn new(release: &Release, index: usize, parts: &Parts) -> Self {
        let route = &release.manifest.routes[index];
        let files = || {
            release.files.get(&index).map(|files| {
                let salt = format!("{}@{}#{index}", release.site, release.number);
                Content::Files(Arc::new(FileSet { pattern: route.path.clone(), files: files.clone(), salt }))
            })
        };
        let origin = route.origin.as_ref().and_then(|name| parts.pools.get(name).cloned()).map(Content::Origin);
        let handler = route.handler.as_ref().and_then(|handler| parts.handlers.get(&handler.name).cloned());
        Self {
            name: route.name().into(),
            pattern: route.path.clone(),
            rule: route.cache.clone(),
            content: origin.or_else(files),
            handler,
        }
    }
}

impl fmt::Debug for SiteRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteRoute").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

impl FileSet {
    /// The text that stands for the site in cache keys.
    pub(crate) fn salt(&self) -> &str {
        &self.salt
    }
}

/// Every active site, found by host or by name. A change is one pointer swap; a look-up takes no lock.
#[derive(Debug, Default)]
pub struct SiteTable(ArcSwap<Sites>);

/// The sites at one time.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    by_name: HashMap<SiteName, Arc<Site>>,
    exact: HashMap<String, Arc<Site>>,
    /// Longest suffix first.
    below: Vec<(String, Arc<Site>)>,
    any: Option<Arc<Site>>,
}

impl SiteTable {
    /// The sites as they are now.
    pub(crate) fn load(&self) -> Guard<Arc<Sites>> {
        self.0.load()
    }

    /// The site of this name.
    #[must_use]
    pub fn get(&self, name: &SiteName) -> Option<Arc<Site>> {
        self.0.load().by_name.get(name).cloned()
    }

    /// Every site.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Site>> {
        self.0.load().by_name.values().cloned().collect()
    }

    /// Replaces all sites.
    pub fn store(&self, sites: impl IntoIterator<Item = Arc<Site>>) {
        self.0.store(Arc::new(Sites::new(sites)));
    }
}

impl Sites {
    fn new(sites: impl IntoIterator<Item = Arc<Site>>) -> Self {
        let mut table = Self::default();
        for site in sites {
            for pattern in &site.manifest().hosts {
                match pattern {
                    HostPattern::Any => table.any = Some(Arc::clone(&site)),
                    HostPattern::Exact(host) => {
                        table.exact.insert(host.clone(), Arc::clone(&site));
                    }
                    HostPattern::Below(suffix) => table.below.push((suffix.clone(), Arc::clone(&site))),
                }
            }
            table.by_name.insert(site.name().clone(), site);
        }
        table.below.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        table
    }

    /// The site that answers for a host (lower case, no port): the host itself, else the longest pattern, else `*`.
    pub(crate) fn by_host(&self, host: &str) -> Option<&Arc<Site>> {
        let below = || self.below.iter().find(|(suffix, _)| host.len() > suffix.len() && host.ends_with(suffix));
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.as_ref();
        }
        self.exact.get(host).or_else(|| below().map(|(_, site)| site)).or(self.any.as_ref())
    }

    pub(crate) fn by_name(&self, name: &SiteName) -> Option<&Arc<Site>> {
        self.by_name.get(name)
    }
}
