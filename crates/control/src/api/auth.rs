//! Who asks, and may they: the bearer token (RFC 6750), its scope and its sites, checked before a body is read.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use holm_model::ids::SiteName;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Api;
use super::problem::Failure;
use crate::token::{Claims, Scope};

/// Lets a request through whose token allows `scope`, on the path's site if there is one; handlers find the
/// [`Claims`] in its extensions.
pub(super) async fn authorise(
    State((api, scopes)): State<(Arc<Api>, &'static [Scope])>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let claims = claims(&api, request.headers())?;
    if !scopes.iter().any(|scope| claims.allows(*scope)) {
        let needed = scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join("` or `");
        let detail = format!("the token lacks the scope `{needed}`");
        return Err(forbidden(&detail));
    }
    let params = params.map_err(|error| Failure::new(StatusCode::NOT_FOUND, "not-found", error.body_text()))?;
    for (_, value) in params.iter().filter(|(name, _)| *name == "site") {
        let site = value
            .parse::<SiteName>()
            .map_err(|error| Failure::new(StatusCode::NOT_FOUND, "no-such-site", error.to_string()))?;
        covers(&claims, &site)?;
    }
    request.extensions_mut().insert(Arc::new(claims));
    Ok(next.run(request).await)
}

/// Refuses a token that is not good for the site.
pub(super) fn covers(claims: &Claims, site: &SiteName) -> Result<(), Failure> {
    if claims.covers(site) { Ok(()) } else { Err(forbidden(&format!("the token is not good for the site `{site}`"))) }
}

/// Says who changed what. One line each, with a target of its own, so that it can be kept apart.
pub(super) fn audit(claims: &Claims, action: &'static str, site: Option<&SiteName>, detail: &str) {
    let site = site.map_or("", SiteName::as_str);
    tracing::info!(target: "holm::audit", who = %claims.sub, action, site, detail, "audit");
}

fn claims(api: &Api, headers: &HeaderMap) -> Result<Claims, Failure> {
    let Some(field) = headers.get(header::AUTHORIZATION) else {
        let detail = "this needs a token: send Authorization: Bearer TOKEN";
        return Err(unauthorised(detail, HeaderValue::from_static("Bearer")));
    };
    let token = field.to_str().ok().and_then(bearer);
    let checked = token.ok_or(crate::token::TokenError::Malformed).and_then(|token| api.control.tokens().check(token));
    checked
        .map_err(|error| unauthorised(&error.to_string(), HeaderValue::from_static("Bearer error=\"invalid_token\"")))
}

/// `Bearer TOKEN`; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorised(detail: &str, challenge: HeaderValue) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "no-valid-token", detail).with_header(header::WWW_AUTHENTICATE, challenge)
}

fn forbidden(detail: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "not-allowed", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"insufficient_scope\""))
}
