//! What crosses the control API as JSON: one type a body, used by the server and by the client.
//!
//! Every request but `/healthz`, `/readyz` and `/metrics` carries `Authorization: Bearer TOKEN`; every answer that is no
//! success is a [`Problem`] in `application/problem+json`. Lists (`GET /v1/sites` of [`SiteSummary`], `GET
//! /v1/sites/{site}/releases` of [`ReleaseSummary`], oldest first, `GET /v1/nodes` of [`NodeStatus`]) are JSON arrays.
//! `GET /v1/stats?site=&window=5m` is a `StatsReport` (holm-telemetry); the window is written as in a manifest.
//!
//! # Blobs: `/v1/blobs/{digest}`
//!
//! * `HEAD` → 200 with `Content-Length`: it is there, whole. 404: it is not; if an upload of it broke off, `Upload-Offset:
//!   N` says how many of its bytes the server kept.
//! * `PUT` with the bytes from `Upload-Offset: N` (absent: 0) to the end as its body, and `Content-Length` the number of
//!   these. Offset 0 begins anew, whatever was kept. → 201: stored and durable. 200: it was there already (the body may
//!   be left unread). 409 with `Upload-Offset: M`: the server has M bytes, go on from there. 409 without it: another
//!   upload of the same blob is under way, try later. 413: too large. 422: the bytes have another digest; they were
//!   discarded.
//! * When a connection breaks in mid-upload, the server keeps what came for the next `HEAD` to tell.

use std::collections::BTreeMap;
use std::time::Duration;

use holm_model::ids::{Digest, NodeName, RegionName, ReleaseNumber, Seq, SiteName};
use holm_model::release::Files;
use holm_model::units::Timestamp;
use serde::{Deserialize, Serialize};

/// `POST /v1/sites/{site}/releases`. Answered with 201 and a [`ReleaseSummary`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// The manifest's text (TOML), as it stands in `holm.toml`: the server reads it with the parser that `holm check` uses.
    pub manifest: String,
    /// The component of each handler, by the handler's name. Each must have been uploaded.
    #[serde(default)]
    pub components: BTreeMap<String, Digest>,
    /// The files of each route that has files, by the route's index in the manifest.
    #[serde(default)]
    pub files: BTreeMap<usize, Files>,
}

/// One release of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSummary {
    /// The site.
    pub site: SiteName,
    /// Its number.
    pub release: ReleaseNumber,
    /// When it was made, in milliseconds since the epoch.
    pub created: Timestamp,
    /// Is it the one that is served?
    pub active: bool,
    /// How many handlers and files it has.
    pub handlers: usize,
    /// Files.
    pub files: usize,
}

/// `GET /v1/sites`: one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSummary {
    /// Its name.
    pub site: SiteName,
    /// The hosts that the active release answers for.
    pub hosts: Vec<String>,
    /// The active release.
    pub active: Option<ReleaseNumber>,
    /// The release that was active before the active one: what a rollback without a number goes to.
    #[serde(default)]
    pub previous: Option<ReleaseNumber>,
    /// The latest release.
    pub latest: ReleaseNumber,
}

/// How long a change waits before it is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// Until it can no longer be lost.
    #[default]
    Durable,
    /// Until every live node has applied it, or [`MAX_WAIT`] has passed.
    Applied,
}

/// `PUT /v1/sites/{site}/active`, with `If-Match: "N"` where N is the active release (`"0"` for none) as a
/// compare-and-swap: 412 if another one is active. Answered with 200 and [`Activated`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// The release to serve.
    pub release: ReleaseNumber,
    /// How long to wait.
    #[serde(default)]
    pub wait: Wait,
}

/// A release was activated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activated {
    /// The site.
    pub site: SiteName,
    /// The release.
    pub release: ReleaseNumber,
    /// The one that was active before.
    pub previous: Option<ReleaseNumber>,
    /// Nodes that serve it (with `wait: applied`).
    pub nodes: Vec<NodeTime>,
    /// Nodes that do not, with why.
    pub lagging: Vec<NodeLag>,
}

/// A node that has applied a change, and how long after the change it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTime {
    /// The node.
    pub node: NodeName,
    /// Milliseconds.
    pub ms: u64,
}

/// A node that has not applied a change in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLag {
    /// The node.
    pub node: NodeName,
    /// What it says; empty if it has said nothing.
    pub reason: String,
}

/// `POST /v1/sites/{site}/purge`. Answered with [`Purged`]: 202 once durable, 200 once applied everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    /// Absolute URLs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Path prefixes, or URLs and all below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// The whole site.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Make stale instead of removing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soft: bool,
    /// How long to wait.
    #[serde(default)]
    pub wait: Wait,
}

/// A purge is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// The position of its last entry.
    pub seq: Seq,
    /// Nodes that have applied it (with `wait: applied`).
    #[serde(default)]
    pub nodes: Vec<NodeTime>,
    /// Nodes that have not in time.
    #[serde(default)]
    pub lagging: Vec<NodeLag>,
}

/// `GET /v1/nodes`: one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: NodeName,
    /// `edge` or `shield`.
    pub role: String,
    /// Its region.
    pub region: RegionName,
    /// The software's version.
    pub version: String,
    /// When it joined.
    pub since: Timestamp,
    /// The position in the purge log up to which its look-ups see every purge.
    pub applied: Seq,
    /// How far the log is ahead of it.
    pub purge_lag: u64,
    /// The release of each site that it serves.
    pub releases: BTreeMap<SiteName, ReleaseNumber>,
    /// Why it could not take a site's active release.
    #[serde(default)]
    pub errors: BTreeMap<SiteName, String>,
    /// What of it is broken while it serves on, such as a disk.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// RFC 9457: what went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A URI reference that names the kind of problem, such as `/problems/no-such-release`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words, with what to do.
    pub detail: String,
}

/// Where an upload stands, in bytes; see above.
pub const UPLOAD_OFFSET: &str = "upload-offset";

/// How long the server waits for nodes with `wait: applied`; then it answers with those that lag. A client waits a
/// little longer than this. Long enough to compile the components of a large site.
pub const MAX_WAIT: Duration = Duration::from_secs(60);
