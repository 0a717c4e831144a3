//! The slices that are being fetched: each once, whoever wants it.

use std::sync::Arc;

use holm_cache_policy::NoStoreReason;
use holm_transport::body::{BodyError, BodyErrorKind, Side};
use tokio::sync::watch;

use crate::fill::Charge;
use crate::hop::HopError;
use crate::node::CachedObject;
use crate::shards::Shards;

/// A slice that has come.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) object: CachedObject,
    /// What it takes of the budget until everyone who waits has it: the store may not have kept it.
    pub(super) _charge: Option<Charge>,
}

/// Why a slice did not come.
#[derive(Debug, Clone)]
pub(crate) enum SliceError {
    /// The origin has another representation now, or serves no ranges of it any more.
    Changed,
    /// What the origin says of it now is not for everyone.
    Unshared(NoStoreReason),
    /// No answer, or one that broke off.
    Failed(HopError),
    /// It is not here, and there is nothing that it could be asked for by.
    Lost,
    /// Whoever fetched it gave up before it came to this slice, or what came was purged.
    Abandoned,
}

impl SliceError {
    /// Will it be the same at the next try?
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Changed | Self::Unshared(_) | Self::Lost => true,
            Self::Failed(error) => error.reason != BROKE_OFF,
            Self::Abandoned => false,
        }
    }

    /// What ends a body that has begun: never a clean end.
    pub(super) fn into_body_error(self) -> BodyError {
        let said =
            |detail: &dyn std::fmt::Display| BodyError::with_detail(BodyErrorKind::Incomplete, Side::Upstream, detail);
        match self {
            Self::Failed(error) => said(&error),
            other => said(&other.as_str()),
        }
    }

    fn as_str(&self) -> &'static str {
        match self {
            Self::Changed => "the representation has changed",
            Self::Unshared(reason) => reason.as_str(),
            Self::Failed(error) => error.reason,
            Self::Lost => "a slice is gone, and there is no validator to ask for it by",
            Self::Abandoned => "a slice was given up",
        }
    }
}

type Outcome = Result<Arc<Fetched>, SliceError>;

/// One slice that someone fetches.
#[derive(Debug)]
pub(crate) struct SliceFill(watch::Sender<Option<Outcome>>);

impl SliceFill {
    /// Waits for what becomes of it.
    pub(crate) async fn outcome(&self) -> Outcome {
        let mut outcome = self.0.subscribe();
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(SliceError::Abandoned),
        }
    }
}

/// Every slice of a node that is being fetched.
#[derive(Debug)]
pub(crate) struct SliceTable(Shards<Arc<SliceFill>>);

/// What [`SliceTable::enter`] found.
pub(crate) enum Entered {
    /// Nobody fetches this slice: the caller does.
    Leader(Ticket),
    /// Someone does.
    Joined(Arc<SliceFill>),
}

impl SliceTable {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Shards::default()))
    }

    pub(crate) fn enter(self: &Arc<Self>, key: u128) -> Entered {
        let mut shard = self.0.lock(key);
        if let Some(fill) = shard.get(&key) {
            return Entered::Joined(Arc::clone(fill));
        }
        let fill = Arc::new(SliceFill(watch::Sender::new(None)));
        shard.insert(key, Arc::clone(&fill));
        Entered::Leader(Ticket { table: Arc::clone(self), key, fill })
    }

    /// The right to fetch a slice that nobody fetches.
    pub(crate) fn begin(self: &Arc<Self>, key: u128) -> Option<Ticket> {
        match self.enter(key) {
            Entered::Leader(ticket) => Some(ticket),
            Entered::Joined(_) => None,
        }
    }
}

/// The right, and the duty, to bring a slice. Dropping it tells those who wait that it was given up.
#[derive(Debug)]
pub(crate) struct Ticket {
    table: Arc<SliceTable>,
    pub(crate) key: u128,
    pub(crate) fill: Arc<SliceFill>,
}

impl Ticket {
    /// It is here, or will not come. The store has it by then, if it takes it: who comes now looks there.
    pub(crate) fn settle(self, outcome: Outcome) {
        self.leave_table();
        self.fill.0.send_replace(Some(outcome));
    }

    fn leave_table(&self) {
        self.table.0.remove(self.key, &self.fill);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave_table();
        self.fill.0.send_if_modified(|outcome| {
            let open = outcome.is_none();
            if open {
                *outcome = Some(Err(SliceError::Abandoned));
            }
            open
        });
    }
}

/// The reason of an answer that ended before its end.
pub(super) const BROKE_OFF: &str = "broke-off";
