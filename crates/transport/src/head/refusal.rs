//! A refusal: the answer to a request that the service never sees.

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::body::Body;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

impl Refusal {
    /// Not a request that anyone could answer.
    pub(crate) const fn bad(reason: &'static str) -> Self {
        Self { status: 400, reason }
    }

    /// As the bytes of an HTTP/1.1 response, after which the connection is closed.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        tracing::debug!(status = self.status, reason = self.reason, "a request head was refused");
        let (phrase, text) = (self.phrase(), self.text());
        let head = format!(
            "HTTP/1.1 {} {phrase}\r\ncontent-type: {TEXT}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
             cache-status: {}\r\nconnection: close\r\n\r\n",
            self.status,
            text.len(),
            self.cache_status(),
        );
        (head + &text).into_bytes()
    }

    /// As a response; HTTP/1.1 closes the connection after it.
    pub(crate) fn to_response(self) -> Response<Body> {
        tracing::debug!(status = self.status, reason = self.reason, "a request was refused");
        let mut response = Response::new(Body::full(self.text()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if let Ok(value) = HeaderValue::from_str(&self.cache_status()) {
            headers.insert(HeaderName::from_static("cache-status"), value);
        }
        response
    }

    fn text(self) -> String {
        format!("{} {}: {}\n", self.status, self.phrase(), self.reason)
    }

    fn cache_status(self) -> String {
        format!("holm-edge; detail={}", self.reason)
    }

    fn phrase(self) -> &'static str {
        StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
