//! Sites: the list, releases, activation, deletion.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use holm_model::ids::{ReleaseNumber, SiteName};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Api;
use super::auth::audit;
use super::body::{Json, json};
use super::problem::Failure;
use crate::token::Claims;
use crate::wire::{ActivateRequest, Wait};

/// `GET /v1/sites`: those that the token is good for.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(claims): Extension<Arc<Claims>>,
) -> Result<Response, Failure> {
    let mut sites = api.blocking(crate::Control::sites).await??;
    sites.retain(|site| claims.covers(&site.site));
    Ok(json(StatusCode::OK, &sites))
}

/// `GET /v1/sites/{site}/releases`.
pub(super) async fn releases(State(api): State<Arc<Api>>, Path(site): Path<SiteName>) -> Result<Response, Failure> {
    let releases = api.blocking(move |control| control.releases(&site)).await??;
    Ok(json(StatusCode::OK, &releases))
}

/// `DELETE /v1/sites/{site}`.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Path(site): Path<SiteName>,
    Extension(claims): Extension<Arc<Claims>>,
) -> Result<StatusCode, Failure> {
    let gone = site.clone();
    api.blocking(move |control| control.delete_site(&gone)).await??;
    audit(&claims, "delete-site", Some(&site), "");
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /v1/sites/{site}/active`.
pub(super) async fn activate(
    State(api): State<Arc<Api>>,
    Path(site): Path<SiteName>,
    Extension(claims): Extension<Arc<Claims>>,
    headers: HeaderMap,
    Json(request): Json<ActivateRequest>,
) -> Result<Response, Failure> {
    let expected = expected(&headers)?;
    let release = request.release;
    let mut activated = {
        let site = site.clone();
        api.blocking(move |control| control.activate(&site, release, expected)).await??
    };
    let before = activated.previous.map_or_else(|| "none".to_owned(), |previous| previous.to_string());
    audit(&claims, "activate", Some(&site), &format!("release {release} after {before}"));
    if request.wait == Wait::Applied {
        let progress = api.control.wait_serving(&site, release, api.options.wait).await;
        (activated.nodes, activated.lagging) = (progress.nodes, progress.lagging);
    }
    let mut response = json(StatusCode::OK, &activated);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{release}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// `If-Match` (RFC 9110 §13.1.1): the release that must be active, `"0"` for none. Absent: whichever is.
fn expected(headers: &HeaderMap) -> Result<Option<Option<ReleaseNumber>>, Failure> {
    let Some(field) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = field.to_str().unwrap_or_default().trim();
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    match number {
        Some(0) => Ok(Some(None)),
        Some(number) => Ok(Some(Some(ReleaseNumber::new(number)))),
        None => {
            let detail = format!("If-Match must be one quoted release number, \"0\" for none, not `{text}`");
            Err(Failure::new(StatusCode::BAD_REQUEST, "invalid-if-match", detail))
        }
    }
}
