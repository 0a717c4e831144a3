//! The edge role: listeners for clients, handlers, a cache, and the way to the shields. Wiring only.

mod certificates;
mod handlers;
mod node;

pub use holm_proxy::{Explanation, KeyPart, LookUp, StoreConfig};
pub use holm_wasm_host::HostConfig;

pub use self::handlers::Handlers;
pub use self::node::{Certificate, EdgeConfig, EdgeNode, StartError};
