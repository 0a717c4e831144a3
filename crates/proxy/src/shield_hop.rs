//! The edge's next hop: a shield, over HTTP/3 under mutual TLS.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use holm_cache_policy::strip_hop_by_hop;
use holm_cache_store::Moment;
use holm_transport::body::{Body, BodySender};
use holm_upstream::{ShieldClient, UpstreamError};
use http::header::{CONNECTION, EXPECT, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request, Response, StatusCode, Version};

use crate::forward::{self, VIA_EDGE};
use crate::hop::{Answer, HopError, NextHop, Way};
use crate::internal::{self, Envelope};
use crate::{reasons, tunnel};

/// Sends requests to a shield.
#[derive(Debug)]
pub(crate) struct ShieldHop(Arc<ShieldClient>);

impl ShieldHop {
    pub(crate) fn new(shields: ShieldClient) -> Arc<Self> {
        Arc::new(Self(Arc::new(shields)))
    }
}

impl NextHop for ShieldHop {
    fn send(&self, request: Request<Body>, way: Way) -> BoxFuture<'static, Result<Answer, HopError>> {
        let shields = Arc::clone(&self.0);
        Box::pin(async move {
            let (request, tunnel) = prepare(request, &way)?;
            let response = shields.send(request).await.map_err(|error| no_shield(&error))?;
            answer(response, &way, tunnel)
        })
    }
}

/// The client's way into a tunnel: what it sends, once the origin has switched protocols.
pub(crate) struct Tunnel {
    protocol: HeaderValue,
    outgoing: BodySender,
}

pub(crate) fn prepare(mut request: Request<Body>, way: &Way) -> Result<(Request<Body>, Option<Tunnel>), HopError> {
    let protocol = request.headers_mut().remove(UPGRADE);
    let headers = request.headers_mut();
    strip_hop_by_hop(headers);
    internal::strip(headers);
    // The body is asked for by whoever reads it first, which is us.
    headers.remove(EXPECT);
    if !forward::enter_cdn(headers) {
        return Err(HopError::new(StatusCode::LOOP_DETECTED, "loop", "the request has passed this CDN too often"));
    }
    forward::join_cookies(headers);
    forward::write_client(headers, way.client, way.scheme, way.authority.as_str());
    forward::write_via(headers, way.version, VIA_EDGE);
    let Moment { log, applied, .. } = way.begun;
    Envelope { site: way.site.name().clone(), scheme: way.scheme, log, applied }.write(headers);
    *request.uri_mut() = absolute(request.uri(), way)?;
    *request.version_mut() = Version::HTTP_3;
    let Some(protocol) = protocol else { return Ok((request, None)) };
    let (outgoing, body) = Body::channel(TUNNEL_FRAMES);
    request.headers_mut().insert(internal::UPGRADE, protocol.clone());
    *request.method_mut() = Method::POST;
    *request.body_mut() = body;
    Ok((request, Some(Tunnel { protocol, outgoing })))
}

/// The target with scheme and authority, as HTTP/3 wants it.
fn absolute(target: &Uri, way: &Way) -> Result<Uri, HopError> {
    let bad = |_| HopError::new(StatusCode::BAD_REQUEST, "target-invalid", "the request's target is no URI");
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(way.authority.as_str().parse::<Authority>().map_err(|_| bad(()))?);
    parts.path_and_query = Some(target.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
    Uri::from_parts(parts).map_err(|_| bad(()))
}

pub(crate) fn answer(mut response: Response<Body>, way: &Way, tunnel: Option<Tunnel>) -> Result<Answer, HopError> {
    let headers = response.headers_mut();
    // A shield that says nothing of purges can't be believed newer than what the fetch began with.
    let as_of = internal::as_of(headers).unwrap_or(way.begun.applied);
    if let Some(reason) = headers.get(internal::REASON).and_then(|value| value.to_str().ok()) {
        let reason = reasons::known(reason);
        return Err(HopError::new(response.status(), reason, "the shield says so"));
    }
    let upgraded = headers.contains_key(internal::UPGRADED);
    let aged = headers.contains_key(internal::AGED);
    let bridged = internal::bridged(headers);
    let bridged = bridged.map(|(status, reason)| HopError::new(status, reason, "the shield says so"));
    internal::strip(headers);
    forward::write_via(headers, Version::HTTP_3, VIA_EDGE);
    // The version of this hop says nothing of the next one's.
    *response.version_mut() = Version::default();
    match tunnel {
        Some(tunnel) if upgraded => switch(&mut response, tunnel),
        Some(tunnel) => {
            // Refused: what the client would have said is not wanted, and that is no failure.
            tokio::spawn(tunnel.outgoing.finish());
        }
        None => {}
    }
    Ok(Answer { response, as_of, aged, bridged })
}

/// Makes the shield's answer the 101 that the origin gave.
fn switch(response: &mut Response<Body>, tunnel: Tunnel) {
    let incoming = std::mem::take(response.body_mut());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers: &mut HeaderMap = response.headers_mut();
    for name in FRAMING {
        headers.remove(name);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, tunnel.protocol);
    response.extensions_mut().insert(tunnel::io_over_bodies(incoming, tunnel.outgoing));
}

fn no_shield(error: &UpstreamError) -> HopError {
    HopError::new(error.status(), error.reason(), error.to_string())
}

/// What a 101 may not bear (RFC 9110 §8.6, RFC 9112 §6.1).
const FRAMING: [HeaderName; 2] = [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING];

/// Frames of a tunnel that wait for the shield.
const TUNNEL_FRAMES: usize = 4;
