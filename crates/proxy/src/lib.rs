//! One request's way through a tier: the shell around policy, store and upstream that both roles share.

mod address;
mod answer;
mod collect;
mod edge;
mod explain;
mod faults;
mod fields;
mod files;
mod fill;
mod follow;
mod forward;
mod handler;
mod head_update;
mod hop;
mod interim;
mod internal;
mod invalidate;
mod keep;
mod lookup;
mod node;
mod origin_hop;
mod pass;
mod patience;
mod pieces;
mod query;
mod random;
mod ranges;
mod reasons;
mod report;
mod respond;
mod shards;
mod shield;
mod shield_hop;
mod site;
mod slices;
mod store_config;
mod stored;
mod storing;
mod traces;
mod tunnel;
mod underway;
mod variants;

pub use holm_cache_policy::{Explanation, KeyPart};

pub use self::edge::EdgeService;
pub use self::explain::LookUp;
pub use self::follow::{Follower, PoolMaker};
pub use self::handler::{Handler, HandlerCall, HandlerFault, HandlerLoader};
pub use self::internal::Scheme;
pub use self::node::{Node, Role};
pub use self::reasons::{REASONS, Reason};
pub use self::shield::ShieldService;
pub use self::site::{Site, SiteTable};
pub use holm_cache_store::StoreError;

pub use self::store_config::StoreConfig;
