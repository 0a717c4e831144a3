//! Two tiers, their clients and the log that they follow.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use holm_cache_policy::CacheKey;
use holm_model::ids::{LogId, Seq};
use holm_model::purge::{PurgeEntry, PurgeMode};
use holm_telemetry::Telemetry;
use holm_transport::body::Body;
use holm_transport::interim::Interims;
use holm_transport::service::{ConnInfo, Protocol, Service, TlsInfo};
use http::Request;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::super::{Control, key};
use super::oracle::{self, Asked, Oracle, Purge, Seen, What};
use super::origin::{self, URLS, Url};
use super::tiers::{Edge, Maker, Shield, Tiers};
use super::{End, How, Step, Tier};
use crate::edge::EdgeService;
use crate::node::{Node, now};

/// The host that the model's clients ask.
pub(super) const HOST: &str = "shop.example";

pub(super) struct World {
    maker: Maker,
    shield: Arc<Mutex<Shield>>,
    edge: Edge,
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
    pub(super) fn new(control: &Arc<Control>, tiers: Tiers, urls: [usize; 2]) -> Self {
        let maker = Maker::new(tiers, control, Telemetry::new().shard());
        let shield = Arc::new(Mutex::new(maker.shield()));
        let world = Self {
            edge: maker.edge(&shield),
            shield,
            maker,
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
            Step::Settle => self.settle().await,
            Step::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            Step::Wait => tokio::time::sleep(Duration::from_secs(30)).await,
            Step::Change(url) => self.maker.origin.change(self.urls[url]),
            Step::Hold(holding) => self.maker.origin.hold(holding),
            Step::Answer(any) => self.maker.origin.go_on(any).await,
            Step::Break(any) => self.maker.origin.break_off(any),
            Step::Fail => self.maker.origin.fail_once(),
            Step::Purge { selector, soft, at_once } => {
                self.purge(selector, soft);
                if at_once {
                    self.apply(Tier::Shield, usize::MAX);
                    self.apply(Tier::Edge, usize::MAX);
                }
            }
            Step::Apply(tier, count) => self.apply(tier, count),
            Step::Evict(tier, url) => self.evict(tier, url.map(|url| self.urls[url])),
            Step::Forget(tier) => self.node(tier).store.forget_memory(),
            Step::Flush(tier) => self.node(tier).store.flush(),
            Step::Sweep(tier) => self.node(tier).sweep(),
            Step::Restart(tier, end) => self.restart(tier, end),
            Step::NewLog => self.new_log(),
        }
    }

    /// Whatever waits goes on to its end; then everyone asks for everything, and for what is on disk.
    pub(super) async fn end(&mut self) {
        self.maker.origin.hold(false);
        self.settle().await;
        while self.maker.origin.held() > 0 {
            self.maker.origin.go_on(0).await;
            self.settle().await;
        }
        self.apply(Tier::Shield, usize::MAX);
        self.apply(Tier::Edge, usize::MAX);
        self.ask_for_all().await;
        if !self.maker.on_disk() {
            return;
        }
        self.purge(oracle::WIDE, false);
        for tier in [Tier::Edge, Tier::Shield] {
            self.apply(tier, usize::MAX);
            self.node(tier).store.forget_memory();
        }
        self.ask_for_all().await;
        self.node(Tier::Edge).store.flush();
        self.restart(Tier::Edge, End::Killed);
        self.ask_for_all().await;
    }

    /// Everyone asks, and waits for the answer.
    async fn ask_for_all(&mut self) {
        for url in self.urls {
            self.ask(url, How::Plain);
            self.ask(url, How::Range(3, 20));
        }
        for _ in 0..PATIENCE {
            if self.clients.iter().all(JoinHandle::is_finished) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.settle().await;
        }
        panic!("clients that nobody answers");
    }

    /// On a clock that stands still time passes only when nobody can go on. A disk has a clock of its own: nobody waits for
    /// that one longer than they must.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.maker.on_disk() {
            let _ = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_micros(200))).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn ask(&mut self, url: usize, how: How) {
        let mut request = Request::builder().uri(URLS[url].target()).method(oracle::method(how)).header("host", HOST);
        let language = if how == How::German { "de" } else { "en" };
        request = request.header("accept-language", language);
        let version = self.maker.origin.versions()[url];
        request = match how {
            How::Range(first, last) => {
                let (first, last) = (origin::scaled(url, first), origin::scaled(url, last));
                request.header("range", format!("bytes={first}-{last}"))
            }
            How::Conditional(ago) => {
                request.header("if-none-match", origin::etag(url, version.saturating_sub(ago), language))
            }
            How::Reload => request.header("cache-control", "no-cache"),
            How::Offline => request.header("cache-control", "only-if-cached"),
            How::Plain | How::German | How::Head | How::Post => request,
        };
        let request = request.body(Body::empty()).expect("a request");
        let service = EdgeService::new(Arc::clone(&self.edge.node), Arc::clone(&self.maker.telemetry), None);
        let (store, key) = (&self.edge.node.store, key_of(url).0);
        let on_disk = store.get(key).is_none() && store.on_disk(key);
        let (oracle, asked) = (Arc::clone(&self.oracle), self.oracle.lock().asked(url, how, on_disk));
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
        let site = self.maker.site.name().clone();
        self.entries.push(PurgeEntry { seq, site, selector: oracle::selector(selector), mode, time: now() });
        let (versions, fetches) = (self.maker.origin.versions(), self.maker.origin.fetches());
        self.waiting.push((seq, Purge { what: What::Selector(selector), mode, versions, fetches }));
    }

    fn apply(&mut self, tier: Tier, count: usize) {
        let node = self.node(tier);
        if self.applied(&node).is_none() {
            self.follow(&node);
        }
        let rest = self.after(node.marks.applied());
        node.apply(&rest[..count.min(rest.len())]);
        self.acknowledge();
    }

    /// A purge is acknowledged once every tier has applied it.
    fn acknowledge(&mut self) {
        let applied = [Tier::Edge, Tier::Shield].map(|tier| self.applied(&self.node(tier)).unwrap_or(Seq::ZERO));
        let everywhere = applied[0].min(applied[1]);
        let mut oracle = self.oracle.lock();
        self.waiting.retain(|(seq, purge)| {
            if *seq <= everywhere {
                oracle.acknowledge(purge.clone());
            }
            *seq > everywhere
        });
    }

    /// How far a tier is in the log, if it follows it.
    fn applied(&self, node: &Node) -> Option<Seq> {
        (node.marks.log() == Some(self.log)).then(|| node.marks.applied())
    }

    fn after(&self, applied: Seq) -> &[PurgeEntry] {
        let applied = usize::try_from(applied.get()).expect("few entries");
        &self.entries[applied.min(self.entries.len())..]
    }

    fn evict(&self, tier: Tier, url: Option<usize>) {
        let node = self.node(tier);
        match url {
            Some(url) => node.store.remove(key_of(url).0),
            None => node.store.clear(),
        }
    }

    fn restart(&mut self, tier: Tier, end: End) {
        match tier {
            Tier::Edge => {
                self.clients.drain(..).for_each(|client| client.abort());
                self.edge = self.maker.next_edge(&self.edge, end, &self.shield);
            }
            Tier::Shield => {
                let shield = &mut *self.shield.lock();
                *shield = self.maker.next_shield(shield, end);
            }
        }
        self.follow(&self.node(tier));
        self.acknowledge();
    }

    fn new_log(&mut self) {
        let [generation, ..] = *self.log.as_bytes();
        self.log = LogId::from_bytes([generation.wrapping_add(1); 16]);
        self.entries.clear();
        self.waiting.clear();
    }

    /// As a follower begins.
    fn follow(&self, node: &Node) {
        let (last, oldest) = (Seq::new(self.entries.len() as u64), Seq::new(u64::from(!self.entries.is_empty())));
        let from = node.follow(self.log, last, oldest);
        node.apply(self.after(from));
    }

    fn node(&self, tier: Tier) -> Arc<Node> {
        match tier {
            Tier::Edge => Arc::clone(&self.edge.node),
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

fn key_of(url: usize) -> CacheKey {
    let Url { path, query, .. } = URLS[url];
    CacheKey::primary(&holm_cache_policy::KeyInput { query, ..key(path) })
}

pub(super) fn connection(internal: bool) -> Arc<ConnInfo> {
    let address = ([127, 0, 0, 1], 1).into();
    let tls = internal.then(|| TlsInfo { server_name: None, client_identity: Some("edge".to_owned()) });
    Arc::new(ConnInfo { peer: address, local: address, protocol: Protocol::Http1, tls })
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
        Step::Forget(_) => "step forget",
        Step::Flush(_) => "step flush",
        Step::Sweep(_) => "step sweep",
        Step::Restart(_, End::Stopped) => "step restart",
        Step::Restart(_, End::Killed) => "step kill",
        Step::NewLog => "step new log",
    }
}

/// How many seconds, and a little real time, a client may wait at the end.
const PATIENCE: u32 = 2_000;
