//! Local marks: what this node itself has seen change, by unsafe methods (RFC 9111 §4.4) and by cache groups (RFC 9875).
//!
//! They are like hard purges, but under a count of the node's own that no log knows of and no restart keeps: what is
//! stored when a node begins was fetched after everything that it will count.

use std::collections::{BTreeMap, HashMap};

use holm_model::ids::SiteName;

use crate::scope::{MarkId, Scope};

/// How many invalidations a node has seen: as of which one something was fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Local(pub(crate) u64);

/// What an invalidation concerns.
#[derive(Debug, Clone, Copy)]
pub enum Changed<'a> {
    /// Every response of a URL: all variants, all keyed fields; of several queries where a response answers them.
    Url {
        /// The site.
        site: &'a SiteName,
        /// In lower case, without a port.
        host: &'a str,
        /// In its normal form.
        path: &'a str,
        /// Without the question mark.
        query: Option<&'a str>,
    },
    /// Every response in any cache group of an origin.
    AnyGroup {
        /// The site.
        site: &'a SiteName,
        /// Scheme, host and port.
        origin: &'a str,
    },
    /// Every response in a cache group of an origin.
    Group {
        /// The site.
        site: &'a SiteName,
        /// Scheme, host and port.
        origin: &'a str,
        /// The group's name.
        group: &'a str,
    },
}

#[derive(Debug, Default)]
pub(super) struct LocalMarks {
    count: u64,
    /// By the site's own id.
    sites: HashMap<MarkId, SiteMarks>,
    /// How many marks all sites have.
    total: usize,
    /// Marks up to here may have been dropped, once everything stored was held against them: nothing older is stored.
    floor: u64,
    /// How many fills began at each count and are still under way.
    fills: BTreeMap<u64, usize>,
}

#[derive(Debug, Default)]
struct SiteMarks {
    marks: HashMap<MarkId, u64>,
    /// Marks up to here were dropped before everything stored was held against them: what is older counts as changed.
    forgotten: u64,
}

impl LocalMarks {
    pub(super) const fn len(&self) -> usize {
        self.total
    }

    /// Notes what has changed. Gives the new count.
    pub(super) fn note(&mut self, changed: &[Changed<'_>]) -> u64 {
        self.count += 1;
        for changed in changed {
            let site = self.sites.entry(MarkId::site(changed.site())).or_default();
            let before = site.marks.len();
            site.note(*changed, self.count);
            self.total += site.marks.len() - before;
        }
        while self.total > MAX_LOCAL_MARKS {
            self.forget_oldest();
        }
        self.count
    }

    /// Has any of it changed since?
    pub(super) fn concern(&self, scope: &Scope, since: Local) -> bool {
        self.sites.get(&scope.site()).is_some_and(|site| site.concern(scope, since))
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn begin_fill(&mut self) -> Local {
        *self.fills.entry(self.count).or_default() += 1;
        Local(self.count)
    }

    pub(super) fn end_fill(&mut self, begun_at: Local) {
        if let Some(count) = self.fills.get_mut(&begun_at.0) {
            *count -= 1;
            if *count == 0 {
                self.fills.remove(&begun_at.0);
            }
        }
    }

    /// Raises the floor to what every fill under way is newer than.
    pub(super) fn begin_sweep(&mut self) -> u64 {
        let oldest_fill = self.fills.keys().next().copied().unwrap_or(self.count);
        self.floor = oldest_fill.max(self.floor);
        self.floor
    }

    /// Drops the marks up to `floor`: everything stored is newer or was held against them.
    pub(super) fn end_sweep(&mut self, floor: u64) {
        self.sites.retain(|_, site| {
            site.marks.retain(|_, at| *at > floor);
            !site.marks.is_empty() || site.forgotten > floor
        });
        self.total = self.sites.values().map(|site| site.marks.len()).sum();
    }

    /// More is not remembered. The site with the most marks bears the cost: what others have stored stays.
    fn forget_oldest(&mut self) {
        if let Some(site) = self.sites.values_mut().max_by_key(|site| site.marks.len()) {
            self.total -= site.marks.len();
            site.forget_oldest();
            self.total += site.marks.len();
        }
    }
}

impl SiteMarks {
    fn note(&mut self, changed: Changed<'_>, count: u64) {
        match changed {
            Changed::Url { site, host, path, query } => {
                let ids = MarkId::changed_url(site, host, path, query);
                self.marks.extend(ids.map(|id| (id, count)));
            }
            Changed::AnyGroup { site, origin } => {
                self.marks.insert(MarkId::any_group(site, origin), count);
            }
            Changed::Group { site, origin, group } => {
                self.marks.insert(MarkId::group(site, origin, group), count);
            }
        }
    }

    fn concern(&self, scope: &Scope, since: Local) -> bool {
        let newer = |id: MarkId| self.marks.get(&id).is_some_and(|at| *at > since.0);
        since.0 < self.forgotten || newer(scope.with_query()) || scope.groups().any(newer)
    }

    /// What is older than the newer half counts as changed from now on. That costs misses.
    fn forget_oldest(&mut self) {
        let mut counts: Vec<u64> = self.marks.values().copied().collect();
        let middle = counts.len() / 2;
        let (_, newest, _) = counts.select_nth_unstable(middle);
        let newest = *newest;
        self.forgotten = newest;
        self.marks.retain(|_, at| *at > newest);
    }
}

impl<'a> Changed<'a> {
    const fn site(&self) -> &'a SiteName {
        match self {
            Self::Url { site, .. } | Self::AnyGroup { site, .. } | Self::Group { site, .. } => site,
        }
    }
}

/// Of all sites: some 4 MB. A sweep drops them long before, unless someone writes thousands of times a second to what is
/// cached.
const MAX_LOCAL_MARKS: usize = 100_000;
