//! WebAssembly handlers: engine, instances, limits, host interfaces. The only importer of wasmtime.
//!
//! A [`Host`] belongs to a node: one engine, one pool of instances, a few threads. It loads components
//! ([`Host::load`]) and each call of one ([`HandlerModule::call`]) gets a fresh instance with limits of its own.
//! What a handler fetches goes through the [`Outbound`] that the caller passes; there is no other way out.

mod body;
mod call;
mod component;
mod config;
mod engine;
mod fault;
mod guest_log;
mod handler;
mod host;
mod meter;
mod outbound;
mod state;
mod stats;
mod tracked_body;
mod workers;

pub use self::body::{GuestBody, GuestBodyError, empty, full};
pub use self::component::LoadError;
pub use self::config::{
    HostConfig, MAX_BODY_CHUNK, MAX_FIELDS_BYTES, MAX_HOST_CALL_BYTES, MAX_LOG_BYTES, MAX_LOG_LINE, MAX_OUTBOUND,
    MAX_RANDOM_BYTES, MAX_RESOURCES,
};
pub use self::fault::{Fault, FaultReason};
pub use self::handler::HandlerModule;
pub use self::host::{Host, HostError};
pub use self::outbound::{Outbound, OutboundConfig, OutboundError, OutboundFailure};
