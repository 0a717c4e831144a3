//! `[handlers.NAME]`: a component and the limits of one call.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::ByteSize;

/// A handler: a component and the limits of one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandlerSpec {
    /// Folder to build or `.wasm` file, as the manifest has it.
    pub component: String,
    /// The most linear memory of one instance.
    pub memory: ByteSize,
    /// The most time on a CPU of one call.
    pub cpu: Duration,
    /// The most time of one call from its start to its response's head.
    pub wall: Duration,
    /// The guest's environment.
    pub env: BTreeMap<String, String>,
    /// Authorities beyond the site itself that it may fetch from. Empty in this version: the site alone.
    pub outbound: Vec<String>,
}

impl HandlerSpec {
    /// A handler of this component with every default.
    #[must_use]
    pub fn new(component: String) -> Self {
        Self {
            component,
            memory: DEFAULT_MEMORY,
            cpu: DEFAULT_CPU,
            wall: DEFAULT_WALL,
            env: BTreeMap::new(),
            outbound: Vec::new(),
        }
    }
}

/// Enough for what small services need, little enough for hundreds at a time.
pub(super) const DEFAULT_MEMORY: ByteSize = ByteSize::mib(64);
/// Ten times what a small handler takes, and short enough that a loop costs little.
pub(super) const DEFAULT_CPU: Duration = Duration::from_millis(50);
/// Time enough for a slow origin's answer.
pub(super) const DEFAULT_WALL: Duration = Duration::from_secs(10);
