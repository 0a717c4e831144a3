//! The exchange: one request on its way from hyper to the service, and its response back.

use std::convert::Infallible;
use std::sync::Arc;

use holm_model::limits::MAX_URI_BYTES;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::accept::Listener;
use super::carry::carry;
use super::gate::Gate;
use super::outgoing::{Busy, Outgoing};
use crate::body::{Body, Side};
use crate::fields::{self, BadHead};
use crate::head::{Refusal, is_valid_host, lists};
use crate::interim::Interims;
use crate::service::{ConnInfo, Service, Upgrade};
use crate::shutdown::Shutdown;

/// What all requests of a connection share.
pub(super) struct Exchange<S> {
    service: S,
    info: Arc<ConnInfo>,
    gate: Arc<Gate>,
    shutdown: Shutdown,
}

/// A response as HTTP/2 sends it.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    /// How long the body must be, if that is known.
    pub(super) length: Option<u64>,
    pub(super) busy: Busy,
}

type Answered = Result<Response<Outgoing>, Infallible>;

impl<S: Service> Exchange<S> {
    pub(super) fn new(listener: &Listener<S>, info: ConnInfo, gate: &Arc<Gate>) -> Arc<Self> {
        let (service, shutdown) = (listener.service.clone(), listener.shutdown.clone());
        Arc::new(Self { service, info: Arc::new(info), gate: Arc::clone(gate), shutdown })
    }

    /// An HTTP/1.1 request, whose head the guard has seen. hyper frames the response and holds it to its length.
    pub(super) fn http1(self: &Arc<Self>, request: Request<Incoming>) -> impl Future<Output = Answered> + use<S> {
        let (this, busy) = (Arc::clone(self), Busy::new(&self.gate));
        async move {
            let interims = if request.version() == Version::HTTP_11 { Interims::new() } else { Interims::nowhere() };
            let mut response = match check_target(&request) {
                Ok(()) => carry(&this.gate, &interims, this.answer_http1(request, &interims)).await,
                Err(refusal) => refusal.to_response(),
            };
            if this.shutdown.is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Outgoing::new(body, busy)))
        }
    }

    /// An HTTP/2 request.
    pub(super) async fn http2(&self, request: Request<Body>, interims: &Interims) -> Answer {
        let busy = Busy::new(&self.gate);
        let for_head = request.method() == Method::HEAD;
        let response = match check_http2(&request) {
            Ok(()) => final_only(self.answer(request, interims).await),
            Err(refusal) => refusal.to_response(),
        };
        let (response, length) = frame_http2(response, for_head);
        Answer { response, length, busy }
    }

    async fn answer_http1(&self, mut request: Request<Incoming>, interims: &Interims) -> Response<Body> {
        if asks_upgrade(&mut request) {
            let (sender, receiver) = oneshot::channel();
            self.gate.ask_upgrade(sender);
            let pending = async { receiver.await.map_err(|_| std::io::Error::other("the upgrade was refused")) };
            request.extensions_mut().insert(Upgrade::new(pending));
            return self.answer_upgrade(request, interims).await;
        }
        final_only(self.answer(incoming(request), interims).await)
    }

    async fn answer_upgrade(&self, request: Request<Incoming>, interims: &Interims) -> Response<Body> {
        let response = self.answer(incoming(request), interims).await;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS if self.gate.grant_upgrade() => response.map(|_| Body::empty()),
            _ => {
                self.gate.refuse_upgrade();
                final_only(response)
            }
        }
    }

    async fn answer(&self, request: Request<Body>, interims: &Interims) -> Response<Body> {
        let connects = request.method() == Method::CONNECT;
        let mut response = self.service.call(request, &self.info, interims).await;
        if response.status() == StatusCode::NO_CONTENT {
            // RFC 9110 §8.6.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        // What would follow it are bytes that neither side of us speaks.
        if connects && response.status().is_success() { misbehaved("connect-accepted") } else { response }
    }
}

fn incoming(request: Request<Incoming>) -> Request<Body> {
    request.map(|body| Body::incoming(body, Side::Client))
}

/// RFC 9110 §7.8: only of HTTP/1.1, only if `Connection` says so too; and, here, only without a body, after which nobody
/// could tell where the new protocol begins. Takes away what hyper would do about it.
fn asks_upgrade(request: &mut Request<Incoming>) -> bool {
    if request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>().is_none() {
        return false;
    }
    let mut connection = request.headers().get_all(CONNECTION).iter();
    request.version() == Version::HTTP_11
        && request.method() != Method::CONNECT
        && http_body::Body::is_end_stream(request.body())
        && connection.any(|value| lists(value.as_bytes(), b"upgrade"))
}

/// The authority of a target in absolute-form or authority-form (RFC 9112 §3.2) must be one.
fn check_target<B>(request: &Request<B>) -> Result<(), Refusal> {
    match request.uri().authority() {
        Some(authority) if !is_valid_host(authority.as_str().as_bytes()) => Err(Refusal::bad("authority-invalid")),
        _ => Ok(()),
    }
}

/// What h2 leaves unchecked of a head.
fn check_http2(request: &Request<Body>) -> Result<(), Refusal> {
    let uri = request.uri();
    let target = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if target > MAX_URI_BYTES {
        return Err(Refusal { status: 414, reason: "uri-too-long" });
    }
    match fields::check(request.headers()) {
        Ok(_) => {}
        Err(BadHead::TooLarge) => return Err(Refusal { status: 431, reason: "head-too-large" }),
        Err(BadHead::Malformed) => return Err(Refusal::bad("fields-malformed")),
    }
    check_target(request)?;
    check_host(request.headers(), uri.authority().map(http::uri::Authority::as_str))
}

/// RFC 9113 §8.3.1: `Host` may stand for `:authority`, and must not contradict it.
fn check_host(headers: &HeaderMap, authority: Option<&str>) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    match (authority, hosts.next()) {
        (None, None) => return Err(Refusal::bad("host-missing")),
        (None, Some(host)) if !is_valid_host(host.as_bytes()) => return Err(Refusal::bad("host-invalid")),
        (Some(authority), Some(host)) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            return Err(Refusal::bad("host-conflict"));
        }
        _ => {}
    }
    if hosts.next().is_some() { Err(Refusal::bad("host-duplicate")) } else { Ok(()) }
}

/// The response without what HTTP/2 does not have, and the length that its body is to be held to: h2 does not look.
fn frame_http2(response: Response<Body>, for_head: bool) -> (Response<Body>, Option<u64>) {
    let (mut parts, body) = response.into_parts();
    let bodiless = for_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let known = if bodiless { None } else { body.exact_len() };
    match fields::prepare(&mut parts.headers, known) {
        Ok(_) if bodiless => (Response::from_parts(parts, Body::empty()), None),
        Ok(length) => (Response::from_parts(parts, body), length),
        Err(_) => (misbehaved("length-invalid"), None),
    }
}

/// An interim response, or an upgrade that nobody asked for, is no answer.
fn final_only(response: Response<Body>) -> Response<Body> {
    if response.status().is_informational() { misbehaved("interim-response") } else { response }
}

/// The service did what no service may.
fn misbehaved(reason: &'static str) -> Response<Body> {
    tracing::error!(reason, "a response was refused");
    Refusal { status: 500, reason }.to_response()
}
