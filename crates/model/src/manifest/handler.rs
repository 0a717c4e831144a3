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
