//! Purging over the API: selectors are read, the entries become durable, and every node may be waited for.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use holm_model::ids::SiteName;
use holm_model::purge::{InvalidSelector, PurgeMode, Selector};
use http::StatusCode;

use super::Api;
use super::auth::audit;
use super::body::{Json, json};
use super::problem::Failure;
use crate::error::PurgeError;
use crate::token::Claims;
use crate::wire::{PurgeRequest, Purged, Wait};

/// `POST /v1/sites/{site}/purge`: 202 once durable, 200 once every node has applied it.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Path(site): Path<SiteName>,
    Extension(claims): Extension<Arc<Claims>>,
    Json(request): Json<PurgeRequest>,
) -> Result<Response, Failure> {
    let selectors = selectors(&request)?;
    let count = selectors.len();
    let mode = if request.soft { PurgeMode::Soft } else { PurgeMode::Hard };
    let seq = api.control.purge_async(&site, selectors, mode).await?;
    audit(&claims, "purge", Some(&site), &format!("{count} selector(s), {mode:?}, up to {seq}"));
    if request.wait == Wait::Durable {
        return Ok(json(StatusCode::ACCEPTED, &Purged { seq, nodes: Vec::new(), lagging: Vec::new() }));
    }
    let progress = api.control.wait_applied(seq, api.options.wait).await;
    let status = if progress.lagging.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(json(status, &Purged { seq, nodes: progress.nodes, lagging: progress.lagging }))
}

/// The request's selectors in the order in which they enter the log.
fn selectors(request: &PurgeRequest) -> Result<Vec<Selector>, Failure> {
    let invalid =
        |error: InvalidSelector| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-selector", error.to_string());
    let count = request.urls.len() + request.tags.len() + request.prefixes.len();
    if count > holm_model::limits::MAX_PURGE_SELECTORS {
        return Err(PurgeError::TooManySelectors(count).into());
    }
    match (request.all, count) {
        (true, 0) => return Ok(vec![Selector::All]),
        (true, _) => {
            let detail = "`all` is the whole site: leave urls, tags and prefixes out";
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-selection", detail));
        }
        (false, 0) => return Err(PurgeError::NoSelectors.into()),
        (false, _) => {}
    }
    let urls = request.urls.iter().map(|text| Selector::parse_url(text));
    let tags = request.tags.iter().map(|text| Selector::parse_tag(text));
    let prefixes = request.prefixes.iter().map(|text| Selector::parse_prefix(text));
    urls.chain(tags).chain(prefixes).collect::<Result<_, _>>().map_err(invalid)
}
