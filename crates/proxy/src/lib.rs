//! One request's way through a tier: the shell around policy, store and upstream that both roles share.

mod address;
mod answer;
mod collect;
mod edge;
mod files;
mod fill;
mod follow;
mod forward;
mod handler;
mod hop;
mod interim;
mod internal;
mod node;
mod origin_hop;
mod report;
mod shield;
mod shield_hop;
mod site;
mod stored;
mod tunnel;

pub use self::edge::EdgeService;
pub use self::follow::{Follower, PoolMaker};
pub use self::handler::{Handler, HandlerCall, HandlerFault, HandlerLoader};
pub use self::internal::Scheme;
pub use self::node::{Node, Role};
pub use self::shield::ShieldService;
pub use self::site::{Site, SiteTable};
