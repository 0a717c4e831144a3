//! The edge role: listeners for clients, handlers, a cache, and the way to the shields. Wiring only.

mod handlers;
mod node;

pub use self::handlers::Handlers;
pub use self::node::{EdgeConfig, EdgeNode, StartError};
