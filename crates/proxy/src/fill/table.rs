//! The fills under way: one per key, joined by whoever asks meanwhile.

use std::sync::Arc;

use holm_cache_store::{Local, Marks, Moment, Object, Scope, Standing};
use holm_model::ids::Seq;
use holm_transport::body::Body;
use http::{Request, StatusCode};
use tokio::sync::watch;

use super::buffer::FillSource;
use super::outcome::{FillCounts, Outcome};
use crate::hop::HopError;
use crate::interim::Audience;
use crate::node::{Node, Target};
use crate::shards::Shards;
use crate::stored::{Stored, StoredResponse};

/// One fetch that others may share.
#[derive(Debug)]
pub(crate) struct Fill {
    /// When it began.
    pub(crate) begun: Moment,
    /// What it is about, without tags: those come with the response.
    scope: Scope,
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
    pub(crate) local: Local,
    /// What the next hop answered.
    pub(crate) fwd_status: StatusCode,
    pub(crate) source: FillSource,
}

impl Fill {
    /// The fill of a request's URL that begins now.
    pub(crate) fn new(node: &Node, target: &Target<'_>, request: &Request<Body>) -> Self {
        Self {
            begun: node.marks.moment(),
            scope: target.scope(request),
            audience: Arc::default(),
            phase: watch::Sender::new(Phase::Asked),
        }
    }

    /// Does no purge, and no change, since its beginning concern it? Tags count once the response's head is here.
    pub(crate) fn is_live(&self, marks: &Marks) -> bool {
        let live = |scope: &Scope, as_of| marks.standing(scope, as_of, self.begun.local) == Standing::Live;
        let streaming = match &*self.phase.borrow() {
            Phase::Streaming(streaming) => live(&streaming.scope, streaming.as_of),
            _ => true,
        };
        streaming && live(&self.scope, self.begun.applied)
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
    pub(crate) counts: Arc<FillCounts>,
    fills: Shards<Arc<Fill>>,
}

/// What [`FillTable::enter`] found.
pub(crate) enum Entered {
    /// Nobody fills this key: the caller does.
    Leader(Ticket),
    /// Someone does.
    Joined(Arc<Fill>),
    /// Nobody does, nor needs to.
    Needless,
}

impl FillTable {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { counts: Arc::default(), fills: Shards::default() })
    }

    /// Joins the fill of `key` if there is one that `usable` accepts; else begins one, which takes its place, unless `begin`
    /// finds that there is no need. What a fill has stored is there before it leaves the table.
    pub(crate) fn enter(
        self: &Arc<Self>,
        key: u128,
        usable: impl FnOnce(&Fill) -> bool,
        begin: impl FnOnce() -> Option<Fill>,
    ) -> Entered {
        let mut shard = self.fills.lock(key);
        if let Some(fill) = shard.get(&key).filter(|fill| usable(fill)) {
            return Entered::Joined(Arc::clone(fill));
        }
        let Some(fill) = begin().map(Arc::new) else { return Entered::Needless };
        shard.insert(key, Arc::clone(&fill));
        Entered::Leader(Ticket { table: Arc::clone(self), key, fill })
    }

    /// Is a fill of `key` under way?
    pub(crate) fn contains(&self, key: u128) -> bool {
        self.fills.lock(key).contains_key(&key)
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

    /// The fill has ended so: no one else may join, and those who wait are told.
    pub(crate) fn end(&self, outcome: Outcome, phase: Phase) {
        self.leave(outcome);
        self.fill.set(phase);
    }

    /// The fill has ended so: no one else may join.
    pub(crate) fn leave(&self, outcome: Outcome) {
        self.leave_table();
        self.table.counts.count(outcome);
    }

    /// No one else may join from now on; those who have joined keep what they have.
    pub(crate) fn leave_table(&self) {
        self.table.fills.remove(self.key, &self.fill);
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
