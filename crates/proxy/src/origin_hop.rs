//! The shield's next hop: an endpoint of the route's origin pool.

use futures_util::future::BoxFuture;
use holm_cache_policy::{strip_hop_by_hop, write_surrogate_capability};
use holm_transport::body::Body;
use holm_upstream::UpstreamError;
use http::header::{CONNECTION, DATE, EXPECT, HOST, HeaderValue, UPGRADE};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, StatusCode, Version};

use crate::forward::{self, VIA_SHIELD};
use crate::hop::{Answer, HopError, NextHop, Way};
use crate::internal;
use crate::site::Content;

/// Sends requests to origins.
#[derive(Debug)]
pub(crate) struct OriginHop;

impl NextHop for OriginHop {
    fn send(&self, request: Request<Body>, way: Way) -> BoxFuture<'static, Result<Answer, HopError>> {
        Box::pin(async move {
            let Content::Origin(pool) = &way.content else {
                return Err(HopError::new(StatusCode::BAD_GATEWAY, "no-origin", "the route has no origin"));
            };
            let response = pool.send(prepare(request, &way)).await.map_err(|error| no_origin(&error))?;
            Ok(Answer { response: clean(response), as_of: way.begun.applied, aged: false, bridged: None })
        })
    }
}

fn prepare(mut request: Request<Body>, way: &Way) -> Request<Body> {
    let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    let version = way.version;
    let headers = request.headers_mut();
    let protocol = headers.remove(UPGRADE);
    strip_hop_by_hop(headers);
    internal::strip(headers);
    headers.remove(EXPECT);
    write_surrogate_capability(headers);
    forward::write_via(headers, version, VIA_SHIELD);
    if let Ok(host) = HeaderValue::from_str(way.authority.as_str()) {
        headers.insert(HOST, host);
    }
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    request
}

/// An origin's response as the rest of the chain may see it.
fn clean(mut response: Response<Body>) -> Response<Body> {
    let version = response.version();
    let headers = response.headers_mut();
    strip_hop_by_hop(headers);
    internal::strip(headers);
    // RFC 9110 §6.6.1: a recipient with a clock dates what is not dated.
    if !headers.contains_key(DATE)
        && let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(std::time::SystemTime::now()))
    {
        headers.insert(DATE, date);
    }
    forward::write_via(headers, version, VIA_SHIELD);
    // The version of this hop says nothing of the next one's.
    *response.version_mut() = Version::default();
    response
}

fn no_origin(error: &UpstreamError) -> HopError {
    HopError::new(error.status(), error.reason(), error.to_string())
}
