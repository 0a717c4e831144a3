//! Following the control plane: a node takes over active releases and applies purges as they come.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use holm_control::{Control, NodeHandle, StoreError};
use holm_model::ids::{ReleaseNumber, Seq, SiteName};
use holm_model::manifest::OriginSpec;
use holm_model::release::Release;
use holm_telemetry::{Telemetry, names};
use holm_transport::client::TlsConfig;
use holm_upstream::{Fetch, OnFetch, Pool};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};

use crate::handler::{Handler, HandlerLoader};
use crate::node::Node;
use crate::site::{Parts, Site};

/// Keeps one node in step with the control plane.
pub struct Follower {
    node: Arc<Node>,
    control: Arc<Control>,
    handle: Arc<NodeHandle>,
    pools: PoolMaker,
    handlers: Option<Arc<dyn HandlerLoader>>,
    /// There are so many marks that the next sweep should not wait.
    sweep_now: Notify,
}

/// Makes the pools of a site's origins.
#[derive(Debug, Clone)]
pub struct PoolMaker {
    /// Whom to trust at `https` endpoints.
    pub tls: Arc<TlsConfig>,
    /// Where requests to origins are counted.
    pub telemetry: Arc<Telemetry>,
}

type Active = Arc<BTreeMap<SiteName, Arc<Release>>>;

impl Follower {
    /// A follower of `control` for `node`, which reports through `handle`. Without `handlers`, routes' handlers are left
    /// out: a shield runs none.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        control: Arc<Control>,
        handle: NodeHandle,
        pools: PoolMaker,
        handlers: Option<Arc<dyn HandlerLoader>>,
    ) -> Arc<Self> {
        Arc::new(Self { node, control, handle: Arc::new(handle), pools, handlers, sweep_now: Notify::new() })
    }

    /// Takes over what is active now and applies the purges that the node has missed, then follows on the current runtime
    /// until the returned tasks are dropped.
    pub async fn start(self: Arc<Self>) -> JoinSet<()> {
        let head = self.control.head();
        let mut active = self.control.active();
        let last = *head.borrow();
        let mut applied = self.begin().await;
        // What was purged while the node was away must not be served before that is known here.
        while applied < last {
            applied = self.read_on(applied).await;
        }
        self.handle.applied(applied);
        let now = active.borrow_and_update().clone();
        self.take_over(&now).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).follow_purges(head, applied));
        tasks.spawn(Arc::clone(&self).sweep());
        tasks.spawn(Arc::clone(&self).follow_faults());
        tasks.spawn(self.follow_releases(active));
        tasks
    }

    async fn follow_releases(self: Arc<Self>, mut active: watch::Receiver<Active>) {
        while active.changed().await.is_ok() {
            let now = active.borrow_and_update().clone();
            self.take_over(&now).await;
        }
    }

    async fn follow_purges(self: Arc<Self>, mut head: watch::Receiver<Seq>, mut applied: Seq) {
        loop {
            let next = self.read_on(applied).await;
            self.handle.applied(next);
            if self.node.marks_press() {
                self.sweep_now.notify_one();
            }
            if next == applied && head.wait_for(|seq| *seq > applied).await.is_err() {
                return;
            }
            applied = next;
        }
    }

    /// Begins to follow the log, and gives where from.
    async fn begin(&self) -> Seq {
        let oldest = self.read(|control| control.oldest_seq()).await;
        let (node, log, last) = (Arc::clone(&self.node), self.control.log_id(), self.control.last_seq());
        match tokio::task::spawn_blocking(move || node.follow(log, last, oldest))
            .await
            .map_err(JoinError::try_into_panic)
        {
            Ok(from) => from,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The process ends.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Applies the entries that follow `applied`, if there are any, and gives where the node is then.
    async fn read_on(&self, applied: Seq) -> Seq {
        let entries = self.read(move |control| control.purges_after(applied, BATCH)).await;
        match entries.first() {
            // The log was trimmed meanwhile: what it said there is lost.
            Some(first) if first.seq > applied.next() => self.begin().await,
            _ => self.node.apply(&entries),
        }
    }

    /// Reads the control plane's store until that succeeds.
    async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&Control) -> Result<T, StoreError> + Copy + Send + 'static,
    ) -> T {
        loop {
            let control = Arc::clone(&self.control);
            match tokio::task::spawn_blocking(move || read(&control)).await {
                Ok(Ok(found)) => return found,
                Ok(Err(error)) => tracing::error!(%error, "the purge log can't be read; trying again"),
                Err(error) => tracing::error!(%error, "the purge log can't be read; trying again"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Tells the control plane what of the node is broken.
    async fn follow_faults(self: Arc<Self>) {
        let mut faults = self.node.faults.subscribe();
        loop {
            let told = faults.borrow_and_update().clone();
            self.handle.faults(told);
            if faults.changed().await.is_err() {
                return;
            }
        }
    }

    /// Frees what purges have rejected, and lets their marks go.
    async fn sweep(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.sweep_now.notified() => {}
            }
            let node = Arc::clone(&self.node);
            let _ = tokio::task::spawn_blocking(move || node.sweep()).await;
        }
    }

    /// Serves these releases. A site whose release can't be taken over stays as it is.
    async fn take_over(&self, active: &Active) {
        let mut sites = Vec::with_capacity(active.len());
        for (name, release) in active.iter() {
            let old = self.node.sites().get(name);
            if let Some(old) = old.as_ref().filter(|old| old.release().number == release.number) {
                sites.push(Arc::clone(old));
                continue;
            }
            match self.build(release, old.as_ref()).await {
                Ok(site) => sites.push(Arc::new(site)),
                Err(reason) => {
                    tracing::error!(site = %name, release = %release.number, %reason, "the release is not taken over");
                    self.handle.serving(name, Err(reason));
                    sites.extend(old);
                }
            }
        }
        let serving: Vec<(SiteName, ReleaseNumber)> =
            sites.iter().map(|site| (site.name().clone(), site.release().number)).collect();
        self.node.sites().store(sites);
        let taken = |name: &SiteName, number| active.get(name).is_some_and(|release| release.number == number);
        for (name, number) in serving.into_iter().filter(|(name, number)| taken(name, *number)) {
            self.handle.serving(&name, Ok(number));
        }
    }

    async fn build(&self, release: &Arc<Release>, old: Option<&Arc<Site>>) -> Result<Site, String> {
        let mut pools = HashMap::new();
        for (name, spec) in &release.manifest.origins {
            let kept = old.and_then(|old| old.pool_for(name, spec));
            let pool = kept.unwrap_or_else(|| self.pools.make(&release.site, name, spec));
            pools.insert(name.clone(), pool);
        }
        let handlers = self.load_handlers(release).await?;
        Ok(Site::new(Arc::clone(release), &Parts { handlers, pools }))
    }

    async fn load_handlers(&self, release: &Arc<Release>) -> Result<HashMap<String, Arc<dyn Handler>>, String> {
        let Some(loader) = self.handlers.clone() else { return Ok(HashMap::new()) };
        let (control, release) = (Arc::clone(&self.control), Arc::clone(release));
        let load = move || {
            let mut handlers = HashMap::new();
            for (name, spec) in &release.manifest.handlers {
                let digest = release.components.get(name).ok_or_else(|| format!("no component for `{name}`"))?;
                let bytes = control.blob(digest).map_err(|error| error.to_string())?;
                let bytes = bytes.ok_or_else(|| format!("the store lacks the component of `{name}`"))?;
                let handler = loader.load(release.site.as_str(), name, spec, &bytes)?;
                handlers.insert(name.clone(), handler);
            }
            Ok(handlers)
        };
        tokio::task::spawn_blocking(load).await.map_err(|error| error.to_string())?
    }
}

impl PoolMaker {
    fn make(&self, site: &SiteName, name: &str, spec: &OriginSpec) -> Arc<Pool> {
        let (telemetry, site) = (Arc::clone(&self.telemetry), site.clone());
        let on_fetch: OnFetch = Arc::new(move |fetch: &Fetch<'_>| {
            let outcome = match fetch.status {
                Some(status) => STATUS_CLASSES.get(usize::from(status / 100)).copied().unwrap_or("other"),
                None => fetch.outcome,
            };
            let labels =
                [("site", site.as_str()), ("pool", fetch.pool), ("endpoint", fetch.endpoint), ("outcome", outcome)];
            telemetry.registry().add(names::UPSTREAM_REQUESTS, &labels, 1.0);
        });
        Arc::new(Pool::new(name, spec, Some(Arc::clone(&self.tls)), on_fetch))
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("node", &self.node).finish_non_exhaustive()
    }
}

const STATUS_CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Entries of the log that are read at once.
const BATCH: usize = 1_000;
/// How long a store that can't be read is left alone.
const RETRY: Duration = Duration::from_millis(200);
/// How often the space of purged objects is reclaimed.
const SWEEP: Duration = Duration::from_secs(30);
