//! A node's cache: what both roles, edge and shield, do with a request once its route is known.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use holm_cache_policy::{CacheKey, KeyInput, MissReason, Outcome, RequestDirectives, StaleReason, VaryValues, Verdict};
use holm_cache_store::{Marks, Memory, Object, Standing};
use holm_control::Control;
use holm_model::ids::{LogId, NodeName, Seq};
use holm_model::manifest::Languages;
use holm_model::purge::PurgeEntry;
use holm_model::units::{ByteSize, Timestamp};
use holm_telemetry::{Registry, Throttle, names};
use holm_transport::body::Body;
use holm_upstream::ShieldClient;
use http::header::{AGE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::sync::watch;

use crate::address::Authority;
use crate::answer::{self, Source};
use crate::files::FileHop;
use crate::fill::{FillBudget, FillTable};
use crate::hop::{HopError, NextHop, Way};
use crate::internal::{self, Scheme};
use crate::origin_hop::OriginHop;
use crate::report::Report;
use crate::shield_hop::ShieldHop;
use crate::site::{Content, Site, SiteRoute, SiteTable};
use crate::stored::{Stored, StoredResponse};

/// A cached response with its body.
pub(crate) type CachedObject = Arc<Object<Stored>>;

/// One role's cache and everything that fills it.
pub struct Node {
    pub(crate) role: Role,
    pub(crate) sites: SiteTable,
    pub(crate) memory: Memory<Stored>,
    pub(crate) marks: Arc<Marks>,
    /// What the marks have applied, for those who wait for it.
    pub(crate) applied: watch::Sender<Seq>,
    pub(crate) fills: Arc<FillTable>,
    pub(crate) budget: Arc<FillBudget>,
    /// For routes with an origin.
    pub(crate) hop: Arc<dyn NextHop>,
    /// For routes with files.
    pub(crate) files: Arc<dyn NextHop>,
    /// The largest body that is stored, in bytes.
    pub(crate) max_object: u64,
    /// Failures of hops and of handlers are logged, not each of them.
    pub(crate) failures: Throttle,
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
    /// What the sender of an internal hop had applied.
    pub(crate) sender_applied: Seq,
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
}

/// What a look-up found.
pub(crate) enum Found {
    /// Nothing usable; the key that a fill goes under.
    Nothing(CacheKey, MissReason),
    /// A response; `soft_since` if a soft purge made it stale.
    Response { key: CacheKey, object: CachedObject, head: Arc<StoredResponse>, soft_since: Option<Timestamp> },
    /// The last response could not be stored.
    Unstorable(&'static str),
}

impl Node {
    /// An edge: what its cache can't answer goes to the shields, files come from the control plane's store.
    #[must_use]
    pub fn edge(memory: ByteSize, shields: ShieldClient, control: &Arc<Control>) -> Arc<Self> {
        Self::new(Role::Edge, memory, ShieldHop::new(shields), control)
    }

    /// A shield: what its cache can't answer goes to the origins.
    #[must_use]
    pub fn shield(memory: ByteSize, control: &Arc<Control>) -> Arc<Self> {
        Self::new(Role::Shield, memory, Arc::new(OriginHop), control)
    }

    fn new(role: Role, memory: ByteSize, hop: Arc<dyn NextHop>, control: &Arc<Control>) -> Arc<Self> {
        let fills = memory.get() / FILL_SHARE;
        let memory = Memory::new(ByteSize::bytes(memory.get() - fills));
        Arc::new(Self {
            role,
            sites: SiteTable::default(),
            max_object: memory.max_object().min(fills),
            memory,
            marks: Marks::new(),
            applied: watch::Sender::new(Seq::ZERO),
            fills: FillTable::new(),
            budget: FillBudget::new(fills),
            hop,
            files: FileHop::new(control),
            failures: Throttle::new(FAILURES_LOGGED),
            no_route: "".into(),
        })
    }

    /// The sites that it serves.
    #[must_use]
    pub const fn sites(&self) -> &SiteTable {
        &self.sites
    }

    /// Sets the node's gauges.
    pub fn collect(&self, name: &NodeName, registry: &Registry) {
        let (node, tier) = (("node", name.as_str()), ("tier", self.role.as_str()));
        let stats = self.memory.stats();
        registry.set(names::CACHE_OBJECTS, &[node, tier], float(stats.objects));
        registry.set(names::CACHE_BYTES, &[node, tier], float(stats.bytes));
        registry.set(names::CACHE_EVICTIONS, &[node, tier, ("reason", "size")], float(stats.evicted));
        registry.set(names::PURGE_MARKS, &[node], float(self.marks.len() as u64));
    }

    /// Waits until look-ups see every purge up to `seq`, at most `limit`; were they there in time?
    pub(crate) async fn has_applied(&self, seq: Seq, limit: Duration) -> bool {
        if self.marks.applied() >= seq {
            return true;
        }
        let mut applied = self.applied.subscribe();
        tokio::time::timeout(limit, applied.wait_for(|applied| *applied >= seq)).await.is_ok_and(|found| found.is_ok())
    }

    /// Begins to follow a purge log whose entries up to `applied` concern nothing that is held here.
    pub(crate) fn follow(&self, log: LogId, applied: Seq) {
        if self.marks.follow(log, applied) {
            self.memory.clear();
        }
        self.applied.send_replace(self.marks.applied());
    }

    /// Frees what purges have rejected. Takes time in proportion to what is held.
    pub(crate) fn sweep(&self) {
        if !self.marks.is_empty() {
            self.memory.sweep(&self.marks);
        }
    }

    /// Applies a purge; look-ups see it once this returns.
    pub(crate) fn apply(&self, entry: &PurgeEntry) {
        self.marks.apply(entry);
        self.applied.send_replace(self.marks.applied());
    }

    /// Answers a request from the cache, or from the next hop through the cache where that may be.
    pub(crate) async fn respond(self: &Arc<Self>, target: Target<'_>, request: Request<Body>) -> Reply {
        let now = now();
        if let Some(reason) = self.bypass_reason(&target, &request) {
            return self.pass(&target, request, Report::forward(Outcome::Bypass, reason)).await;
        }
        let directives = RequestDirectives::parse(request.headers());
        // Read before the look-up: a fresh hit is good for what was applied by then (architecture.md, "Purge").
        let applied = self.marks.applied();
        let primary = target.key(&request);
        match self.look_up(primary, request.headers(), &target.route.rule.languages, now) {
            Found::Response { key, object, head, soft_since } => {
                match head.meta.verdict(&directives, now, soft_since) {
                    Verdict::Serve => self.hit(&request, &object, &head, applied, now),
                    Verdict::ServeStale(reason) => {
                        self.revalidate_behind(&target, &request, key, (&object, &head));
                        self.stale(&request, &object, &head, reason, now)
                    }
                    Verdict::Revalidate(reason) if directives.only_if_cached() => self.not_cached(reason.as_str()),
                    Verdict::Revalidate(reason) => {
                        let outcome = if reason == StaleReason::Request { Outcome::Request } else { Outcome::Stale };
                        let report = Report::forward(outcome, reason.as_str());
                        Box::pin(self.fill(&target, request, key, Some((object, head)), report)).await
                    }
                    Verdict::Fetch(reason) => {
                        let report = Report::forward(reason.outcome(), reason.as_str());
                        Box::pin(self.miss(&target, request, key, &directives, report)).await
                    }
                }
            }
            Found::Unstorable(reason) if directives.only_if_cached() => self.not_cached(reason),
            Found::Unstorable(reason) => {
                let report = Report::forward(Outcome::Miss, "hit-for-miss").with_cause(reason);
                Box::pin(self.pass(&target, request, report)).await
            }
            Found::Nothing(key, reason) => {
                let report = Report::forward(reason.outcome(), reason.as_str());
                Box::pin(self.miss(&target, request, key, &directives, report)).await
            }
        }
    }

    /// Looks a URL up, then its variant where responses vary. Purged entries are as good as absent.
    pub(crate) fn look_up(
        &self,
        primary: CacheKey,
        headers: &HeaderMap,
        languages: &Languages,
        now: Timestamp,
    ) -> Found {
        let Some(object) = self.memory.get(primary.0) else {
            return Found::Nothing(primary, MissReason::UriMiss);
        };
        match object.meta() {
            Stored::Response(_) => self.stand(primary, object),
            Stored::Unstorable { until, .. } if *until <= now => Found::Nothing(primary, MissReason::UriMiss),
            Stored::Unstorable { reason, .. } => Found::Unstorable(reason),
            Stored::Variants(variants) => {
                let key = variants.key(primary, &VaryValues::of(&variants.spec, headers, languages));
                match self.memory.get(key.0) {
                    Some(object) => self.stand(key, object),
                    None => Found::Nothing(key, MissReason::VaryMiss),
                }
            }
        }
    }

    /// What the purge marks leave of an object.
    fn stand(&self, key: CacheKey, object: CachedObject) -> Found {
        let soft_since = match self.marks.standing_of(&object) {
            Standing::Hard => return Found::Nothing(key, MissReason::Purged),
            Standing::Soft { since } => Some(since),
            Standing::Live => None,
        };
        match object.meta() {
            Stored::Response(head) => {
                let head = Arc::clone(head);
                Found::Response { key, object, head, soft_since }
            }
            Stored::Variants(_) => Found::Nothing(key, MissReason::UriMiss),
            Stored::Unstorable { reason, .. } => Found::Unstorable(reason),
        }
    }

    fn hit(
        &self,
        request: &Request<Body>,
        object: &CachedObject,
        head: &Arc<StoredResponse>,
        as_of: Seq,
        now: Timestamp,
    ) -> Reply {
        let response = answer::from_stored(request, head, Source::Whole(object.body().clone()), now);
        Reply::new(response, Report::hit(head.meta.ttl(now)), as_of)
    }

    pub(crate) fn stale(
        &self,
        request: &Request<Body>,
        object: &CachedObject,
        head: &Arc<StoredResponse>,
        reason: StaleReason,
        now: Timestamp,
    ) -> Reply {
        let response = answer::from_stored(request, head, Source::Whole(object.body().clone()), now);
        let report = Report::stale_hit(head.meta.ttl(now), reason.as_str());
        // A stale answer must not wash a soft purge away at the tier before us.
        Reply::new(response, report, object.as_of())
    }

    /// A miss: shared where the request allows it, else for this client alone.
    async fn miss(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: Request<Body>,
        key: CacheKey,
        directives: &RequestDirectives,
        report: Report,
    ) -> Reply {
        if directives.only_if_cached() {
            return self.not_cached("only-if-cached");
        }
        let alone = if request.method() == Method::HEAD {
            Some("head")
        } else if request.headers().contains_key(http::header::RANGE) {
            Some("cold-range")
        } else if directives.no_store() {
            Some("request-no-store")
        } else {
            None
        };
        match alone {
            Some(reason) => self.pass(target, request, report.with_cause(reason)).await,
            None => self.fill(target, request, key, None, report).await,
        }
    }

    /// Sends a request on for its client alone: nothing is shared, nothing is stored, the bodies are back-pressured.
    pub(crate) async fn pass(self: &Arc<Self>, target: &Target<'_>, request: Request<Body>, report: Report) -> Reply {
        let way = target.way(self.begin_seq(target), request.version());
        let unsafe_method = !request.method().is_safe();
        let primary = unsafe_method.then(|| CacheKey::primary(&target.key_input(&request)));
        let (as_of, sent) = (way.as_of, self.hop_for(target.content).send(request, way).await);
        match sent {
            Ok(answer) => {
                let status = answer.response.status();
                if let Some(primary) = primary.filter(|_| !status.is_client_error() && !status.is_server_error()) {
                    // RFC 9111 §4.4: a success of an unsafe method invalidates what is stored of its target.
                    self.memory.remove(primary.0);
                    self.fills.spoil(primary.0);
                }
                let report = report.fwd_status(status);
                Reply::new(answer.response, report, answer.as_of)
            }
            Err(error) => self.failed(&error, report, as_of),
        }
    }

    /// The response to a request that no hop answered.
    pub(crate) fn failed(&self, error: &HopError, report: Report, as_of: Seq) -> Reply {
        if let Some(kept_back) = self.failures.admit() {
            let (role, status) = (self.role.as_str(), error.status.as_u16());
            tracing::info!(role, status, reason = error.reason, detail = %error.detail, kept_back, "no answer");
        }
        let response = answer::error(error.status, error.reason);
        Reply { error: Some(error.reason), ..Reply::new(response, report.with_cause(error.reason), as_of) }
    }

    /// RFC 9111 §5.2.1.7.
    fn not_cached(&self, reason: &'static str) -> Reply {
        let response = answer::error(StatusCode::GATEWAY_TIMEOUT, "only-if-cached");
        let report = Report::local(Outcome::Refused, "only-if-cached").with_cause(reason);
        Reply::new(response, report, self.marks.applied())
    }

    pub(crate) fn bypass_reason(&self, target: &Target<'_>, request: &Request<Body>) -> Option<&'static str> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some("method");
        }
        if !target.route.rule.enabled {
            return Some("route");
        }
        if !request.body().is_end_stream() {
            return Some("request-body");
        }
        request.headers().contains_key(http::header::UPGRADE).then_some("upgrade")
    }

    pub(crate) fn hop_for(&self, content: &Content) -> &Arc<dyn NextHop> {
        match content {
            Content::Origin(_) => &self.hop,
            Content::Files(_) => &self.files,
        }
    }

    /// The seq that a fetch which begins now is good for.
    pub(crate) fn begin_seq(&self, target: &Target<'_>) -> Seq {
        self.marks.applied().max(target.sender_applied)
    }
}

impl Role {
    /// Makes places in stored headers for the fields that each answer has values of its own for: the copy that an answer
    /// is made of then has room for them, and need not grow.
    pub(crate) fn reserve(self, headers: &mut HeaderMap) {
        let own = match self {
            Self::Edge => CACHE_STATUS,
            Self::Shield => internal::AS_OF,
        };
        headers.insert(AGE, HeaderValue::from_static("0"));
        headers.insert(own, HeaderValue::from_static("0"));
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
    /// A response with nothing wrong about it.
    pub(crate) const fn new(response: Response<Body>, report: Report, as_of: Seq) -> Self {
        Self { response, report, as_of, error: None }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Target<'_> {
    pub(crate) fn key(&self, request: &Request<Body>) -> CacheKey {
        CacheKey::primary(&self.key_input(request))
    }

    pub(crate) fn key_input<'a>(&'a self, request: &'a Request<Body>) -> KeyInput<'a> {
        let site = match self.content {
            Content::Origin(_) => self.site.name().as_str(),
            Content::Files(files) => files.salt(),
        };
        KeyInput {
            site,
            scheme: self.scheme.as_str(),
            host: self.authority.host(),
            port: self.authority.port(self.scheme),
            path: request.uri().path(),
            query: request.uri().query(),
            rule: &self.route.rule.key,
        }
    }

    pub(crate) fn way(&self, as_of: Seq, version: http::Version) -> Way {
        Way {
            site: Arc::clone(self.site),
            content: self.content.clone(),
            scheme: self.scheme,
            authority: self.authority.clone(),
            client: self.client,
            as_of,
            version,
        }
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

/// The time, as the policy counts it.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

#[cfg(test)]
mod tests;
