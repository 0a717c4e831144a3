//! Releases: what a site is at one time. Immutable and numbered; activation is elsewhere (control).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, ReleaseNumber, SiteName};
use crate::manifest::Manifest;
use crate::units::Timestamp;

/// A site's manifest with the digests of everything that it names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The site.
    pub site: SiteName,
    /// Its number within the site.
    pub number: ReleaseNumber,
    /// The resolved manifest.
    pub manifest: Manifest,
    /// The component of each handler, by the handler's name.
    pub components: BTreeMap<String, Digest>,
    /// The files of each route that has files, by the route's index in the manifest.
    pub files: BTreeMap<usize, Files>,
    /// When the release was made.
    pub created: Timestamp,
}

/// The files of one route, by path relative to the route's pattern, with a leading slash.
pub type Files = BTreeMap<String, FileEntry>;

/// One static file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Names the blob that holds the bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// The `Content-Type` to send.
    pub content_type: String,
}
