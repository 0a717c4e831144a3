//! The fills under way: one per key, joined by whoever asks meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holm_cache_store::{Marks, Object, Scope, Standing};
use holm_model::ids::Seq;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::buffer::FillSource;
use crate::hop::HopError;
use crate::interim::Audience;
use crate::stored::{Stored, StoredResponse};

/// One fetch that others may share.
#[derive(Debug)]
pub(crate) struct Fill {
    /// The node's `applied` when it began.
    pub(crate) begun_at: Seq,
    /// The key of its URL, whichever variant it fetches.
    primary: u128,
    /// What it is about, without tags: those come with the response.
    pub(crate) scope: Scope,
    /// What it fetches was changed meanwhile: its response may be served, not stored.
    spoilt: AtomicBool,
    /// Those who wait for its head.
    pub(crate) audience: Arc<Audience>,
    phase: watch::Sender<Phase>,
}

/// How far a fill has come.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// The request is on its way.
    Asked,
    /// The response can be shared, and its bytes arrive.
    Streaming(Arc<Streaming>),
    /// The stored response was confirmed (304) or is complete.
    Refreshed(Arc<Object<Stored>>),
    /// The response is for the one who asked alone: the others go their own way.
    Released(&'static str),
    /// No response came.
    Failed(HopError),
}

/// A storable response while its body arrives.
#[derive(Debug)]
pub(crate) struct Streaming {
    pub(crate) head: Arc<StoredResponse>,
    pub(crate) scope: Scope,
    pub(crate) as_of: Seq,
    pub(crate) source: FillSource,
}

impl Fill {
    /// Does no purge since its beginning concern it? Tags count once the response's head is here.
    pub(crate) fn is_live(&self, marks: &Marks) -> bool {
        let live = |scope: &Scope, as_of| marks.standing(scope, as_of) == Standing::Live;
        let streaming = match &*self.phase.borrow() {
            Phase::Streaming(streaming) => live(&streaming.scope, streaming.as_of),
            _ => true,
        };
        streaming && live(&self.scope, self.begun_at)
    }

    pub(crate) fn is_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Waits until the fill is past [`Phase::Asked`].
    pub(crate) async fn answered(&self) -> Phase {
        let mut phase = self.phase.subscribe();
        match phase.wait_for(|phase| !matches!(phase, Phase::Asked)).await {
            Ok(phase) => phase.clone(),
            Err(_) => Phase::Released("fill-ended"),
        }
    }
}

/// Every fill under way of a node.
#[derive(Debug)]
pub(crate) struct FillTable {
    shards: Vec<Mutex<HashMap<u128, Arc<Fill>>>>,
}

/// What [`FillTable::enter`] found.
pub(crate) enum Entered {
    /// Nobody fills this key: the caller does.
    Leader(Ticket),
    /// Someone does.
    Joined(Arc<Fill>),
}

impl FillTable {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() })
    }

    /// Joins the fill of `key` if there is one that `usable` accepts; else begins one, which takes its place.
    pub(crate) fn enter(
        self: &Arc<Self>,
        (primary, key): (u128, u128),
        usable: impl FnOnce(&Fill) -> bool,
        begin: impl FnOnce() -> (Seq, Scope),
    ) -> Entered {
        let mut shard = self.shard(key).lock();
        if let Some(fill) = shard.get(&key).filter(|fill| usable(fill)) {
            return Entered::Joined(Arc::clone(fill));
        }
        let (begun_at, scope) = begin();
        let (spoilt, phase) = (AtomicBool::new(false), watch::Sender::new(Phase::Asked));
        let audience = Arc::default();
        let fill = Arc::new(Fill { begun_at, primary, scope, spoilt, audience, phase });
        shard.insert(key, Arc::clone(&fill));
        Entered::Leader(Ticket { table: Arc::clone(self), key, fill })
    }

    /// Is a fill of `key` under way?
    pub(crate) fn contains(&self, key: u128) -> bool {
        self.shard(key).lock().contains_key(&key)
    }

    /// What this URL names was changed (by an unsafe method): nobody joins a fill of it that is under way, whichever
    /// variant it fetches, and none of them stores anything. Looks at every fill: few are under way, and such methods rare.
    pub(crate) fn spoil(&self, primary: u128) {
        for shard in &self.shards {
            shard.lock().retain(|_, fill| {
                let changed = fill.primary == primary;
                if changed {
                    fill.spoilt.store(true, Ordering::Release);
                }
                !changed
            });
        }
    }

    fn shard(&self, key: u128) -> &Mutex<HashMap<u128, Arc<Fill>>> {
        // The low bits of a hash are as good as any.
        &self.shards[key as usize % SHARDS]
    }
}

/// The right, and the duty, to bring a fill to its end. Dropping it before releases the waiters.
#[derive(Debug)]
pub(crate) struct Ticket {
    table: Arc<FillTable>,
    key: u128,
    pub(crate) fill: Arc<Fill>,
}

impl Ticket {
    pub(crate) fn key(&self) -> u128 {
        self.key
    }

    /// No one else may join from now on; those who have joined keep what they have.
    pub(crate) fn leave_table(&self) {
        let mut shard = self.table.shard(self.key).lock();
        if shard.get(&self.key).is_some_and(|fill| Arc::ptr_eq(fill, &self.fill)) {
            shard.remove(&self.key);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave_table();
        let asked = matches!(*self.fill.phase.borrow(), Phase::Asked);
        if asked {
            self.fill.set(Phase::Released("fill-ended"));
        }
    }
}

/// A power of two well above the number of cores.
const SHARDS: usize = 64;
