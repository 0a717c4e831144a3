//! A pool: the endpoints of one origin, and a request's way to one of them over HTTP/1.1 or HTTP/2.

use std::fmt;
use std::sync::Arc;

use holm_model::manifest::{Endpoint, OriginSpec, Scheme, Timeouts};
use holm_transport::body::Body;
use holm_transport::client::{
    ClientError, ClientErrorKind, Connection, Dialer, Http1, Http2, Security, Target, TlsConfig,
};
use http::uri::Authority;
use http::{Request, Response, StatusCode, Version};

use crate::attempts::{Attempts, Endpoints, OnFetch, Replay};
use crate::error::{Failure, UpstreamError};
use crate::head;
use crate::idle::{Idle, Lease, Reused};
use crate::watch::{Upload, watched};

/// The endpoints of one origin. It can be shared by all threads: connections are kept apart by thread, health is common.
pub struct Pool {
    attempts: Attempts,
    members: Members,
    tries: u32,
}

struct Members {
    endpoints: Vec<Member>,
    dialer: Dialer,
    timeouts: Timeouts,
    /// The `Host` to send instead of the request's.
    host: Option<Authority>,
}

struct Member {
    target: Target,
    /// The `Host` where the request names none.
    authority: Option<Authority>,
    idle: Arc<Idle>,
}

impl Pool {
    /// A pool as the manifest describes it. `tls` says whom to trust at `https` endpoints; without it they fail.
    #[must_use]
    pub fn new(name: &str, spec: &OriginSpec, tls: Option<Arc<TlsConfig>>, on_fetch: OnFetch) -> Self {
        let labels = spec.endpoints.iter().map(|endpoint| endpoint.url.to_string().into()).collect();
        let weights = spec.endpoints.iter().map(|endpoint| endpoint.weight).collect::<Vec<_>>();
        let host = spec.host.as_deref().and_then(|host| Authority::try_from(host).ok());
        let endpoints = spec.endpoints.iter().map(|endpoint| Member::new(endpoint, spec, host.as_ref())).collect();
        Self {
            attempts: Attempts::new(name, labels, (spec.balance, &weights), on_fetch),
            members: Members {
                endpoints,
                dialer: Dialer::new(tls, spec.timeout.connect),
                timeouts: spec.timeout,
                host,
            },
            tries: spec.retry.attempts.max(1),
        }
    }

    /// Sends a request to an endpoint; gives the response once its head is there, while a request's body may still be on its
    /// way. Headers are sent as they are but for `Host`, which is `spec.host`, the URI's authority, the request's own or the
    /// endpoint's, in this order. A 101 bears an [`Upgrade`](holm_transport::service::Upgrade) extension (ask for it with
    /// `Connection: upgrade` on an HTTP/1.1 endpoint). The response's body fails, and never just ends, if the endpoint
    /// breaks off or is silent for `timeout.idle`.
    ///
    /// # Errors
    /// [`UpstreamError`]: no endpoint answered.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        self.attempts.send(&self.members, request, self.tries).await
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.attempts).finish()
    }
}

impl Member {
    fn new(endpoint: &Endpoint, spec: &OriginSpec, host: Option<&Authority>) -> Self {
        let url = &endpoint.url;
        let security = match url.scheme {
            Scheme::Http => Security::Clear,
            Scheme::H2c => Security::ClearHttp2,
            Scheme::Https => {
                let named = spec.sni.clone().or_else(|| host.map(|host| host.host().to_owned()));
                Security::Tls { server_name: named.unwrap_or_else(|| url.host.clone()) }
            }
        };
        let target = Target { host: url.host.clone(), port: url.port, security };
        Self { target, authority: Authority::try_from(url.authority()).ok(), idle: Idle::new() }
    }
}

impl Endpoints for Members {
    /// On kept connections first: one that closed under the request says nothing about the endpoint.
    async fn attempt(&self, index: usize, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let member = &self.endpoints[index];
        let replay = Replay::of(&request);
        let mut request = request;
        while let Some(reused) = member.idle.take().await {
            let sent = match reused {
                Reused::Http1(connection) => self.send_http1(member, connection, request).await,
                Reused::Http2(connection) => self.send_http2(member, &connection, request).await,
            };
            let mut failure = match sent {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let stale = matches!(failure.error.kind, ClientErrorKind::Closed | ClientErrorKind::Reset);
            match stale.then(|| Replay::again(&replay, &mut failure)).flatten() {
                Some(again) => request = again,
                None => return Err(failure),
            }
        }
        match self.dialer.dial(&member.target).await {
            Ok(Connection::Http1(connection)) => self.send_http1(member, connection, request).await,
            Ok(Connection::Http2(connection)) => {
                member.idle.share(&connection);
                self.send_http2(member, &connection, request).await
            }
            Err(error) => Err(error.with_request(request).into()),
        }
    }
}

impl Members {
    async fn send_http1(
        &self,
        member: &Member,
        mut connection: Http1,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Failure> {
        let authority = self.authority(member, &request)?;
        head::for_http1(&mut request, &authority);
        let response = self.await_head(request, async |request| connection.send(request).await).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let lease = Lease { connection, idle: Arc::clone(&member.idle) };
        Ok(response.map(|body| watched(body, Some(self.timeouts.idle), Some(lease))))
    }

    async fn send_http2(
        &self,
        member: &Member,
        connection: &Http2,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Failure> {
        let clear = member.target.security == Security::ClearHttp2;
        let scheme = if clear { http::uri::Scheme::HTTP } else { http::uri::Scheme::HTTPS };
        let authority = self.authority(member, &request)?;
        head::for_multiplexed(&mut request, scheme, &authority, Version::HTTP_2);
        let response = self.await_head(request, async |request| connection.send(request).await).await?;
        Ok(response.map(|body| watched(body, Some(self.timeouts.idle), None)))
    }

    fn authority(&self, member: &Member, request: &Request<Body>) -> Result<Authority, ClientError> {
        let named = self.host.clone().or_else(|| head::authority(request));
        named
            .or_else(|| member.authority.clone())
            .ok_or_else(|| ClientError::unsent(ClientErrorKind::Protocol, "the request names no host"))
    }

    async fn await_head(
        &self,
        request: Request<Body>,
        send: impl AsyncFnOnce(Request<Body>) -> Result<Response<Body>, ClientError>,
    ) -> Result<Response<Body>, Failure> {
        await_head(request, &self.timeouts, send).await
    }
}

/// Sends a request and waits for its response's head as long as the pool's limits allow.
pub(crate) async fn await_head(
    request: Request<Body>,
    timeouts: &Timeouts,
    send: impl AsyncFnOnce(Request<Body>) -> Result<Response<Body>, ClientError>,
) -> Result<Response<Body>, Failure> {
    let (parts, body) = request.into_parts();
    let (body, upload) = Upload::watch(body);
    let mut sending = std::pin::pin!(send(Request::from_parts(parts, body)));
    let mut deadline = tokio::time::Instant::now() + timeouts.first_byte;
    loop {
        if let Ok(sent) = tokio::time::timeout_at(deadline, &mut sending).await {
            return sent.map_err(|mut error| {
                if upload.as_ref().is_some_and(Upload::failed) {
                    error.kind = ClientErrorKind::RequestBody;
                }
                error.into()
            });
        }
        let later = upload.as_ref().map(|upload| upload.deadline(timeouts)).filter(|later| *later > deadline);
        deadline = later.ok_or_else(|| Failure::first_byte(timeouts.first_byte))?;
    }
}
