//! What a node's store is made of: memory, and places on disk where there are any.

use std::path::PathBuf;
use std::sync::Arc;

use holm_cache_store::{DiskAlert, Marks, Store, StoreAlert, StoreError};
use holm_model::disk::DiskPlace;
use holm_model::units::ByteSize;

use crate::faults::Faults;
use crate::stored::Stored;

/// What a node's store is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Memory for cached content and fills under way.
    pub memory: ByteSize,
    /// Where content is kept on disk; memory alone holds it otherwise.
    pub disk: Vec<DiskPlace>,
    /// The folder of the journal of purges and invalidations, which stands beside the content on disk: without it, nobody
    /// could tell after a restart what of that may still be served.
    pub journal: Option<PathBuf>,
}

impl StoreConfig {
    /// Memory alone.
    #[must_use]
    pub const fn memory_only(memory: ByteSize) -> Self {
        Self { memory, disk: Vec::new(), journal: None }
    }

    /// Opens it: `memory` is what the objects may take of it all. What breaks later is reported to `faults`.
    pub(crate) fn open(&self, memory: ByteSize, faults: &Faults) -> Result<Store<Stored>, StoreError> {
        let Some(journal) = self.journal.as_ref().filter(|_| !self.disk.is_empty()) else {
            return Ok(Store::new(memory, Marks::new()));
        };
        let faults = faults.clone();
        let alert = Arc::new(move |alert: StoreAlert| match alert {
            // It is whole, only emptier.
            StoreAlert::Disk(DiskAlert::Dropped { .. } | DiskAlert::IndexFull { .. }) => tracing::warn!("{alert}"),
            StoreAlert::Disk(DiskAlert::Failed { .. }) | StoreAlert::Journal(_) => faults.report(alert.to_string()),
        });
        Store::open(memory, self.disk.clone(), journal, alert)
    }
}
