//! `[[routes]]`: a path and what answers it.

use serde::{Deserialize, Serialize};

use super::{CacheRule, PathPattern};

/// A path and what answers it: an origin or files, with or without a handler in front, or a handler alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Which paths.
    pub path: PathPattern,
    /// The name of the origin pool.
    pub origin: Option<String>,
    /// The folder of static files.
    pub files: Option<FilesSpec>,
    /// The handler.
    pub handler: Option<RouteHandler>,
    /// The cache rule.
    pub cache: CacheRule,
}

impl Route {
    /// Has it an origin or files, so that a fetch can end here?
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.origin.is_some() || self.files.is_some()
    }

    /// Its name in metrics and logs: the pattern's text.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.as_str()
    }
}

/// A folder of static files, uploaded with the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesSpec {
    /// The folder, relative to the manifest.
    pub dir: String,
}

/// A route's handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteHandler {
    /// Its name in `[handlers]`.
    pub name: String,
    /// Where it stands.
    pub position: Position,
}

/// Where a handler stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// Before the cache: runs on every request.
    Viewer,
}
