//! The control plane: releases, purge log, tokens; the embedded store; the API's server and client.

pub mod admin;
mod api;
mod blobs;
pub mod ca;
pub mod client;
mod component;
mod control;
mod db;
mod error;
mod nodes;
mod purge_log;
pub mod token;
pub mod wire;

pub use self::api::{ApiOptions, ApiService, api_service};
pub use self::blobs::Upload;
pub use self::component::{ComponentError, check_component};
pub use self::control::{ActiveReleases, Control};
pub use self::error::{ActivateError, BlobError, OpenError, PublishError, PurgeError, SiteError, StoreError};
pub use self::nodes::{NodeHandle, NodeJoin, Progress};
