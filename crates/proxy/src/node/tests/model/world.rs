//! Two tiers, their clients and the log that they follow.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use holm_cache_policy::CacheKey;
use holm_model::ids::{LogId, Seq};
use holm_model::purge::{PurgeEntry, PurgeMode};
use holm_model::units::ByteSize;
use holm_telemetry::{Shard, Telemetry};
use holm_transport::body::Body;
use holm_transport::interim::Interims;
use holm_transport::service::{ConnInfo, Protocol, Service, TlsInfo};
use http::Request;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::{Control, key, site, unreachable};
use super::oracle::{self, Asked, Oracle, Purge, Seen, What};
use super::origin::{self, Origin, URLS, Url};
use super::{How, Step, Tier};
use crate::StoreConfig;
use crate::edge::EdgeService;
use crate::hop::{Answer, HopError, NextHop, Way};
use crate::node::{Node, Role, now};
use crate::shield::ShieldService;
use crate::shield_hop;
use crate::site::Site;

/// The host that the model's clients ask.
pub(super) const HOST: &str = "shop.example";

pub(super) struct World {
    control: Arc<Control>,
    origin: Arc<Origin>,
    site: Arc<Site>,
    telemetry: Arc<Shard>,
    shield: Arc<Mutex<Shield>>,
    edge: Arc<Node>,
    clients: Vec<JoinHandle<()>>,
    oracle: Arc<Mutex<Oracle>>,
    log: LogId,
    entries: Vec<PurgeEntry>,
    /// The URLs that everyone asks for.
    urls: [usize; 2],
    /// Of the log's entries, those that are not acknowledged.
    waiting: Vec<(Seq, Purge)>,
}

impl World {
    pub(super) fn new(control: &Arc<Control>, urls: [usize; 2]) -> Self {
        let (origin, site) = (Arc::<Origin>::default(), Arc::new(site()));
        let shield = Arc::new(Mutex::new(shield_node(control, &origin, &site)));
        let telemetry = Telemetry::new().shard();
        let edge = edge_node(control, &shield, &site, &telemetry);
        let world = Self {
            control: Arc::clone(control),
            origin,
            site,
            telemetry,
            shield,
            edge,
            clients: Vec::new(),
            oracle: Arc::default(),
            log: LogId::from_bytes([1; 16]),
            entries: Vec::new(),
            urls,
            waiting: Vec::new(),
        };
        world.follow(&world.node(Tier::Edge));
        world.follow(&world.node(Tier::Shield));
        world
    }

    pub(super) fn verdict(&self) -> Result<(), String> {
        self.oracle.lock().wrong().map_or(Ok(()), |wrong| Err(wrong.clone()))
    }

    pub(super) fn seen(&self) -> Seen {
        self.oracle.lock().seen.clone()
    }

    pub(super) async fn step(&mut self, step: &Step) {
        self.oracle.lock().seen.one(name(step));
        match *step {
            Step::Ask { url, how } => self.ask(self.urls[url], how),
            Step::Leave(any) => self.leave(any),
            Step::Settle => settle().await,
            Step::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            Step::Wait => tokio::time::sleep(Duration::from_secs(30)).await,
            Step::Change(url) => self.origin.change(self.urls[url]),
            Step::Hold(holding) => self.origin.hold(holding),
            Step::Answer(any) => self.origin.go_on(any).await,
            Step::Break(any) => self.origin.break_off(any),
            Step::Fail => self.origin.fail_once(),
            Step::Purge { selector, soft, at_once } => {
                self.purge(selector, soft);
                if at_once {
                    self.apply(Tier::Shield, usize::MAX);
                    self.apply(Tier::Edge, usize::MAX);
                }
            }
            Step::Apply(tier, count) => self.apply(tier, count),
            Step::Evict(tier, url) => self.evict(tier, url.map(|url| self.urls[url])),
            Step::Sweep(tier) => self.node(tier).sweep(),
            Step::Restart(tier) => self.restart(tier),
            Step::NewLog => self.new_log(),
        }
    }

    /// Whatever waits goes on to its end; then everyone asks for everything.
    pub(super) async fn end(&mut self) {
        self.origin.hold(false);
        settle().await;
        while self.origin.held() > 0 {
            self.origin.go_on(0).await;
            settle().await;
        }
        self.apply(Tier::Shield, usize::MAX);
        self.apply(Tier::Edge, usize::MAX);
        for url in self.urls {
            self.ask(url, How::Plain);
            self.ask(url, How::Range(3, 20));
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        let unfinished = self.clients.iter().filter(|client| !client.is_finished()).count();
        assert_eq!(unfinished, 0, "clients that nobody answers");
    }

    fn ask(&mut self, url: usize, how: How) {
        let mut request = Request::builder().uri(URLS[url].target()).method(oracle::method(how)).header("host", HOST);
        let language = if how == How::German { "de" } else { "en" };
        request = request.header("accept-language", language);
        let version = self.origin.versions()[url];
        request = match how {
            How::Range(first, last) => request.header("range", format!("bytes={first}-{last}")),
            How::Conditional(ago) => {
                request.header("if-none-match", origin::etag(url, version.saturating_sub(ago), language))
            }
            How::Reload => request.header("cache-control", "no-cache"),
            How::Offline => request.header("cache-control", "only-if-cached"),
            How::Plain | How::German | How::Head | How::Post => request,
        };
        let request = request.body(Body::empty()).expect("a request");
        let service = EdgeService::new(Arc::clone(&self.edge), Arc::clone(&self.telemetry), None);
        let (oracle, asked) = (Arc::clone(&self.oracle), self.oracle.lock().asked(url, how));
        self.clients.push(tokio::spawn(client(service, request, oracle, asked)));
    }

    fn leave(&mut self, any: usize) {
        self.clients.retain(|client| !client.is_finished());
        if !self.clients.is_empty() {
            let client = self.clients.swap_remove(any % self.clients.len());
            client.abort();
            self.oracle.lock().seen.one("left");
        }
    }

    fn purge(&mut self, selector: usize, soft: bool) {
        let selector = match selector.checked_sub(oracle::WIDE) {
            Some(url) => oracle::WIDE + self.urls[url],
            None => selector,
        };
        let mode = if soft { PurgeMode::Soft } else { PurgeMode::Hard };
        let seq = Seq::new(self.entries.len() as u64 + 1);
        let site = self.site.name().clone();
        self.entries.push(PurgeEntry { seq, site, selector: oracle::selector(selector), mode, time: now() });
        let (versions, fetches) = (self.origin.versions(), self.origin.fetches());
        self.waiting.push((seq, Purge { what: What::Selector(selector), mode, versions, fetches }));
    }

    fn apply(&mut self, tier: Tier, count: usize) {
        let node = self.node(tier);
        let rest = self.after(node.marks.applied());
        node.apply(&rest[..count.min(rest.len())]);
        self.acknowledge();
    }

    /// A purge is acknowledged once every tier has applied it.
    fn acknowledge(&mut self) {
        let everywhere = self.edge.marks.applied().min(self.shield.lock().node.marks.applied());
        let mut oracle = self.oracle.lock();
        self.waiting.retain(|(seq, purge)| {
            if *seq <= everywhere {
                oracle.acknowledge(purge.clone());
            }
            *seq > everywhere
        });
    }

    fn after(&self, applied: Seq) -> &[PurgeEntry] {
        let applied = usize::try_from(applied.get()).expect("few entries");
        &self.entries[applied.min(self.entries.len())..]
    }

    fn evict(&self, tier: Tier, url: Option<usize>) {
        let node = self.node(tier);
        match url {
            Some(url) => {
                let Url { path, query, .. } = URLS[url];
                let input = holm_cache_policy::KeyInput { query, ..key(path) };
                node.store.remove(CacheKey::primary(&input).0);
            }
            None => node.store.clear(),
        }
    }

    /// As a process that was killed comes back.
    fn restart(&mut self, tier: Tier) {
        match tier {
            Tier::Edge => {
                self.clients.drain(..).for_each(|client| client.abort());
                self.edge = edge_node(&self.control, &self.shield, &self.site, &self.telemetry);
            }
            Tier::Shield => *self.shield.lock() = shield_node(&self.control, &self.origin, &self.site),
        }
        self.follow(&self.node(tier));
        self.acknowledge();
    }

    fn new_log(&mut self) {
        let [generation, ..] = *self.log.as_bytes();
        self.log = LogId::from_bytes([generation.wrapping_add(1); 16]);
        self.entries.clear();
        self.waiting.clear();
        self.follow(&self.node(Tier::Shield));
        self.follow(&self.node(Tier::Edge));
    }

    /// As a follower begins.
    fn follow(&self, node: &Node) {
        let (last, oldest) = (Seq::new(self.entries.len() as u64), Seq::new(u64::from(!self.entries.is_empty())));
        let from = node.follow(self.log, last, oldest);
        node.apply(self.after(from));
    }

    fn node(&self, tier: Tier) -> Arc<Node> {
        match tier {
            Tier::Edge => Arc::clone(&self.edge),
            Tier::Shield => Arc::clone(&self.shield.lock().node),
        }
    }
}

async fn client(service: EdgeService, request: Request<Body>, oracle: Arc<Mutex<Oracle>>, asked: Asked) {
    let response = service.call(request, &connection(false), &Interims::nowhere()).await;
    let (head, mut body) = response.into_parts();
    oracle.lock().head(&asked, &head);
    let (mut bytes, mut whole) = (BytesMut::new(), true);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            whole = false;
            break;
        };
        bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
        tokio::task::yield_now().await;
    }
    oracle.lock().body(&asked, &head, &bytes.freeze(), whole);
}

/// A shield, until its process is killed.
struct Shield {
    node: Arc<Node>,
    alive: watch::Sender<()>,
}

/// The way from the edge to whichever shield there is, in the fields that the real one has.
struct ToShield {
    shield: Arc<Mutex<Shield>>,
    telemetry: Arc<Shard>,
}

impl NextHop for ToShield {
    fn send(&self, request: Request<Body>, way: Way) -> BoxFuture<'static, Result<Answer, HopError>> {
        let (node, mut alive) = {
            let shield = self.shield.lock();
            (Arc::clone(&shield.node), shield.alive.subscribe())
        };
        let service = ShieldService::new(node, Arc::clone(&self.telemetry));
        Box::pin(async move {
            let (request, tunnel) = shield_hop::prepare(request, &way)?;
            // As on a wire: neither side goes on at once.
            tokio::task::yield_now().await;
            let (connection, interims) = (connection(true), Interims::nowhere());
            let response = tokio::select! {
                biased;
                response = service.call(request, &connection, &interims) => response,
                _ = alive.changed() => return Err(unreachable()),
            };
            tokio::task::yield_now().await;
            shield_hop::answer(response, &way, tunnel)
        })
    }
}

fn shield_node(control: &Arc<Control>, origin: &Arc<Origin>, site: &Arc<Site>) -> Shield {
    let node = Node::new(Role::Shield, &StoreConfig::memory_only(MEMORY), Arc::new(Arc::clone(origin)), control)
        .expect("memory alone");
    node.sites.store([Arc::clone(site)]);
    Shield { node, alive: watch::Sender::new(()) }
}

fn edge_node(
    control: &Arc<Control>,
    shield: &Arc<Mutex<Shield>>,
    site: &Arc<Site>,
    telemetry: &Arc<Shard>,
) -> Arc<Node> {
    let hop = ToShield { shield: Arc::clone(shield), telemetry: Arc::clone(telemetry) };
    let node = Node::new(Role::Edge, &StoreConfig::memory_only(MEMORY), Arc::new(hop), control).expect("memory alone");
    node.sites.store([Arc::clone(site)]);
    node
}

fn connection(internal: bool) -> Arc<ConnInfo> {
    let address = ([127, 0, 0, 1], 1).into();
    let tls = internal.then(|| TlsInfo { server_name: None, client_identity: Some("edge".to_owned()) });
    Arc::new(ConnInfo { peer: address, local: address, protocol: Protocol::Http1, tls })
}

/// On a clock that stands still time passes only when nobody can go on.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::Ask { .. } => "step ask",
        Step::Leave(_) => "step leave",
        Step::Settle | Step::Yield(_) | Step::Wait => "step go on",
        Step::Change(_) => "step change",
        Step::Hold(_) | Step::Answer(_) => "step answer",
        Step::Break(_) | Step::Fail => "step fail",
        Step::Purge { .. } => "step purge",
        Step::Apply(..) => "step apply",
        Step::Evict(..) => "step evict",
        Step::Sweep(_) => "step sweep",
        Step::Restart(_) => "step restart",
        Step::NewLog => "step new log",
    }
}

const MEMORY: ByteSize = ByteSize::mib(4);
