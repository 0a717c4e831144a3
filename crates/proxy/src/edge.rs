//! The edge's service: requests of clients, routed to a handler, the cache or straight on.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use holm_cache_policy::{Outcome, strip_connection_listed, strip_for_client, strip_hop_by_hop};
use holm_model::path;
use holm_telemetry::{Shard, Tier};
use holm_transport::body::Body;
use holm_transport::interim::Interims;
use holm_transport::service::{ConnInfo, Protocol, Service, Upgrade};
use http::header::{ALLOW, ALT_SVC, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, Uri};

use crate::address::Authority;
use crate::answer;
use crate::collect::{self, Facts};
use crate::handler::{Handler, HandlerCall};
use crate::interim::Listener;
use crate::internal::{self, Scheme};
use crate::node::{CACHE_STATUS, Node, Reply, Target};
use crate::report::Report;
use crate::site::{Site, SiteRoute};
use crate::{forward, tunnel};

/// Answers the requests of clients; one for each worker.
#[derive(Debug, Clone)]
pub struct EdgeService {
    node: Arc<Node>,
    shard: Arc<Shard>,
    alt_svc: Option<HeaderValue>,
}

/// A refusal before any route was found.
pub(crate) type Refusal = (StatusCode, &'static str);

impl EdgeService {
    /// Over this node, counting in this worker's shard. Clients that came by TLS over TCP are told of HTTP/3 on
    /// `h3_port`.
    #[must_use]
    pub fn new(node: Arc<Node>, shard: Arc<Shard>, h3_port: Option<u16>) -> Self {
        let value = |port| HeaderValue::from_str(&format!("h3=\":{port}\"; ma=86400")).ok();
        Self { node, shard, alt_svc: h3_port.and_then(value) }
    }

    async fn answer(
        &self,
        mut request: Request<Body>,
        connection: &ConnInfo,
        interims: &Interims,
    ) -> Result<Response<Body>, Refusal> {
        let begun = Instant::now();
        check_target(&mut request)?;
        let authority = Authority::of(&request).map_err(|reason| (StatusCode::BAD_REQUEST, reason))?;
        let site = self.node.sites.load().by_host(authority.host()).cloned();
        let site = site.ok_or((StatusCode::NOT_FOUND, "no-such-site"))?;
        let route = site.viewer_route(request.uri().path());
        let Some(route) = route else { return Ok(self.no_route(&site, begun)) };
        let upgrade = enter(&mut request);
        let scheme = if connection.tls.is_some() { Scheme::Https } else { Scheme::Http };
        let client = connection.peer.ip();
        let reply = match (&route.handler, &route.content) {
            (Some(handler), _) => {
                let call =
                    HandlerCall { site: Arc::clone(&site), scheme, authority: authority.as_str().into(), client };
                Box::pin(self.handle(handler, request, call)).await
            }
            (None, Some(content)) => {
                let listener = Listener::new(interims);
                let target = Target::of_client(&site, (route, content), scheme, &authority, (client, &listener));
                self.node.respond(target, request).await
            }
            (None, None) => return Ok(self.no_route(&site, begun)),
        };
        Ok(self.finish(reply, &site, route, begun, upgrade))
    }

    async fn handle(&self, handler: &Arc<dyn Handler>, mut request: Request<Body>, call: HandlerCall) -> Reply {
        let headers = request.headers_mut();
        strip_hop_by_hop(headers);
        internal::strip(headers);
        forward::write_client(headers, call.client, call.scheme, &call.authority);
        let report = Report::local(Outcome::Handler, "handler");
        let applied = self.node.marks.applied();
        match handler.call(request, call).await {
            Ok(mut response) => {
                strip_hop_by_hop(response.headers_mut());
                internal::strip(response.headers_mut());
                Reply::new(response, report, applied)
            }
            Err(fault) => {
                if let Some(kept_back) = self.node.failures.admit() {
                    tracing::warn!(reason = fault.reason, kept_back, "a handler failed: {}", fault.message);
                }
                let response = answer::error(fault.status, fault.reason);
                Reply { error: Some(fault.reason), ..Reply::new(response, report.with_cause(fault.reason), applied) }
            }
        }
    }

    fn no_route(&self, site: &Arc<Site>, begun: Instant) -> Response<Body> {
        let response = answer::error(StatusCode::NOT_FOUND, "no-route");
        let report = Report::local(Outcome::Refused, "no-route");
        let facts = Facts { site, route: &self.node.no_route, tier: Tier::Edge, begun };
        collect::count(&self.shard, &facts, &report, with_status(response, &report))
    }

    fn finish(
        &self,
        reply: Reply,
        site: &Arc<Site>,
        route: &SiteRoute,
        begun: Instant,
        upgrade: Option<Upgrade>,
    ) -> Response<Body> {
        let Reply { mut response, report, from_cache, .. } = reply;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upstream = response.extensions_mut().remove::<Upgrade>();
            match (upgrade, upstream) {
                (Some(client), Some(upstream)) => tunnel::join(client, upstream),
                // Nobody asked for it, so nobody can be given it.
                _ => response = answer::error(StatusCode::BAD_GATEWAY, "protocol"),
            }
        }
        if !from_cache {
            strip_for_client(response.headers_mut());
        }
        let response = with_status(response, &report);
        let facts = Facts { site, route: &route.name, tier: Tier::Edge, begun };
        collect::count(&self.shard, &facts, &report, response)
    }
}

impl Service for EdgeService {
    async fn call(&self, request: Request<Body>, connection: &Arc<ConnInfo>, interims: &Interims) -> Response<Body> {
        let answered = self.answer(request, connection, interims).await;
        let mut response = answered.unwrap_or_else(|(status, reason)| refused(status, reason));
        if let Some(alt_svc) = &self.alt_svc
            && connection.tls.is_some()
            && connection.protocol != Protocol::Http3
        {
            response.headers_mut().insert(ALT_SVC, alt_svc.clone());
        }
        response
    }
}

impl Node {
    /// A handler's own fetch to its site: it goes on at the cache, behind every handler.
    ///
    /// # Errors
    /// The named reason why it is no fetch to the handler's own site.
    pub async fn fetch(
        self: &Arc<Self>,
        call: &HandlerCall,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, &'static str> {
        check_target(&mut request).map_err(|(_, reason)| reason)?;
        let authority = Authority::of(&request)?;
        if !call.is_own(&authority) {
            return Err("not-allowed");
        }
        let Some(route) = call.site.content_route(request.uri().path()) else { return Err("no-route") };
        let Some(content) = &route.content else { return Err("no-route") };
        let scheme = match request.uri().scheme_str() {
            Some("https") => Scheme::Https,
            Some(_) => Scheme::Http,
            None => call.scheme,
        };
        enter(&mut request);
        request.headers_mut().remove(UPGRADE);
        // A handler is told of final responses only.
        let nowhere = Interims::nowhere();
        let listener = Listener::new(&nowhere);
        let target = Target::of_client(&call.site, (route, content), scheme, &authority, (call.client, &listener));
        let Reply { mut response, report, .. } = self.respond(target, request).await;
        strip_for_client(response.headers_mut());
        Ok(with_status(response, &report))
    }
}

impl HandlerCall {
    /// Is this the site that the handler runs for? Under the host that its client asked for, or one that the site's
    /// manifest names.
    fn is_own(&self, authority: &Authority) -> bool {
        let asked = Authority::parse(&self.authority).is_ok_and(|asked| asked.host() == authority.host());
        asked || self.site.names(authority.host())
    }
}

/// Makes a client's request one that may be looked up and sent on. Gives the connection, if it asks to leave HTTP.
pub(crate) fn enter(request: &mut Request<Body>) -> Option<Upgrade> {
    // The tiers carry a tunnel as a GET. Any other method goes on without its wish, which RFC 9110 §7.8 allows.
    let upgrade = request.extensions_mut().remove::<Upgrade>().filter(|_| *request.method() == Method::GET);
    let method = request.method().clone();
    let headers = request.headers_mut();
    forward::remove_method_overrides(&method, headers);
    let protocol = upgrade.as_ref().and_then(|_| headers.get(UPGRADE)).filter(|value| may_upgrade(value)).cloned();
    // What the client calls hop-by-hop goes before the look-up: the origin will not see it, so `Vary` must not either.
    strip_connection_listed(headers);
    match protocol {
        Some(protocol) => drop(headers.insert(UPGRADE, protocol)),
        None => {
            headers.remove(UPGRADE);
            return None;
        }
    }
    upgrade
}

/// Not to HTTP/2: what it carries would go past the routes, the cache and the handlers.
fn may_upgrade(protocol: &HeaderValue) -> bool {
    let names_http2 = |list: &str| list.split(',').any(|name| name.trim().eq_ignore_ascii_case("h2c"));
    protocol.to_str().is_ok_and(|list| !names_http2(list))
}

/// Refuses what no route is for, and brings the path to its normal form: routes, keys, purges and origins see that one.
pub(crate) fn check_target(request: &mut Request<Body>) -> Result<(), Refusal> {
    match *request.method() {
        Method::CONNECT | Method::TRACE => return Err((StatusCode::METHOD_NOT_ALLOWED, "method")),
        Method::OPTIONS if request.uri().path() == "*" => return Err((StatusCode::NO_CONTENT, "options")),
        _ => {}
    }
    if !matches!(request.uri().scheme_str(), None | Some("http" | "https")) {
        return Err((StatusCode::BAD_REQUEST, "scheme"));
    }
    let invalid = (StatusCode::BAD_REQUEST, "target-invalid");
    let path = path::normalise(request.uri().path());
    if path::climbs(&path) {
        return Err(invalid);
    }
    let Cow::Owned(path) = path else { return Ok(()) };
    let target = request.uri().query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.path_and_query = Some(target.try_into().map_err(|_| invalid)?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| invalid)?;
    Ok(())
}

/// A response to a request that reached no route.
fn refused(status: StatusCode, reason: &'static str) -> Response<Body> {
    let mut response = answer::error(status, reason);
    if matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NO_CONTENT) {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    }
    if status == StatusCode::NO_CONTENT {
        response.headers_mut().remove(http::header::CONTENT_TYPE);
        *response.body_mut() = Body::empty();
    }
    with_status(response, &Report::local(Outcome::Refused, reason))
}

fn with_status(mut response: Response<Body>, report: &Report) -> Response<Body> {
    response.headers_mut().insert(CACHE_STATUS, report.cache_status().value());
    response
}

const METHODS: &str = "GET, HEAD, QUERY, POST, PUT, PATCH, DELETE, OPTIONS";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let check = |target: &str, expected: Result<&str, Refusal>| {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = target.parse().expect("a URI");
            let checked = check_target(&mut request).map(|()| request.uri().to_string());
            assert_eq!(checked.as_deref().map_err(|refusal| *refusal), expected, "{target}");
        };
        let invalid = Err((StatusCode::BAD_REQUEST, "target-invalid"));
        check("/a/../b?c=%7e", Ok("/b?c=%7e"));
        check("http://a.example/%7e", Ok("http://a.example/~"));
        check("/assets/..%2faccount", invalid);
        check("/assets/..;/account", invalid);
        check("/account%00.css", invalid);
        check("ftp://a.example/", Err((StatusCode::BAD_REQUEST, "scheme")));
    }

    #[test]
    fn what_may_leave_http() {
        let check = |method: Method, protocol: &str, expected: bool| {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = method.clone();
            request.headers_mut().insert(UPGRADE, protocol.parse().expect("a value"));
            request.extensions_mut().insert(Upgrade::new(std::future::pending()));
            let upgrade = enter(&mut request);
            let kept = (upgrade.is_some(), request.headers().contains_key(UPGRADE));
            assert_eq!(kept, (expected, expected), "{method} {protocol}");
        };
        check(Method::GET, "websocket", true);
        check(Method::GET, "h2c", false);
        check(Method::GET, "websocket, H2C", false);
        check(Method::HEAD, "websocket", false);
        check(Method::DELETE, "websocket", false);
    }
}
