//! Upstreams: pools of origins and the shield, their connections, time limits and retries.

mod attempts;
mod error;
mod head;
mod idle;
mod pool;
mod shield;
mod watch;
mod worker;

pub use attempts::{Fetch, OnFetch};
pub use error::{UpstreamError, UpstreamErrorKind};
pub use pool::Pool;
pub use shield::{ShieldClient, ShieldEndpoint};
