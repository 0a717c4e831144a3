//! Looking on: statistics, nodes, metrics, probes.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use holm_model::ids::SiteName;
use holm_model::units::HumanDuration;
use http::{HeaderValue, StatusCode, header};

use super::Api;
use super::auth::covers;
use super::body::json;
use super::problem::Failure;
use crate::error::SiteError;
use crate::token::Claims;

/// `GET /v1/stats?site=&window=`.
pub(super) async fn stats(
    State(api): State<Arc<Api>>,
    Extension(claims): Extension<Arc<Claims>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let asked = Asked::read(query.as_deref().unwrap_or_default())?;
    match &asked.site {
        Some(site) => {
            covers(&claims, site)?;
            let name = site.clone();
            if !api.blocking(move |control| control.has_site(&name)).await?? {
                return Err(SiteError::NoSuchSite(site.clone()).into());
            }
        }
        None if !claims.covers_all() => {
            let detail = "the token is good for some sites only; name one: ?site=";
            return Err(Failure::new(StatusCode::FORBIDDEN, "not-allowed", detail));
        }
        None => {}
    }
    let report = api.control.telemetry().report(asked.site.as_ref(), asked.window);
    Ok(json(StatusCode::OK, &report))
}

/// `GET /v1/nodes`. A token for some sites sees these sites' releases only.
pub(super) async fn nodes(State(api): State<Arc<Api>>, Extension(claims): Extension<Arc<Claims>>) -> Response {
    let mut nodes = api.control.nodes();
    for node in &mut nodes {
        node.releases.retain(|site, _| claims.covers(site));
        node.errors.retain(|site, _| claims.covers(site));
    }
    json(StatusCode::OK, &nodes)
}

/// `GET /metrics`.
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    let text = api.blocking(crate::Control::metrics).await?;
    Ok(([(header::CONTENT_TYPE, EXPOSITION)], text).into_response())
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: every node serves every active release.
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Result<&'static str, Failure> {
    let missing = api.control.missing();
    if missing.is_empty() {
        return Ok("ready\n");
    }
    // The probe is open to all: it tells what is the matter, not how many sites there are.
    let more = missing.len().saturating_sub(SHOWN);
    let mut detail = missing.into_iter().take(SHOWN).collect::<Vec<_>>().join("; ");
    if more > 0 {
        detail.push_str("; and more");
    }
    Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail))
}

/// What `stats` is asked for.
struct Asked {
    site: Option<SiteName>,
    window: Duration,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Failure> {
        let invalid = |detail: String| Failure::new(StatusCode::BAD_REQUEST, "invalid-query", detail);
        let mut asked = Self { site: None, window: WINDOW };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "site" if value.is_empty() => {}
                "site" => {
                    let site = value.parse().map_err(|error: holm_model::ids::InvalidId| invalid(error.to_string()))?;
                    asked.site = Some(site);
                }
                "window" if value.is_empty() => {}
                "window" => {
                    let HumanDuration(window) =
                        value.parse().map_err(|error: holm_model::units::InvalidUnit| invalid(error.to_string()))?;
                    if window < SHORTEST || window > LONGEST {
                        return Err(invalid(format!("the window `{value}` must be from 1s to 1h")));
                    }
                    asked.window = window;
                }
                other => return Err(invalid(format!("`{other}` is not a parameter; there are site and window"))),
            }
        }
        Ok(asked)
    }
}

/// Prometheus' text format.
const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The window where none is asked for.
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// The shortest window.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest window: what telemetry keeps.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How much of what is missing a probe is told.
const SHOWN: usize = 5;
