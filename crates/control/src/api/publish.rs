//! Publishing over the API: the manifest's text is read here, with the parser that `holm check` uses.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use holm_model::ids::SiteName;
use holm_model::limits::MAX_MANIFEST;
use holm_model::manifest::{Manifest, parse};
use http::StatusCode;

use super::Api;
use super::auth::audit;
use super::body::{Json, json};
use super::problem::Failure;
use crate::token::Claims;
use crate::wire::PublishRequest;

/// `POST /v1/sites/{site}/releases`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Path(site): Path<SiteName>,
    Extension(claims): Extension<Arc<Claims>>,
    Json(request): Json<PublishRequest>,
) -> Result<Response, Failure> {
    let name = site.clone();
    let publish = move |control: &crate::Control| -> Result<_, Failure> {
        let manifest = read(&request.manifest, &name)?;
        Ok(control.publish(manifest, request.components, request.files)?)
    };
    let release = api.blocking(publish).await??;
    audit(&claims, "publish", Some(&site), &format!("release {}", release.release));
    Ok(json(StatusCode::CREATED, &release))
}

fn read(text: &str, site: &SiteName) -> Result<Manifest, Failure> {
    if text.len() as u64 > MAX_MANIFEST.get() {
        let detail = format!("the manifest has {} bytes; the most is {MAX_MANIFEST}", text.len());
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
    }
    let invalid = |detail: String| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-manifest", detail);
    let manifest = parse("holm.toml", text).map_err(|errors| invalid(errors.to_string()))?;
    if manifest.name != *site {
        let detail = format!("the manifest is that of `{}`, not of `{site}`; publish it there", manifest.name);
        return Err(invalid(detail));
    }
    Ok(manifest)
}
