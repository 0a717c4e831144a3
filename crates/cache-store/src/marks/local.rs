//! Local marks: what this node itself has seen change, by unsafe methods (RFC 9111 §4.4) and by cache groups (RFC 9875).
//!
//! They are like hard purges, but under a count of the node's own that no log knows of. It goes on over restarts where there
//! is a disk; without one, what is stored was fetched after everything that a node will count.

use std::collections::{BTreeMap, HashMap};

use holm_model::ids::SiteName;
use smallvec::SmallVec;

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

/// One id that has changed, and its site's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) site: MarkId,
    pub(super) id: MarkId,
}

/// What a site has seen change, and when: for keeping.
pub(super) struct KeptSite {
    pub(super) site: MarkId,
    pub(super) forgotten: u64,
    pub(super) marks: Vec<(MarkId, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct LocalMarks {
    count: u64,
    /// By the site's own id.
    sites: HashMap<MarkId, SiteMarks>,
    /// How many marks all sites have.
    total: usize,
    /// Nothing older is stored: a sweep is about to drop the marks up to here.
    floor: u64,
    /// Marks up to here were dropped: what is older, and was not held against them then, counts as changed.
    dropped: u64,
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

    /// Notes what has changed under `count`, which is newer than all before or the latest.
    pub(super) fn note(&mut self, count: u64, changes: impl IntoIterator<Item = Change>) {
        self.count = count.max(self.count);
        for Change { site, id } in changes {
            let known = self.sites.entry(site).or_default().marks.insert(id, count);
            self.total += usize::from(known.is_none());
        }
        while self.total > MAX_LOCAL_MARKS {
            self.forget_oldest();
        }
    }

    /// Has any of it changed since?
    pub(super) fn concern(&self, scope: &Scope, since: Local) -> bool {
        since.0 < self.dropped || self.sites.get(&scope.site()).is_some_and(|site| site.concern(scope, since))
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) const fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Everything from before counts as changed from now on.
    pub(super) fn renounce(&mut self) {
        self.sites.clear();
        self.total = 0;
        self.count += 1;
        (self.floor, self.dropped) = (self.count, self.count);
    }

    pub(super) fn begin_fill(&mut self) {
        *self.fills.entry(self.count).or_default() += 1;
    }

    pub(super) fn end_fill(&mut self, begun_at: Local) {
        if let Some(count) = self.fills.get_mut(&begun_at.0) {
            *count -= 1;
            if *count == 0 {
                self.fills.remove(&begun_at.0);
            }
        }
    }

    /// How many marks a sweep would drop.
    pub(super) fn droppable(&self) -> usize {
        let floor = self.next_floor();
        self.sites.values().flat_map(|site| site.marks.values()).filter(|at| **at <= floor).count()
    }

    /// Raises the floor to what every fill under way is newer than.
    pub(super) fn begin_sweep(&mut self) -> u64 {
        self.floor = self.next_floor();
        self.floor
    }

    fn next_floor(&self) -> u64 {
        self.fills.keys().next().copied().unwrap_or(self.count).max(self.floor)
    }

    /// Drops the marks up to `floor`: everything stored is newer or was held against them.
    pub(super) fn end_sweep(&mut self, floor: u64) {
        self.dropped = floor.max(self.dropped);
        self.sites.retain(|_, site| {
            site.marks.retain(|_, at| *at > floor);
            !site.marks.is_empty() || site.forgotten > floor
        });
        self.total = self.sites.values().map(|site| site.marks.len()).sum();
    }

    /// Everything, for keeping.
    pub(super) fn sites(&self) -> impl Iterator<Item = KeptSite> {
        self.sites.iter().map(|(site, known)| KeptSite {
            site: *site,
            forgotten: known.forgotten,
            marks: known.marks.iter().map(|(id, at)| (*id, *at)).collect(),
        })
    }

    /// Takes over what was kept of a site, or a part of it.
    pub(super) fn restore(&mut self, kept: KeptSite) {
        let site = self.sites.entry(kept.site).or_default();
        site.forgotten = kept.forgotten.max(site.forgotten);
        let before = site.marks.len();
        site.marks.extend(kept.marks);
        self.total += site.marks.len() - before;
    }

    /// Takes over a count and a floor that were kept.
    pub(super) fn restore_counts(&mut self, count: u64, dropped: u64) {
        self.count = count.max(self.count);
        self.end_sweep(dropped);
        self.floor = self.floor.max(dropped);
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

impl Changed<'_> {
    /// The ids that have changed.
    pub(super) fn ids(&self) -> SmallVec<[Change; 4]> {
        let of = |site, ids: &[MarkId]| ids.iter().map(|id| Change { site: MarkId::site(site), id: *id }).collect();
        match *self {
            Self::Url { site, host, path, query } => of(site, &MarkId::changed_url(site, host, path, query)),
            Self::AnyGroup { site, origin } => of(site, &[MarkId::any_group(site, origin)]),
            Self::Group { site, origin, group } => of(site, &[MarkId::group(site, origin, group)]),
        }
    }
}

/// Of all sites: some 4 MB. A sweep drops them long before, unless someone writes thousands of times a second to what is
/// cached.
const MAX_LOCAL_MARKS: usize = 100_000;
