//! Scopes: what of an object a purge can select it by.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use holm_model::ids::SiteName;
use holm_model::purge::Selector;
use smallvec::SmallVec;

/// An object's site, URL and tags. Purges are matched by 64-bit hashes: a collision costs a miss, never a wrong hit.
#[derive(Debug, Clone)]
pub struct Scope {
    pub(crate) site: MarkId,
    pub(crate) path_only: MarkId,
    pub(crate) with_query: MarkId,
    pub(crate) tags: SmallVec<[MarkId; 4]>,
    pub(crate) groups: SmallVec<[MarkId; 2]>,
    site_name: SiteName,
    host: Arc<str>,
    path: Arc<str>,
}

/// What a purge mark is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MarkId(u64);

/// The host of a response that all hosts of its site share: a purge of any one of them selects it.
pub const ANY_HOST: &str = "";

impl Scope {
    /// The scope of a URL's response: `host` in lower case without port, or [`ANY_HOST`]; `path` and `query` as in the
    /// cache key.
    #[must_use]
    pub fn new(site: &SiteName, host: &str, path: &str, query: Option<&str>, tags: &[&str]) -> Self {
        let scope = Self {
            site: MarkId::site(site),
            path_only: MarkId::url(site, host, path, None),
            with_query: MarkId::url(site, host, path, Some(query.unwrap_or_default())),
            tags: SmallVec::new(),
            groups: SmallVec::new(),
            site_name: site.clone(),
            host: host.into(),
            path: path.into(),
        };
        if tags.is_empty() { scope } else { scope.with_tags(tags) }
    }

    /// The same scope with these tags.
    #[must_use]
    pub fn with_tags(&self, tags: &[&str]) -> Self {
        Self { tags: tags.iter().map(|tag| MarkId::tag(&self.site_name, tag)).collect(), ..self.clone() }
    }

    /// The same scope in these cache groups (RFC 9875), one or more, of an origin: its scheme, host and port.
    #[must_use]
    pub fn with_groups<'a>(mut self, origin: &str, groups: impl IntoIterator<Item = &'a str>) -> Self {
        let named = groups.into_iter().map(|group| MarkId::group(&self.site_name, origin, group));
        self.groups = std::iter::once(MarkId::any_group(&self.site_name, origin)).chain(named).collect();
        self
    }

    /// The same scope with the tags and groups of another one too.
    #[must_use]
    pub fn united(mut self, other: &Self) -> Self {
        let tags = other.tags.iter().filter(|tag| !self.tags.contains(tag)).copied();
        self.tags = self.tags.iter().copied().chain(tags).collect();
        let groups = other.groups.iter().filter(|group| !self.groups.contains(group)).copied();
        self.groups = self.groups.iter().copied().chain(groups).collect();
        self
    }

    /// The same scope for a response that answers several queries of its path: a purge of any one of them selects it.
    #[must_use]
    pub fn of_several_queries(mut self) -> Self {
        self.with_query = MarkId::any_query(&self.site_name, &self.host, &self.path);
        self
    }

    /// The mark ids of every path prefix, whole segments, from the root on: with the host and for all hosts.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = MarkId> {
        let path = self.path.as_ref();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.flat_map(move |end| {
            let prefix = &path[..end];
            [MarkId::prefix(&self.site_name, None, prefix), MarkId::prefix(&self.site_name, Some(&self.host), prefix)]
        })
    }
}

impl MarkId {
    /// The id under which a purge with this selector is kept.
    pub(crate) fn of(site: &SiteName, selector: &Selector) -> Self {
        match selector {
            Selector::Url { host, path, query } => Self::url(site, host, path, query.as_deref()),
            Selector::Tag(tag) => Self::tag(site, tag),
            Selector::Prefix { host, path } => Self::prefix(site, host.as_deref(), path),
            Selector::All => Self::site(site),
        }
    }

    /// The further ids under which a purge is kept: that of one query, for responses that answer several; that of one
    /// host, for responses that its site's hosts share.
    pub(crate) fn further(site: &SiteName, selector: &Selector) -> SmallVec<[Self; 3]> {
        match selector {
            Selector::Url { host, path, query } => {
                let shared = Self::url(site, ANY_HOST, path, query.as_deref());
                let several = query.iter().flat_map(|_| [host, ANY_HOST]).map(|host| Self::any_query(site, host, path));
                std::iter::once(shared).chain(several).collect()
            }
            Selector::Prefix { host: Some(_), path } => SmallVec::from_iter([Self::prefix(site, Some(ANY_HOST), path)]),
            Selector::Prefix { host: None, .. } | Selector::Tag(_) | Selector::All => SmallVec::new(),
        }
    }

    /// The ids of what has changed where an unsafe method succeeded: one URL, and what answers several of its queries; both
    /// also of what hosts share.
    pub(crate) fn changed_url(site: &SiteName, host: &str, path: &str, query: Option<&str>) -> [Self; 4] {
        let url = |host| Self::url(site, host, path, Some(query.unwrap_or_default()));
        let several = |host| Self::any_query(site, host, path);
        [url(host), several(host), url(ANY_HOST), several(ANY_HOST)]
    }

    /// The id of a cache group.
    pub(crate) fn group(site: &SiteName, origin: &str, group: &str) -> Self {
        Self::hash(("group", site.as_str(), origin, group))
    }

    /// The id of all cache groups of an origin.
    pub(crate) fn any_group(site: &SiteName, origin: &str) -> Self {
        Self::hash(("any-group", site.as_str(), origin))
    }

    /// The id of a site.
    pub(crate) fn site(site: &SiteName) -> Self {
        Self::hash(("site", site.as_str()))
    }

    fn url(site: &SiteName, host: &str, path: &str, query: Option<&str>) -> Self {
        Self::hash(("url", site.as_str(), host, path, query))
    }

    fn any_query(site: &SiteName, host: &str, path: &str) -> Self {
        Self::hash(("any-query", site.as_str(), host, path))
    }

    fn tag(site: &SiteName, tag: &str) -> Self {
        Self::hash(("tag", site.as_str(), tag))
    }

    fn prefix(site: &SiteName, host: Option<&str>, path: &str) -> Self {
        Self::hash(("prefix", site.as_str(), host, path))
    }

    fn hash(parts: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self(hasher.finish())
    }
}
