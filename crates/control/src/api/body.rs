//! JSON bodies, in and out: the type is checked, the size and the time are bounded, mistakes are placed.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use holm_model::limits::MAX_API_BODY;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Api;
use super::problem::Failure;
use crate::wire::{ActivateRequest, PublishRequest, PurgeRequest};

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// A body that the API reads.
pub(super) trait Input: DeserializeOwned {
    /// The most bytes of it.
    const LIMIT: u64;
}

impl Input for PublishRequest {
    const LIMIT: u64 = MAX_API_BODY.get();
}

impl Input for ActivateRequest {
    const LIMIT: u64 = 64 << 10;
}

impl Input for PurgeRequest {
    /// The most selectors, with URLs of a few KiB each.
    const LIMIT: u64 = 4 << 20;
}

impl<T: Input> FromRequest<Arc<Api>> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Failure> {
        check_type(request.headers())?;
        let bytes = collect(request, T::LIMIT, api.options.body_timeout).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let detail = format!("the body is not what it must be: {error}");
            match error.classify() {
                serde_json::error::Category::Data => {
                    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-body", detail)
                }
                _ => Failure::new(StatusCode::BAD_REQUEST, "invalid-json", detail),
            }
        })
    }
}

/// A body that the API answers with.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = (status, bytes).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer can't be written as JSON");
            Failure::internal().into_response()
        }
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    let field = headers.get(header::CONTENT_TYPE).and_then(|field| field.to_str().ok()).unwrap_or_default();
    let essence = field.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("the body must be application/json, not `{essence}`");
    Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", detail))
}

/// The whole body, at most `limit` bytes of it, within `time`.
async fn collect(request: Request, limit: u64, time: Duration) -> Result<Bytes, Failure> {
    let too_large = || {
        let detail = format!("the body may have {limit} bytes at most");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    };
    let body = request.into_body();
    if http_body::Body::size_hint(&body).lower() > limit {
        return Err(too_large());
    }
    let all = async {
        let mut body = body;
        let mut bytes = BytesMut::new();
        while let Some(data) = next(&mut body).await? {
            if (bytes.len() + data.len()) as u64 > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    };
    tokio::time::timeout(time, all).await.unwrap_or_else(|_| Err(timed_out()))
}

/// The next bytes of a body; trailers are passed over.
pub(super) async fn next(body: &mut Body) -> Result<Option<Bytes>, Failure> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let detail = format!("the body broke off: {error}");
            Failure::new(StatusCode::BAD_REQUEST, "broken-body", detail)
        })?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// A body that did not come in time.
pub(super) fn timed_out() -> Failure {
    Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time; send it again")
}
