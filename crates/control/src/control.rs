//! The control plane of one process: sites and their releases, the purge log, blobs, tokens and nodes, in one folder.
//!
//! Methods that are not `async` may block on the disk: call them from a thread that may (`spawn_blocking`). Those that
//! only look at memory say so.

mod publish;
mod sites;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use holm_model::ids::{Digest, LogId, ReleaseNumber, Seq, SiteName};
use holm_model::purge::{PurgeEntry, PurgeMode, Selector};
use holm_model::release::Release;
use holm_telemetry::Telemetry;
use holm_telemetry::names;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::blobs::{Blobs, Upload};
use crate::db::Db;
use crate::error::{BlobError, OpenError, PurgeError, StoreError};
use crate::nodes::{NodeHandle, NodeJoin, Nodes, Progress};
use crate::purge_log::{self, PurgeLog};
use crate::token::TokenKeys;
use crate::wire::NodeStatus;

/// The active release of every site that has one.
pub type ActiveReleases = Arc<BTreeMap<SiteName, Arc<Release>>>;

/// The control plane's embedded store. One process at a time has it open.
pub struct Control {
    dir: PathBuf,
    db: Arc<Db>,
    blobs: Blobs,
    keys: TokenKeys,
    telemetry: Arc<Telemetry>,
    log: PurgeLog,
    nodes: Arc<Nodes>,
    active: watch::Sender<ActiveReleases>,
    /// Held over a change of sites and its announcement, so that both happen in the same order.
    changing: Mutex<()>,
    collectors: Mutex<Vec<Collector>>,
}

/// Refreshes gauges.
type Collector = Box<dyn Fn() + Send + Sync>;

impl Control {
    /// Opens the store in this folder, or makes it: the database, the blobs, the key that signs tokens and a token for
    /// everything.
    ///
    /// # Errors
    /// Someone else has it open, it is damaged or of another version, or the disk fails; the message says what to do.
    pub fn open(dir: &Path, telemetry: Arc<Telemetry>) -> Result<Arc<Self>, OpenError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| OpenError::File { action: "make", path: dir.to_owned(), source })?;
        // First, since it tells whether the rest is ours to touch.
        let db = Arc::new(Db::open(dir)?);
        let keys = TokenKeys::open(&dir.join(KEY_FILE))?;
        keys.keep_admin_token(&dir.join(TOKEN_FILE))?;
        let active = sites::load_active(&db)?;
        let nodes = Nodes::new(active.iter().map(|(site, release)| (site.clone(), release.number)));
        Ok(Arc::new(Self {
            blobs: Blobs::open(dir)?,
            log: PurgeLog::start(Arc::clone(&db), Arc::clone(&nodes))?,
            active: watch::Sender::new(Arc::new(active)),
            dir: dir.to_owned(),
            changing: Mutex::default(),
            collectors: Mutex::default(),
            db,
            keys,
            telemetry,
            nodes,
        }))
    }

    /// The file that holds a token for everything, readable by this user alone.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.dir.join(TOKEN_FILE)
    }

    /// Makes and checks tokens.
    #[must_use]
    pub fn tokens(&self) -> &TokenKeys {
        &self.keys
    }

    /// The numbers of this process.
    #[must_use]
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// The active release of every site, now and after each change. Memory only.
    #[must_use]
    pub fn active(&self) -> watch::Receiver<ActiveReleases> {
        self.active.subscribe()
    }

    /// Has `refresh` called before metrics are rendered. What it holds lives as long as the store, so it must not hold
    /// the store itself.
    pub fn on_collect(&self, refresh: Box<dyn Fn() + Send + Sync>) {
        self.collectors.lock().push(refresh);
    }

    /// All metrics in Prometheus' text format, gauges refreshed.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.collectors.lock().iter().for_each(|refresh| refresh());
        let registry = self.telemetry.registry();
        registry.clear(names::PURGE_APPLIED_SEQ);
        registry.clear(names::RELEASE_ACTIVE);
        for node in self.nodes() {
            let name = node.node.as_str();
            #[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
            registry.set(names::PURGE_APPLIED_SEQ, &[("node", name)], node.applied.get() as f64);
            for (site, release) in &node.releases {
                let release = release.to_string();
                let labels = [("node", name), ("site", site.as_str()), ("release", &release)];
                registry.set(names::RELEASE_ACTIVE, &labels, 1.0);
            }
        }
        self.telemetry.render()
    }
}

/// Blobs.
impl Control {
    /// The whole blob, its digest checked; `None` if it is not there.
    ///
    /// # Errors
    /// The disk fails, or the blob was damaged on it.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        self.blobs.read(digest)
    }

    /// The blob's file at its beginning, to be streamed. Its digest is checked when it is opened for the first time.
    ///
    /// # Errors
    /// As for [`Control::blob`].
    pub fn blob_file(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        self.blobs.file(digest)
    }

    /// Is it there?
    ///
    /// # Errors
    /// The disk fails.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.blobs.len(digest).map(|length| length.is_some())
    }

    /// Its length, if it is there.
    ///
    /// # Errors
    /// The disk fails.
    pub fn blob_len(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.blobs.len(digest)
    }

    /// Stores what `source` yields if it has this digest; reads nothing if the blob is there already. Returns its length.
    ///
    /// # Errors
    /// It is too large or has another digest, or reading or writing fails.
    pub fn put_blob(&self, digest: &Digest, mut source: impl Read) -> Result<u64, BlobError> {
        self.blobs.put(digest, &mut source)
    }

    /// Begins an upload at `offset` 0, or goes on with a broken one from [`Control::uploaded`].
    ///
    /// # Errors
    /// The offset is another one, or someone else uploads the same blob.
    pub fn upload(&self, digest: &Digest, offset: u64) -> Result<Upload, BlobError> {
        self.blobs.upload(digest, offset)
    }

    /// How many bytes of the blob a broken upload has left.
    #[must_use]
    pub fn uploaded(&self, digest: &Digest) -> u64 {
        self.blobs.uploaded(digest)
    }

    /// Waits until an upload under way has ended, whichever it is.
    pub(crate) fn upload_ended(&self) -> tokio::sync::futures::Notified<'_> {
        self.blobs.released()
    }
}

/// The purge log.
impl Control {
    /// The log's identity: another one means that positions of before mean nothing. Memory only.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.db.log_id()
    }

    /// The last durable position. Memory only.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.log.head().get()
    }

    /// The last durable position, now and after each change. Memory only.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Seq> {
        self.log.head().subscribe()
    }

    /// The first position that is still in the log; [`Seq::ZERO`] if it is empty. The last million entries are kept: a
    /// node that has applied less than the one before this position must drop all that it holds.
    ///
    /// # Errors
    /// The store fails.
    pub fn oldest_seq(&self) -> Result<Seq, StoreError> {
        self.db.read(purge_log::bounds).map(|(oldest, _)| oldest)
    }

    /// Up to `limit` entries after `seq`, in order.
    ///
    /// # Errors
    /// The store fails.
    pub fn purges_after(&self, seq: Seq, limit: usize) -> Result<Vec<PurgeEntry>, StoreError> {
        self.db.read(|transaction| purge_log::after(transaction, seq, limit))
    }

    /// Purges: an entry for each selector, on disk when this returns. Returns the position of the last one.
    ///
    /// # Errors
    /// No such site, too much or nothing selected, too many purges wait, or the store fails.
    pub fn purge(&self, site: &SiteName, selectors: Vec<Selector>, mode: PurgeMode) -> Result<Seq, PurgeError> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.log.submit(site, selectors, mode, Box::new(move |outcome| drop(reply.send(outcome))))?;
        answer.recv().unwrap_or(Err(PurgeError::Closed))
    }

    /// [`Control::purge`] for a runtime's thread: it waits without blocking.
    ///
    /// # Errors
    /// As for [`Control::purge`].
    pub async fn purge_async(
        &self,
        site: &SiteName,
        selectors: Vec<Selector>,
        mode: PurgeMode,
    ) -> Result<Seq, PurgeError> {
        let (reply, answer) = oneshot::channel();
        self.log.submit(site, selectors, mode, Box::new(move |outcome| drop(reply.send(outcome))))?;
        answer.await.unwrap_or(Err(PurgeError::Closed))
    }
}

/// Nodes. Memory only.
impl Control {
    /// A node joins, until the handle is dropped.
    #[must_use]
    pub fn join(&self, join: NodeJoin) -> NodeHandle {
        self.nodes.join(join)
    }

    /// Every node, in the order in which they joined.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.nodes.status(self.last_seq())
    }

    /// Waits until every node has applied the log up to `seq`, at most `timeout`; times count from when `seq` was durable.
    pub async fn wait_applied(&self, seq: Seq, timeout: Duration) -> Progress {
        self.nodes.wait_applied(seq, timeout).await
    }

    /// Waits until every node serves the release, at most `timeout`; times count from its activation. A node that has
    /// said that it cannot is not waited for.
    pub async fn wait_serving(&self, site: &SiteName, release: ReleaseNumber, timeout: Duration) -> Progress {
        self.nodes.wait_serving(site, release, timeout).await
    }

    /// What is missing before every node serves every active release, in words. Empty: the cluster is ready.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        self.nodes.missing()
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Holds the admin token.
const TOKEN_FILE: &str = "token";

/// Holds the key that signs tokens.
const KEY_FILE: &str = "token.key";

#[cfg(test)]
pub(crate) mod tests;
