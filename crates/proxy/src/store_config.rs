//! What a node's store is made of: memory, and places on disk where there are any.

use std::path::PathBuf;

use holm_model::disk::DiskPlace;
use holm_model::units::ByteSize;

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

/// Why a node's store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// This version has no disk tier.
    #[error("can't keep content in {}: the disk tier is not there yet; leave --disk out", .0.display())]
    NoDisk(PathBuf),
}

impl StoreConfig {
    /// Memory alone.
    #[must_use]
    pub const fn memory_only(memory: ByteSize) -> Self {
        Self { memory, disk: Vec::new(), journal: None }
    }
}
