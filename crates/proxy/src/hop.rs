//! Hops: where a request goes when the cache can't answer it. The edge's next hop is a shield, the shield's an origin.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use holm_cache_policy::FetchTimes;
use holm_cache_store::Moment;
use holm_model::ids::Seq;
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use crate::address::Authority;
use crate::internal::Scheme;
use crate::site::{Content, Site};

/// Answers what the cache can't.
pub(crate) trait NextHop: Send + Sync {
    /// Sends `request`, whose headers are end-to-end ones only, and gives the response's head; the body streams. A 101
    /// bears a [`holm_transport::service::Upgrade`] extension.
    fn send(&self, request: Request<Body>, way: Way) -> BoxFuture<'static, Result<Answer, HopError>>;
}

/// What a hop needs to know of a request beside the request itself.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) site: Arc<Site>,
    pub(crate) content: Content,
    pub(crate) scheme: Scheme,
    /// Whom the client asked.
    pub(crate) authority: Authority,
    pub(crate) client: IpAddr,
    /// When the fetch began.
    pub(crate) begun: Moment,
    /// The version that the request came by, for `Via`.
    pub(crate) version: Version,
}

/// A hop's response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    /// The seq that the content is good for (`Holm-As-Of`), in the log that we followed when the fetch began.
    pub(crate) as_of: Seq,
    /// Its `Age` holds the time that its fetch took: a tier of ours has counted it.
    pub(crate) aged: bool,
    /// What a tier of ours was told instead of an answer: this is a stale one in its stead.
    pub(crate) bridged: Option<HopError>,
}

impl Answer {
    /// When it was asked for and when it came, for its age (RFC 9111 §4.2.3): the delay counts once on its whole way.
    pub(crate) const fn times(&self, requested: Timestamp, received: Timestamp) -> FetchTimes {
        FetchTimes { requested: if self.aged { received } else { requested }, received }
    }
}

/// No response came.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}: {detail}")]
pub(crate) struct HopError {
    /// 502, 504 or 508.
    pub(crate) status: StatusCode,
    /// The named reason.
    pub(crate) reason: &'static str,
    /// Which endpoint and what it did.
    pub(crate) detail: Arc<str>,
}

impl HopError {
    /// The origin answered, and a stored response is better than what it said.
    pub(crate) fn of_origin(status: StatusCode) -> Self {
        Self::new(status, ORIGIN_ERROR, format!("the origin answered {status}"))
    }

    /// Was there an answer?
    pub(crate) fn is_origins(&self) -> bool {
        self.reason == ORIGIN_ERROR
    }

    pub(crate) fn new(status: StatusCode, reason: &'static str, detail: impl Into<Arc<str>>) -> Self {
        Self { status, reason, detail: detail.into() }
    }
}

/// A request's head, kept so that it can be sent more than once.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// A QUERY's.
    pub(crate) content: Bytes,
}

impl Head {
    /// The request.
    pub(crate) fn into_request(self) -> Request<Body> {
        let mut request = Request::new(Body::full(self.content));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

const ORIGIN_ERROR: &str = "origin-error";
