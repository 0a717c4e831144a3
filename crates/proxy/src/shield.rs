//! The shield's service: requests of edges, answered from its cache or by the route's origin.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use holm_cache_policy::{Outcome, is_query};
use holm_model::ids::Seq;
use holm_model::limits::AS_OF_WAIT;
use holm_telemetry::{Shard, Tier};
use holm_transport::body::Body;
use holm_transport::interim::Interims;
use holm_transport::service::{ConnInfo, Service, Upgrade};
use http::header::{HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode};

use crate::address::Authority;
use crate::answer;
use crate::collect::{self, Facts};
use crate::forward::X_FORWARDED_FOR;
use crate::interim::Listener;
use crate::internal::{self, Envelope};
use crate::node::{Node, Reply, Target};
use crate::report::Report;
use crate::respond::bypass_reason;
use crate::tunnel;

/// Answers the requests of edges; one for each worker. Its listener must demand a certificate of the cluster.
#[derive(Debug, Clone)]
pub struct ShieldService {
    node: Arc<Node>,
    shard: Arc<Shard>,
}

impl ShieldService {
    /// Over this node, counting in this worker's shard.
    #[must_use]
    pub const fn new(node: Arc<Node>, shard: Arc<Shard>) -> Self {
        Self { node, shard }
    }

    async fn answer(
        &self,
        mut request: Request<Body>,
        (envelope, authority): (Envelope, &Authority),
        interims: &Interims,
    ) -> Response<Body> {
        let begun = Instant::now();
        let Some(site) = self.node.sites.load().by_name(&envelope.site).cloned() else {
            return refuse(StatusCode::NOT_FOUND, "no-such-site");
        };
        let Some(route) = site.content_route(request.uri().path()) else {
            return refuse(StatusCode::NOT_FOUND, "no-route");
        };
        let Some(content) = &route.content else { return refuse(StatusCode::NOT_FOUND, "no-route") };
        let in_tunnel = enter_tunnel(&mut request);
        let target = Target {
            site: &site,
            route,
            content,
            scheme: envelope.scheme,
            authority,
            client: client(&request),
            listener: &Listener::new(interims),
            content_digest: None,
        };
        let reply = self.reply(&target, request, &envelope).await;
        let facts = Facts { site: &site, route: &route.name, tier: Tier::Shield, begun };
        self.finish(reply, in_tunnel, facts)
    }

    /// From the cache only if this tier's look-ups see every purge that the sender's do.
    async fn reply(&self, target: &Target<'_>, request: Request<Body>, sender: &Envelope) -> Reply {
        let of_one_log = || self.node.marks.log() == sender.log;
        // The content of a QUERY is not read yet.
        let looked_up = is_query(request.method()) || bypass_reason(&target.route.rule, &request).is_none();
        let begun_with_one = of_one_log();
        let lags = looked_up && !(begun_with_one && self.node.has_applied(sender.applied, AS_OF_WAIT).await);
        let reply = if lags {
            Box::pin(self.node.pass(target, request, Report::forward(Outcome::Bypass, "purge-lag"))).await
        } else {
            self.node.respond(*target, request).await
        };
        // A seq says nothing in another log. What was fetched for this request alone is newer than all that its sender knew.
        let as_of = match (begun_with_one && of_one_log(), lags || !looked_up) {
            (true, false) => reply.as_of,
            (true, true) => reply.as_of.max(sender.applied),
            (false, false) => Seq::ZERO,
            (false, true) => sender.applied,
        };
        Reply { as_of, ..reply }
    }

    fn finish(&self, reply: Reply, in_tunnel: Option<Body>, facts: Facts<'_>) -> Response<Body> {
        let Reply { mut response, report, as_of, error, from_cache, bridged } = reply;
        if let Some(incoming) = in_tunnel
            && response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(upgrade) = response.extensions_mut().remove::<Upgrade>()
        {
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(UPGRADE);
            response.headers_mut().insert(internal::UPGRADED, HeaderValue::from_static("1"));
            *response.body_mut() = tunnel::body_over_io(incoming, upgrade);
        }
        internal::write_as_of(response.headers_mut(), as_of);
        if from_cache {
            response.headers_mut().insert(internal::AGED, HeaderValue::from_static("1"));
        }
        if let Some(error) = bridged {
            internal::write_bridged(response.headers_mut(), error.status, error.reason);
        }
        if let Some(reason) = error {
            response.headers_mut().insert(internal::REASON, HeaderValue::from_static(reason));
        }
        collect::count(&self.shard, &facts, &report, response)
    }
}

impl Service for ShieldService {
    async fn call(&self, request: Request<Body>, connection: &Arc<ConnInfo>, interims: &Interims) -> Response<Body> {
        let known = connection.tls.as_ref().is_some_and(|tls| tls.client_identity.is_some());
        let (Some(envelope), true) = (Envelope::read(request.headers()), known) else {
            return refuse(StatusCode::FORBIDDEN, "not-an-edge");
        };
        match Authority::of(&request) {
            Ok(authority) => self.answer(request, (envelope, &authority), interims).await,
            Err(reason) => refuse(StatusCode::BAD_REQUEST, reason),
        }
    }
}

/// An edge's tunnel: the request that the client made, and what the client goes on to say.
fn enter_tunnel(request: &mut Request<Body>) -> Option<Body> {
    let protocol = request.headers_mut().remove(internal::UPGRADE)?;
    request.headers_mut().insert(UPGRADE, protocol);
    *request.method_mut() = Method::GET;
    Some(std::mem::take(request.body_mut()))
}

/// Who asked the edge, as the edge says.
fn client(request: &Request<Body>) -> IpAddr {
    let text = request.headers().get(X_FORWARDED_FOR).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

fn refuse(status: StatusCode, reason: &'static str) -> Response<Body> {
    let mut response = answer::error(status, reason);
    internal::write_as_of(response.headers_mut(), Seq::ZERO);
    response.headers_mut().insert(internal::REASON, HeaderValue::from_static(reason));
    response
}
