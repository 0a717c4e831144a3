//! A node's cache: what both roles, edge and shield, do with a request once its route is known.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use holm_cache_policy::{CacheKey, KeyInput, NoVarySearch};
use holm_cache_store::{DiskStats, Followed, Marks, Moment, Object, Store, StoreError, StoreStats};
use holm_control::Control;
use holm_model::ids::{LogId, NodeName, Seq};
use holm_model::manifest::{DiskAdmission, KeyRule};
use holm_model::purge::PurgeEntry;
use holm_model::units::{ByteSize, Timestamp};
use holm_telemetry::{Registry, Throttle, names};
use holm_transport::body::Body;
use holm_upstream::ShieldClient;
use http::header::{AGE, HeaderName};
use http::{Request, Response};
use tokio::sync::watch;

use crate::address::Authority;
use crate::faults::Faults;
use crate::files::FileHop;
use crate::fill::{FillBudget, FillOutcome, FillTable};
use crate::hop::{HopError, NextHop, Way};
use crate::interim::Listener;
use crate::internal::{self, Scheme};
use crate::origin_hop::OriginHop;
use crate::patience::Patience;
use crate::report::Report;
use crate::shield_hop::ShieldHop;
use crate::site::{Content, Site, SiteRoute, SiteTable};
use crate::slices::SliceTable;
use crate::store_config::StoreConfig;
use crate::stored::{Aside, Stored};
use crate::traces::Traces;
use crate::underway::Underway;

/// A cached response with its body.
pub(crate) type CachedObject = Arc<Object<Stored>>;

/// One role's cache and everything that fills it.
pub struct Node {
    pub(crate) role: Role,
    pub(crate) sites: SiteTable,
    pub(crate) store: Store<Stored>,
    pub(crate) marks: Arc<Marks>,
    /// What the marks have applied, for those who wait for it.
    pub(crate) applied: watch::Sender<Seq>,
    pub(crate) fills: Arc<FillTable>,
    /// Where a URL's own key does not tell that something of it may be here.
    pub(crate) traces: Traces,
    /// Where they outlive a clean stop.
    traces_file: Option<PathBuf>,
    /// The fetches that may store something.
    pub(crate) underway: Arc<Underway>,
    /// The slices that are being fetched.
    pub(crate) slices: Arc<SliceTable>,
    pub(crate) budget: Arc<FillBudget>,
    /// For routes with an origin.
    pub(crate) hop: Arc<dyn NextHop>,
    /// For routes with files.
    pub(crate) files: Arc<dyn NextHop>,
    /// The largest body that is stored, in bytes.
    pub(crate) max_object: u64,
    /// The largest body that is held in memory as a whole, in bytes.
    pub(crate) max_held: u64,
    /// With the disk.
    pub(crate) patience: Patience,
    /// Failures of hops and of handlers are logged, not each of them.
    pub(crate) failures: Throttle,
    /// What of it is broken.
    pub(crate) faults: Faults,
    /// The name, in metrics, of what no route matched.
    pub(crate) no_route: Arc<str>,
}

/// Which of the two tiers a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Near the clients.
    Edge,
    /// In front of the origins.
    Shield,
}

/// Where a request goes: the site, its route, and the parts of the URL that name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) site: &'a Arc<Site>,
    pub(crate) route: &'a SiteRoute,
    pub(crate) content: &'a Content,
    pub(crate) scheme: Scheme,
    pub(crate) authority: &'a Authority,
    pub(crate) client: IpAddr,
    /// The same, as one that may be told something before its answer.
    pub(crate) listener: &'a Listener<'a>,
    /// The digest of a QUERY's content and its type.
    pub(crate) content_digest: Option<[u8; 32]>,
}

/// A response and what is to be said of it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<Body>,
    pub(crate) report: Report,
    /// The seq that the answer is good for.
    pub(crate) as_of: Seq,
    /// Why no hop answered, where this response was made for want of one.
    pub(crate) error: Option<&'static str>,
    /// It was made of a stored response, or of one that is being stored: its `Age` holds the time that its fetch took, and
    /// what no client shall see is gone from it already.
    pub(crate) from_cache: bool,
    /// The failure that this stale response stands in for.
    pub(crate) bridged: Option<HopError>,
}

impl Node {
    /// An edge: what its cache can't answer goes to the shields, files come from the control plane's store. Blocks while it
    /// opens what is on disk.
    ///
    /// # Errors
    /// The store can't be opened.
    pub fn edge(store: &StoreConfig, shields: ShieldClient, control: &Arc<Control>) -> Result<Arc<Self>, StoreError> {
        Self::new(Role::Edge, store, ShieldHop::new(shields), control)
    }

    /// A shield: what its cache can't answer goes to the origins. Blocks while it opens what is on disk.
    ///
    /// # Errors
    /// The store can't be opened.
    pub fn shield(store: &StoreConfig, control: &Arc<Control>) -> Result<Arc<Self>, StoreError> {
        Self::new(Role::Shield, store, Arc::new(OriginHop), control)
    }

    fn new(
        role: Role,
        config: &StoreConfig,
        hop: Arc<dyn NextHop>,
        control: &Arc<Control>,
    ) -> Result<Arc<Self>, StoreError> {
        let fills = config.memory.get() / FILL_SHARE;
        let faults = Faults::new();
        let store = config.open(ByteSize::bytes(config.memory.get() - fills), &faults)?;
        let max_held = store.max_in_memory().min(fills);
        let traces_file = config.journal.as_deref().filter(|_| store.has_disk()).map(|journal| journal.join(TRACES));
        let traces = traces_file.as_deref().and_then(Traces::taken_from).unwrap_or_else(|| {
            let traces = Traces::new();
            if !store.is_empty() {
                // Of what was stored before a crash nobody remembers the traces.
                traces.leave_all();
            }
            traces
        });
        Ok(Arc::new(Self {
            role,
            sites: SiteTable::default(),
            max_object: if store.has_disk() { store.max_on_disk() } else { max_held },
            max_held,
            marks: Arc::clone(store.marks()),
            store,
            applied: watch::Sender::new(Seq::ZERO),
            fills: FillTable::new(),
            traces,
            traces_file,
            underway: Underway::new(),
            slices: SliceTable::new(),
            budget: FillBudget::new(fills),
            hop,
            files: FileHop::new(control),
            patience: Patience::default(),
            failures: Throttle::new(FAILURES_LOGGED),
            faults,
            no_route: "".into(),
        }))
    }

    /// The sites that it serves.
    #[must_use]
    pub const fn sites(&self) -> &SiteTable {
        &self.sites
    }

    /// Sets the node's gauges.
    pub fn collect(&self, name: &NodeName, registry: &Registry) {
        let (node, tier) = (("node", name.as_str()), ("tier", self.role.as_str()));
        let StoreStats { memory: stats, disk } = self.store.stats();
        let memory = [node, tier, ("store", "memory")];
        registry.set(names::CACHE_OBJECTS, &memory, float(stats.objects));
        registry.set(names::CACHE_BYTES, &memory, float(stats.bytes));
        let evicted = [node, tier, ("store", "memory"), ("reason", "size")];
        registry.set(names::CACHE_EVICTIONS, &evicted, float(stats.evicted));
        if let Some(stats) = &disk {
            collect_disk([node, tier], stats, registry);
            registry.set(names::DISK_GIVEN_UP, &[node, tier], float(self.patience.given_up()));
        }
        registry.set(names::FILL_BYTES, &[node, tier], float(self.budget.used()));
        registry.set(names::FILL_WAITERS, &[node, tier], float(self.fills.counts.waiters()));
        for outcome in FillOutcome::ALL {
            let ended = float(self.fills.counts.ended(outcome));
            registry.set(names::FILLS, &[node, tier, ("outcome", outcome.as_str())], ended);
        }
        registry.set(names::PURGE_MARKS, &[node], float(self.marks.len() as u64));
    }

    /// Brings what the disk was promised to the device: the next start finds it. The last thing to do. Blocks.
    pub fn close(&self) {
        self.store.close();
        if let Some(Err(error)) = self.traces_file.as_deref().map(|path| self.traces.save(path)) {
            tracing::warn!(%error, "the next start knows less of what is stored");
        }
    }

    /// The object of this key, from memory or from disk: one that the disk does not give in time is as good as absent.
    pub(crate) async fn find(&self, key: u128) -> Option<CachedObject> {
        match self.store.get(key) {
            None if self.store.on_disk(key) => self.patience.wait(self.store.find(key)).await.flatten(),
            found => found,
        }
    }

    /// Are slices spilled to disk while a body arrives, where so much of it goes there? Else they stay in memory until its end.
    pub(crate) fn spills(&self, disk: DiskAdmission) -> bool {
        self.store.has_disk() && disk != DiskAdmission::Never
    }

    /// Waits until look-ups see every purge up to `seq`, at most `limit`; were they there in time?
    pub(crate) async fn has_applied(&self, seq: Seq, limit: Duration) -> bool {
        if self.marks.applied() >= seq {
            return true;
        }
        let mut applied = self.applied.subscribe();
        tokio::time::timeout(limit, applied.wait_for(|applied| *applied >= seq)).await.is_ok_and(|found| found.is_ok())
    }

    /// Begins to follow a purge log that now holds the entries from `oldest` to `head`, and gives the one after which the
    /// next is to be applied. Blocks while it drops what the log says nothing of.
    pub(crate) fn follow(&self, log: LogId, head: Seq, oldest: Seq) -> Seq {
        let from = match self.marks.follow(log, head, oldest) {
            Followed::From(seq) => seq,
            Followed::Anew(seq) => {
                self.store.clear();
                seq
            }
        };
        self.applied.send_replace(from);
        from
    }

    /// Frees what purges have rejected. Takes time in proportion to what is held.
    pub(crate) fn sweep(&self) {
        if !self.marks.is_empty() {
            self.store.sweep();
        }
    }

    /// Should a sweep not wait for its time?
    pub(crate) fn marks_press(&self) -> bool {
        self.marks.presses()
    }

    /// Applies the next purges, in their order, and gives what is applied then; look-ups see them once this returns.
    pub(crate) fn apply(&self, entries: &[PurgeEntry]) -> Seq {
        self.marks.apply_all(entries);
        let applied = self.marks.applied();
        self.applied.send_replace(applied);
        applied
    }

    pub(crate) fn hop_for(&self, content: &Content) -> &Arc<dyn NextHop> {
        match content {
            Content::Origin(_) => &self.hop,
            Content::Files(_) => &self.files,
        }
    }
}

fn collect_disk(labels: [(&'static str, &str); 2], stats: &DiskStats, registry: &Registry) {
    let [node, tier] = labels;
    let disk = [node, tier, ("store", "disk")];
    registry.set(names::CACHE_OBJECTS, &disk, float(stats.objects));
    registry.set(names::CACHE_BYTES, &disk, float(stats.bytes));
    let evicted = [node, tier, ("store", "disk"), ("reason", "reclaimed")];
    registry.set(names::CACHE_EVICTIONS, &evicted, float(stats.reclaimed));
    registry.set(names::DISK_CAPACITY, &labels, float(stats.capacity));
    registry.set(names::DISK_INDEX_BYTES, &labels, float(stats.index_bytes));
    registry.set(names::DISK_WRITTEN, &labels, float(stats.written_bytes));
    registry.set(names::DISK_REINSERTED, &labels, float(stats.reinserted));
    registry.set(names::DISK_REFUSED, &labels, float(stats.refused));
    registry.set(names::DISK_READ_ERRORS, &labels, float(stats.damaged));
    for place in &stats.places {
        let path = place.path.display().to_string();
        registry.set(names::DISK_HEALTHY, &[node, tier, ("path", &path)], f64::from(u8::from(place.healthy)));
    }
}

impl Role {
    /// The fields that each answer has values of its own for.
    pub(crate) const fn answers_own(self) -> [HeaderName; 2] {
        match self {
            Self::Edge => [AGE, CACHE_STATUS],
            Self::Shield => [AGE, internal::AS_OF],
        }
    }

    /// The label of `tier` in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Shield => "shield",
        }
    }
}

impl Reply {
    /// A stored response, or one that is being stored.
    pub(crate) const fn from_cache(response: Response<Body>, report: Report, as_of: Seq) -> Self {
        Self { response, report, as_of, error: None, from_cache: true, bridged: None }
    }

    /// A response with nothing wrong about it.
    pub(crate) const fn new(response: Response<Body>, report: Report, as_of: Seq) -> Self {
        Self { response, report, as_of, error: None, from_cache: false, bridged: None }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("role", &self.role).finish_non_exhaustive()
    }
}

impl<'a> Target<'a> {
    /// Where the request of an edge's client goes.
    pub(crate) const fn of_client(
        site: &'a Arc<Site>,
        (route, content): (&'a SiteRoute, &'a Content),
        scheme: Scheme,
        authority: &'a Authority,
        (client, listener): (IpAddr, &'a Listener<'a>),
    ) -> Self {
        Self { site, route, content, scheme, authority, client, listener, content_digest: None }
    }
}

impl Target<'_> {
    pub(crate) fn key<B>(&self, request: &Request<B>) -> CacheKey {
        CacheKey::primary(&self.key_input(request))
    }

    /// What stands for the site in keys.
    pub(crate) fn key_site(&self) -> &str {
        match self.content {
            Content::Origin(_) => self.site.name().as_str(),
            Content::Files(files) => files.salt(),
        }
    }

    pub(crate) fn key_input<'a, B>(&'a self, request: &'a Request<B>) -> KeyInput<'a> {
        let input = key_input(self.key_site(), self.scheme, self.authority, request, &self.route.rule.key);
        KeyInput { content: self.content_digest, ..input }
    }

    /// What of the responses goes to disk.
    pub(crate) fn admission(&self) -> DiskAdmission {
        self.route.rule.disk
    }

    /// The target of a request whose response may be stored. What hosts share is fetched in the name of one of them: the
    /// origin does not learn which one this client asked for, so it can't write that into what all get.
    pub(crate) fn for_storing(self) -> Self {
        match self.site.first_host().filter(|_| self.route.rule.key.share_hosts) {
            Some(authority) => Self { authority, ..self },
            None => self,
        }
    }

    /// Of a fetch that began then. Where its answer is to be stored, the right to that began no later.
    pub(crate) fn way(&self, begun: Moment, version: http::Version) -> Way {
        Way {
            site: Arc::clone(self.site),
            content: self.content.clone(),
            scheme: self.scheme,
            authority: self.authority.clone(),
            client: self.client,
            begun,
            version,
        }
    }
}

/// The key of a URL's path, whatever its query.
pub(crate) fn path_key(input: &KeyInput<'_>) -> CacheKey {
    CacheKey::primary(&KeyInput { query: None, ..*input })
}

/// The key of every URL with a query that is equivalent (`No-Vary-Search`).
pub(crate) fn equivalent_key(input: &KeyInput<'_>, variance: &NoVarySearch) -> CacheKey {
    let common = variance.equivalence(input.query);
    CacheKey(Aside::Equivalent.of(CacheKey::primary(&KeyInput { query: Some(&common), ..*input })))
}

/// An origin (RFC 9110 §4.3.1) as text.
pub(crate) fn origin(scheme: Scheme, authority: &Authority) -> String {
    format!("{}://{}:{}", scheme.as_str(), authority.host(), authority.port(scheme))
}

/// What the key of a request is made of. `site` is what stands for the site.
pub(crate) fn key_input<'a, B>(
    site: &'a str,
    scheme: Scheme,
    authority: &'a Authority,
    request: &'a Request<B>,
    rule: &'a KeyRule,
) -> KeyInput<'a> {
    KeyInput {
        site,
        scheme: scheme.as_str(),
        host: authority.host(),
        port: authority.port(scheme),
        path: request.uri().path(),
        query: request.uri().query(),
        request: request.headers(),
        content: None,
        rule,
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
const fn float(number: u64) -> f64 {
    number as f64
}

/// RFC 9211.
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Failures that are logged in a second.
const FAILURES_LOGGED: u64 = 10;

/// Fills under way may hold one part in so many of a node's memory; the rest is the cache's.
const FILL_SHARE: u64 = 4;

/// The file of the traces, in the journal's folder.
const TRACES: &str = "traces";

/// The time, as the policy counts it.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

#[cfg(test)]
mod tests;
