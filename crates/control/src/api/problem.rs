//! Problems: every refusal as an RFC 9457 document.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::error::{ActivateError, BlobError, PublishError, PurgeError, SiteError, StoreError};
use crate::wire::{Problem, UPLOAD_OFFSET};

/// Why a request was not done.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    slug: &'static str,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// A failure of the kind `/problems/{slug}`; the detail says what to do.
    pub(super) fn new(status: StatusCode, slug: &'static str, detail: impl Into<String>) -> Self {
        Self { status, slug, detail: detail.into(), headers: Vec::new() }
    }

    /// Something failed that the caller can do nothing about; the log says what.
    pub(super) fn internal() -> Self {
        let detail = "the node failed to do this; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("/problems/{}", self.slug),
            title: title(self.slug),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// `no-such-site` → `No such site`.
fn title(slug: &str) -> String {
    let mut words = slug.replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the control store failed");
        match error {
            // Says what to do, and names nothing that is secret.
            StoreError::CorruptBlob(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged-blob", error.to_string())
            }
            _ => Self::internal(),
        }
    }
}

impl From<SiteError> for Failure {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Store(error) => error.into(),
            SiteError::NoSuchSite(_) => Self::new(StatusCode::NOT_FOUND, "no-such-site", error.to_string()),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let (status, slug) = match error {
            PublishError::Store(error) => return error.into(),
            PublishError::TooManySites => (StatusCode::CONFLICT, "too-many-sites"),
            PublishError::MissingBlobs(_) => (StatusCode::CONFLICT, "missing-blobs"),
            PublishError::HostTaken { .. } => (StatusCode::CONFLICT, "host-taken"),
            PublishError::InvalidComponent { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-component"),
            PublishError::TooManyFiles(_)
            | PublishError::NoComponent(_)
            | PublishError::UnknownHandler(_)
            | PublishError::NoFiles { .. }
            | PublishError::UnknownFiles(_)
            | PublishError::InvalidFile { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-release"),
        };
        Self::new(status, slug, error.to_string())
    }
}

impl From<ActivateError> for Failure {
    fn from(error: ActivateError) -> Self {
        let (status, slug) = match error {
            ActivateError::Store(error) => return error.into(),
            ActivateError::NoSuchSite(_) => (StatusCode::NOT_FOUND, "no-such-site"),
            ActivateError::NoSuchRelease { .. } => (StatusCode::NOT_FOUND, "no-such-release"),
            ActivateError::Conflict { .. } => (StatusCode::PRECONDITION_FAILED, "another-release-active"),
            ActivateError::HostTaken { .. } => (StatusCode::CONFLICT, "host-taken"),
        };
        Self::new(status, slug, error.to_string())
    }
}

impl From<PurgeError> for Failure {
    fn from(error: PurgeError) -> Self {
        match error {
            PurgeError::Store(ref error) => {
                tracing::error!(%error, "a purge was not written");
                Self::internal()
            }
            PurgeError::NoSuchSite(_) => Self::new(StatusCode::NOT_FOUND, "no-such-site", error.to_string()),
            PurgeError::NoSelectors | PurgeError::TooManySelectors(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-selection", error.to_string())
            }
            PurgeError::Busy | PurgeError::Closed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string())
                    .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
        }
    }
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        let detail = error.to_string();
        match error {
            BlobError::Store(error) => error.into(),
            BlobError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail),
            BlobError::Mismatch { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "other-digest", detail),
            BlobError::Offset { have } => Self::new(StatusCode::CONFLICT, "other-offset", detail)
                .with_header(HeaderName::from_static(UPLOAD_OFFSET), have.into()),
            BlobError::Busy => Self::new(StatusCode::CONFLICT, "upload-under-way", detail)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("5")),
            BlobError::Source(_) => Self::new(StatusCode::BAD_REQUEST, "broken-body", detail),
        }
    }
}

/// RFC 9457 §3.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
