//! The two tiers of the model: how they are joined, and what of each outlives its process.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use holm_model::disk::DiskPlace;
use holm_model::manifest::{DiskAdmission, EndpointUrl, Manifest};
use holm_model::units::ByteSize;
use holm_telemetry::Shard;
use holm_transport::body::Body;
use holm_transport::interim::Interims;
use holm_transport::service::Service;
use http::Request;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::watch;

use super::super::{Control, site_of, unreachable};
use super::End;
use super::origin::Origin;
use super::world::connection;
use crate::StoreConfig;
use crate::hop::{Answer, HopError, NextHop, Way};
use crate::node::{Node, Role};
use crate::shield::ShieldService;
use crate::shield_hop;
use crate::site::Site;

/// Where the tiers keep what they store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tiers {
    InMemory,
    OnDisk,
}

/// What tiers are made of.
pub(super) struct Maker {
    pub(super) control: Arc<Control>,
    pub(super) origin: Arc<Origin>,
    pub(super) site: Arc<Site>,
    pub(super) telemetry: Arc<Shard>,
    folders: Option<Folders>,
}

/// A folder for each process that has a disk.
struct Folders {
    root: TempDir,
    count: Cell<u32>,
}

/// An edge, and what of it outlives it.
pub(super) struct Edge {
    pub(super) node: Arc<Node>,
    store: StoreConfig,
}

/// A shield, until its process ends.
pub(super) struct Shield {
    pub(super) node: Arc<Node>,
    store: StoreConfig,
    alive: watch::Sender<()>,
}

/// The way from the edge to whichever shield there is, in the fields that the real one has.
struct ToShield {
    shield: Arc<Mutex<Shield>>,
    telemetry: Arc<Shard>,
}

impl Maker {
    pub(super) fn new(tiers: Tiers, control: &Arc<Control>, telemetry: Arc<Shard>) -> Self {
        let folders = || Folders { root: folder(), count: Cell::new(0) };
        Self {
            control: Arc::clone(control),
            origin: Arc::default(),
            site: Arc::new(site()),
            telemetry,
            folders: (tiers == Tiers::OnDisk).then(folders),
        }
    }

    pub(super) const fn on_disk(&self) -> bool {
        self.folders.is_some()
    }

    pub(super) fn edge(&self, shield: &Arc<Mutex<Shield>>) -> Edge {
        self.edge_on(self.empty(), shield)
    }

    pub(super) fn shield(&self) -> Shield {
        self.shield_on(self.empty())
    }

    /// The edge that comes after one that ended.
    pub(super) fn next_edge(&self, edge: &Edge, end: End, shield: &Arc<Mutex<Shield>>) -> Edge {
        self.edge_on(self.left_by(&edge.node, &edge.store, end), shield)
    }

    /// The shield that comes after one that ended.
    pub(super) fn next_shield(&self, shield: &Shield, end: End) -> Shield {
        self.shield_on(self.left_by(&shield.node, &shield.store, end))
    }

    fn edge_on(&self, store: StoreConfig, shield: &Arc<Mutex<Shield>>) -> Edge {
        let hop = ToShield { shield: Arc::clone(shield), telemetry: Arc::clone(&self.telemetry) };
        Edge { node: self.node(Role::Edge, &store, Arc::new(hop)), store }
    }

    fn shield_on(&self, store: StoreConfig) -> Shield {
        let node = self.node(Role::Shield, &store, Arc::new(Arc::clone(&self.origin)));
        Shield { node, store, alive: watch::Sender::new(()) }
    }

    fn node(&self, role: Role, store: &StoreConfig, hop: Arc<dyn NextHop>) -> Arc<Node> {
        let node = Node::new(role, store, hop, &self.control).expect("a store");
        node.sites.store([Arc::clone(&self.site)]);
        node
    }

    fn empty(&self) -> StoreConfig {
        self.folders.as_ref().map_or(StoreConfig::memory_only(MEMORY), |folders| {
            let folder = folders.next();
            let disk = vec![DiskPlace { path: folder.join(SEGMENTS), offset: 0, size: DISK }];
            StoreConfig { memory: MEMORY, disk, journal: Some(folder) }
        })
    }

    /// What the next process finds. The tasks of this one go on and keep its files open, so it is a copy: made as the files
    /// are at this moment, which is what one that is killed leaves.
    fn left_by(&self, node: &Node, store: &StoreConfig, end: End) -> StoreConfig {
        if end == End::Stopped {
            node.close();
        }
        let next = self.empty();
        if let (Some(from), Some(to)) = (&store.journal, &next.journal) {
            copy(from, to);
        }
        next
    }
}

impl Folders {
    fn next(&self) -> PathBuf {
        self.count.set(self.count.get() + 1);
        let folder = self.root.path().join(self.count.get().to_string());
        fs::create_dir(&folder).expect("room");
        folder
    }
}

/// In memory where that can be: what a device does not do when it should is for others to test, and waiting for it takes
/// long.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// The segments first: the journal may be ahead of them, not behind.
fn copy(from: &Path, to: &Path) {
    let entries = fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.collect();
    names.sort_by_key(|name| name != SEGMENTS);
    for name in names {
        fs::copy(from.join(&name), to.join(&name)).expect("room");
    }
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

/// What is under `/d0` goes to disk at once, the rest when it is asked for again.
fn site() -> Site {
    let url: EndpointUrl = "http://127.0.0.1:9".parse().expect("a URL");
    let mut manifest = Manifest::for_origins(vec![url]);
    let mut at_once = manifest.routes[0].clone();
    at_once.path = "/d0/*".parse().expect("a pattern");
    at_once.cache.disk = DiskAdmission::Always;
    manifest.routes.insert(0, at_once);
    site_of(manifest)
}

const MEMORY: ByteSize = ByteSize::mib(64);
/// Eight segments, each with room for a slice.
const DISK: ByteSize = ByteSize::mib(16);
const SEGMENTS: &str = "segments";
