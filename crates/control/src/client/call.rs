//! One call: sent, repeated where that is safe, its answer read or its problem told.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use reqwest::{Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::cause;
use super::{Client, ClientError, SHORT_CALL};
use crate::wire::Problem;

/// A call that has not been sent.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    timeout: Duration,
    repeat: Repeat,
}

/// When a call that brought no answer may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Always: twice is as good as once (RFC 9110 §9.2.2).
    Always,
    /// Only where there was no connection, so that the server can't have seen it.
    Unseen,
}

impl Call {
    pub(super) fn get(url: Url) -> Self {
        Self::new(Method::GET, url, Repeat::Always)
    }

    pub(super) fn head(url: Url) -> Self {
        Self::new(Method::HEAD, url, Repeat::Always)
    }

    pub(super) fn post(url: Url) -> Self {
        Self::new(Method::POST, url, Repeat::Unseen)
    }

    /// A PUT that comes with `If-Match` is answered with 412 the second time, so it counts as not repeatable.
    pub(super) fn put(url: Url) -> Self {
        Self::new(Method::PUT, url, Repeat::Unseen)
    }

    fn new(method: Method, url: Url, repeat: Repeat) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None, timeout: SHORT_CALL, repeat }
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        self.body = Some(serde_json::to_vec(body)?);
        Ok(self.header(CONTENT_TYPE, "application/json"))
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("invariant: our own values are printable ASCII");
        self.headers.insert(name, value);
        self
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }
}

impl Client {
    /// Sends the call and reads its answer.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let response = self.send(call).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refusal(response).await);
        }
        let body = self.body(response).await?;
        serde_json::from_slice(&body).map_err(|error| self.unexpected(status, error.to_string()))
    }

    /// Sends the call until there is an answer, whatever it says.
    pub(super) async fn send(&self, call: Call) -> Result<Response, ClientError> {
        let mut waits = PAUSES.iter();
        loop {
            let mut request = self.http.request(call.method.clone(), call.url.clone()).headers(call.headers.clone());
            if let Some(body) = &call.body {
                request = request.body(body.clone());
            }
            let sent = request.timeout(call.timeout).send().await;
            let pause = waits.next().copied();
            match (sent, pause) {
                (Ok(response), Some(_)) if call.repeat == Repeat::Always && is_busy(&response) => {
                    tokio::time::sleep(retry_after(&response)).await;
                }
                (Ok(response), _) => return Ok(response),
                (Err(error), Some(pause)) if call.may_repeat(&error) => tokio::time::sleep(pause).await,
                (Err(error), _) => return Err(self.unreachable(&error, call.timeout)),
            }
        }
    }

    /// What an answer that is no success says.
    pub(super) async fn refusal(&self, response: Response) -> ClientError {
        let status = response.status();
        let body = match self.body(response).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => ClientError::Refused(problem),
            Err(_) => self.unexpected(status, format!("the status is {status}, and no problem document says why")),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error, SHORT_CALL))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(self.unexpected(status, format!("it has more than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    pub(super) fn unreachable(&self, error: &reqwest::Error, timeout: Duration) -> ClientError {
        let reason = match error {
            error if error.is_timeout() && error.is_connect() => "no connection came up in time".to_owned(),
            error if error.is_timeout() => format!("no answer within {} seconds", timeout.as_secs()),
            error => cause(error),
        };
        ClientError::Unreachable { admin: self.admin().to_owned(), reason }
    }

    pub(super) fn unexpected(&self, status: StatusCode, reason: String) -> ClientError {
        ClientError::Unexpected { admin: self.admin().to_owned(), status: status.as_u16(), reason }
    }
}

impl Call {
    /// A timeout is not repeated: who has waited that long wants to know.
    fn may_repeat(&self, error: &reqwest::Error) -> bool {
        !error.is_timeout() && !error.is_builder() && (self.repeat == Repeat::Always || error.is_connect())
    }
}

/// The server could not take the call right now, and has said when it may.
fn is_busy(response: &Response) -> bool {
    matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
        && response.headers().contains_key(RETRY_AFTER)
}

/// RFC 9110 §10.2.3, of the two forms only the seconds.
fn retry_after(response: &Response) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1)).min(LONGEST_PAUSE)
}

/// Before the second, third and fourth attempt: a node that restarts is back within a second.
const PAUSES: &[Duration] = &[Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];

/// The longest that a server may make us wait between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The largest answer that is read: a list of all sites of a full cluster fits.
const MAX_ANSWER: usize = 64 << 20;
