//! Nodes: who is there, what each has applied and serves, and waiting until all have.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use holm_model::ids::{NodeName, RegionName, ReleaseNumber, Seq, SiteName};
use holm_model::units::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::wire::{NodeLag, NodeStatus, NodeTime};

/// What a node says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeJoin {
    /// Its name.
    pub node: NodeName,
    /// `edge` or `shield`.
    pub role: String,
    /// Its region.
    pub region: RegionName,
    /// The software's version.
    pub version: String,
}

/// A node that has joined, until this is dropped.
pub struct NodeHandle {
    id: u64,
    nodes: Arc<Nodes>,
}

impl NodeHandle {
    /// Every look-up from now on sees all purges up to `seq`. Never goes back.
    pub fn applied(&self, seq: Seq) {
        self.nodes.applied(self.id, seq);
    }

    /// The node serves this release of the site from now on; or it could not take the active one, with why, and serves
    /// on what it did before.
    pub fn serving(&self, site: &SiteName, outcome: Result<ReleaseNumber, String>) {
        self.nodes.serving(self.id, site, outcome);
    }

    /// What of the node is broken while it serves on: all of it.
    pub fn faults(&self, faults: Vec<String>) {
        self.nodes.faults(self.id, faults);
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.nodes.leave(self.id);
    }
}

impl fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How far the nodes have got with a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Nodes that have applied it, with the time that each took.
    pub nodes: Vec<NodeTime>,
    /// Nodes that have not, with why.
    pub lagging: Vec<NodeLag>,
}

/// All nodes of a cluster.
#[derive(Debug)]
pub(crate) struct Nodes {
    state: Mutex<State>,
    /// Changes whenever the state does.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    nodes: BTreeMap<u64, Node>,
    /// When which position of the purge log became durable.
    durable: Steps,
    /// The active release of each site, and since when.
    active: BTreeMap<SiteName, (ReleaseNumber, Instant)>,
}

#[derive(Debug)]
struct Node {
    join: NodeJoin,
    since: Timestamp,
    applied: Seq,
    steps: Steps,
    sites: BTreeMap<SiteName, NodeSite>,
    faults: Vec<String>,
}

/// What a node says of one site.
#[derive(Debug, Default)]
struct NodeSite {
    release: Option<(ReleaseNumber, Instant)>,
    error: Option<(String, Instant)>,
}

/// When a growing position was reached: the last [`STEPS`] of them.
#[derive(Debug, Default)]
struct Steps(VecDeque<(Seq, Instant)>);

impl Nodes {
    pub(crate) fn new(active: impl Iterator<Item = (SiteName, ReleaseNumber)>) -> Arc<Self> {
        let now = Instant::now();
        let active = active.map(|(site, release)| (site, (release, now))).collect();
        Arc::new(Self { state: Mutex::new(State { active, ..State::default() }), changed: watch::Sender::new(()) })
    }

    pub(crate) fn join(self: &Arc<Self>, join: NodeJoin) -> NodeHandle {
        let id = self.update(|state| {
            state.next_id += 1;
            let node = Node {
                join,
                since: Timestamp::from_system_time(SystemTime::now()),
                applied: Seq::ZERO,
                steps: Steps::default(),
                sites: BTreeMap::new(),
                faults: Vec::new(),
            };
            state.nodes.insert(state.next_id, node);
            state.next_id
        });
        NodeHandle { id, nodes: Arc::clone(self) }
    }

    fn leave(&self, id: u64) {
        self.update(|state| {
            state.nodes.remove(&id);
        });
    }

    fn applied(&self, id: u64, seq: Seq) {
        self.update(|state| {
            if let Some(node) = state.nodes.get_mut(&id).filter(|node| node.applied < seq) {
                node.applied = seq;
                node.steps.push(seq, Instant::now());
            }
        });
    }

    fn serving(&self, id: u64, site: &SiteName, outcome: Result<ReleaseNumber, String>) {
        self.update(|state| {
            // A site that was deleted meanwhile is of no interest any more.
            let Some(node) = state.nodes.get_mut(&id).filter(|_| state.active.contains_key(site)) else { return };
            let of = node.sites.entry(site.clone()).or_default();
            let now = Instant::now();
            match outcome {
                Ok(release) if of.release.is_some_and(|(held, _)| held == release) => of.error = None,
                Ok(release) => *of = NodeSite { release: Some((release, now)), error: None },
                Err(reason) => of.error = Some((reason, now)),
            }
        });
    }

    fn faults(&self, id: u64, faults: Vec<String>) {
        self.update(|state| {
            if let Some(node) = state.nodes.get_mut(&id) {
                node.faults = faults;
            }
        });
    }

    /// The log is durable up to `seq`. To be called before any node can learn of it.
    pub(crate) fn durable(&self, seq: Seq) {
        self.update(|state| state.durable.push(seq, Instant::now()));
    }

    /// The release is active. To be called before any node can learn of it.
    pub(crate) fn activated(&self, site: &SiteName, release: ReleaseNumber) {
        self.update(|state| {
            state.active.insert(site.clone(), (release, Instant::now()));
        });
    }

    /// The site is gone.
    pub(crate) fn deleted(&self, site: &SiteName) {
        self.update(|state| {
            state.active.remove(site);
            for node in state.nodes.values_mut() {
                node.sites.remove(site);
            }
        });
    }

    /// Waits until every node has applied the log up to `seq`, at most `timeout`.
    pub(crate) async fn wait_applied(&self, seq: Seq, timeout: Duration) -> Progress {
        self.wait(timeout, |state| state.applied(seq)).await
    }

    /// Waits until every node serves this release, at most `timeout`. A node that says that it cannot is not waited for.
    pub(crate) async fn wait_serving(&self, site: &SiteName, release: ReleaseNumber, timeout: Duration) -> Progress {
        self.wait(timeout, |state| state.serving(site, release)).await
    }

    async fn wait(&self, timeout: Duration, look: impl Fn(&State) -> (Progress, bool)) -> Progress {
        let mut changed = self.changed.subscribe();
        let settled = async {
            loop {
                let (progress, settled) = look(&self.state.lock());
                if settled || changed.changed().await.is_err() {
                    return progress;
                }
            }
        };
        match tokio::time::timeout(timeout, settled).await {
            Ok(progress) => progress,
            Err(_) => look(&self.state.lock()).0,
        }
    }

    /// Every node, in the order in which they joined.
    pub(crate) fn status(&self, head: Seq) -> Vec<NodeStatus> {
        self.state.lock().nodes.values().map(|node| node.status(head)).collect()
    }

    /// What is missing before every active release is served by every node.
    pub(crate) fn missing(&self) -> Vec<String> {
        let state = self.state.lock();
        if state.nodes.is_empty() {
            return vec!["no node has joined".to_owned()];
        }
        let mut missing = Vec::new();
        for (site, (release, _)) in &state.active {
            let lagging = state.serving(site, *release).0.lagging;
            let lack = |lag: NodeLag| format!("{} does not serve {site} {release}: {}", lag.node, lag.reason);
            missing.extend(lagging.into_iter().map(lack));
        }
        missing
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.state.lock());
        self.changed.send_replace(());
        outcome
    }
}

impl State {
    /// Who has applied the log up to `seq`; and is there nobody left to wait for?
    fn applied(&self, seq: Seq) -> (Progress, bool) {
        let durable = self.durable.reached(seq);
        let mut progress = Progress::default();
        for node in self.nodes.values() {
            if node.applied >= seq {
                progress.done(node, durable, node.steps.reached(seq));
            } else {
                progress.lags(node, format!("it has applied purges up to {}, not yet {seq}", node.applied));
            }
        }
        let settled = progress.lagging.is_empty();
        (progress, settled)
    }

    /// Who serves the release; and is there nobody left to wait for?
    fn serving(&self, site: &SiteName, release: ReleaseNumber) -> (Progress, bool) {
        let active = self.active.get(site).copied();
        let superseded = active.is_none_or(|(active, _)| active != release);
        let since = active.map(|(_, since)| since);
        let mut progress = Progress::default();
        let mut pending = false;
        for node in self.nodes.values() {
            let of = node.sites.get(site);
            let error = of.and_then(|of| of.error.as_ref());
            match of.and_then(|of| of.release) {
                Some((held, at)) if held == release => progress.done(node, since, Some(at)),
                _ if superseded => progress.lags(node, "another release was activated meanwhile".to_owned()),
                held => {
                    // An older error is about a release before this one.
                    let failed = error.filter(|(_, at)| since.is_none_or(|since| *at >= since));
                    pending |= failed.is_none();
                    let waiting =
                        || held.map_or_else(String::new, |(held, _)| format!("it still serves release {held}"));
                    progress.lags(node, failed.map_or_else(waiting, |(reason, _)| reason.clone()));
                }
            }
        }
        (progress, !pending)
    }
}

impl Node {
    fn status(&self, head: Seq) -> NodeStatus {
        let releases = self.sites.iter().filter_map(|(site, of)| Some((site.clone(), of.release?.0)));
        let errors = self.sites.iter().filter_map(|(site, of)| Some((site.clone(), of.error.as_ref()?.0.clone())));
        NodeStatus {
            node: self.join.node.clone(),
            role: self.join.role.clone(),
            region: self.join.region.clone(),
            version: self.join.version.clone(),
            since: self.since,
            applied: self.applied,
            purge_lag: head.get().saturating_sub(self.applied.get()),
            releases: releases.collect(),
            errors: errors.collect(),
            faults: self.faults.clone(),
        }
    }
}

impl Progress {
    fn done(&mut self, node: &Node, from: Option<Instant>, to: Option<Instant>) {
        // Neither is known for a change of long ago: it took no time that anybody waited for.
        let took = from.zip(to).map_or(Duration::ZERO, |(from, to)| to.saturating_duration_since(from));
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.nodes.push(NodeTime { node: node.join.node.clone(), ms });
    }

    fn lags(&mut self, node: &Node, reason: String) {
        self.lagging.push(NodeLag { node: node.join.node.clone(), reason });
    }
}

impl Steps {
    fn push(&mut self, seq: Seq, at: Instant) {
        if self.0.back().is_some_and(|(last, _)| *last >= seq) {
            return;
        }
        if self.0.len() == STEPS {
            self.0.pop_front();
        }
        self.0.push_back((seq, at));
    }

    /// When this position was first seen to be reached; for one that lies before what is kept, the oldest that is.
    fn reached(&self, seq: Seq) -> Option<Instant> {
        let at = self.0.partition_point(|(reached, _)| *reached < seq);
        self.0.get(at).map(|(_, at)| *at)
    }
}

/// How many steps of the log and of each node are remembered: some seconds' worth under full load, enough for whoever
/// asks right after the change.
const STEPS: usize = 4096;

#[cfg(test)]
mod tests;
