//! `GET /`: a page that shows the numbers, with a token that its user pastes.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

/// The page. It is open to all, since it holds nothing; what it shows, it asks for with the user's token.
pub(super) async fn page() -> Response {
    let headers = [(header::CONTENT_TYPE, HTML), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, include_str!("dashboard.html")).into_response()
}

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Scripts and styles of the page itself, requests to where it came from, nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);
