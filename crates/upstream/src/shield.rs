//! The way to the shield: HTTP/3 connections under mutual TLS, opened when first needed and again when they fail.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use holm_model::manifest::{Balance, Timeouts};
use holm_transport::body::Body;
use holm_transport::client::{ClientError, ClientErrorKind, TlsConfig};
use holm_transport::h3;
use http::{Request, Response, Version};
use parking_lot::Mutex;

use crate::attempts::{Attempts, Endpoints, OnFetch, Replay};
use crate::error::{Failure, UpstreamError, UpstreamErrorKind};
use crate::head;
use crate::pool::await_head;
use crate::watch::watched;
use crate::worker::PerWorker;

/// The shields of a region, as an edge sees them. It can be shared by all threads: each has its own connection.
pub struct ShieldClient {
    attempts: Attempts,
    shields: Shields,
    tries: u32,
}

/// Where a shield is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShieldEndpoint {
    /// Its UDP address.
    pub addr: SocketAddr,
    /// The name in its certificate.
    pub server_name: String,
}

struct Shields {
    client: h3::Client,
    members: Vec<Member>,
    timeouts: Timeouts,
}

struct Member {
    endpoint: ShieldEndpoint,
    slots: PerWorker<Slot>,
}

#[derive(Default)]
struct Slot {
    /// In the order in which they were opened; the first with room is used.
    open: Mutex<Vec<h3::Connection>>,
    /// One dials, the others wait for what comes of it.
    dialling: tokio::sync::Mutex<Option<Refusal>>,
}

/// What the last dialling came to.
struct Refusal {
    at: Instant,
    kind: ClientErrorKind,
    detail: String,
}

impl ShieldClient {
    /// A client of these shields. `tls` holds the edge's own certificate and the cluster's CA; `timeouts.idle` bounds the
    /// silence between two pieces of a response (0: not at all); a request is tried at `tries` shields at most.
    ///
    /// # Errors
    /// The TLS configuration is not fit for QUIC.
    pub fn new(
        shields: Vec<ShieldEndpoint>,
        tls: &TlsConfig,
        timeouts: Timeouts,
        tries: u32,
        on_fetch: OnFetch,
    ) -> Result<Self, h3::NotForQuic> {
        let limits = h3::Limits { connect: timeouts.connect, ..h3::Limits::internal() };
        let labels = shields.iter().map(|shield| shield.addr.to_string().into()).collect();
        let weights = vec![1; shields.len()];
        let members = shields.into_iter().map(Member::new).collect();
        Ok(Self {
            attempts: Attempts::new("shield", labels, (Balance::RoundRobin, &weights), on_fetch),
            shields: Shields { client: h3::Client::new(tls, limits)?, members, timeouts },
            tries: tries.max(1),
        })
    }

    /// Sends a request to a shield; gives the response once its head is there, while the request's body may still be on its
    /// way. Scheme and authority are the URI's, or else `https` and the `Host`. The response's body fails, and never just
    /// ends, if the shield breaks off.
    ///
    /// # Errors
    /// [`UpstreamError`]: no shield answered.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        self.attempts.send(&self.shields, request, self.tries).await
    }
}

impl fmt::Debug for ShieldClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShieldClient").field(&self.attempts).finish()
    }
}

impl Endpoints for Shields {
    /// A kept connection that fails is opened again once before the shield counts as failed.
    async fn attempt(&self, index: usize, mut request: Request<Body>) -> Result<Response<Body>, Failure> {
        let authority = head::authority(&request)
            .ok_or_else(|| ClientError::unsent(ClientErrorKind::Protocol, "the request names no host"))?;
        let scheme = request.uri().scheme().cloned().unwrap_or(http::uri::Scheme::HTTPS);
        head::for_multiplexed(&mut request, scheme, &authority, Version::HTTP_3);
        let member = &self.members[index];
        if let Some(connection) = member.open() {
            let replay = Replay::of(&request);
            let mut failure = match self.send_on(&connection, request).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let stale = matches!(
                failure.error.kind,
                ClientErrorKind::Closed | ClientErrorKind::Reset | ClientErrorKind::Timeout
            ) && connection.is_closed();
            match stale.then(|| Replay::again(&replay, &mut failure)).flatten() {
                Some(again) => request = again,
                None => return Err(failure),
            }
        }
        match member.dial(&self.client).await {
            Ok(connection) => self.send_on(&connection, request).await,
            Err(error) => Err(error.with_request(request).into()),
        }
    }
}

impl Shields {
    async fn send_on(&self, connection: &h3::Connection, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let sent = await_head(request, &self.timeouts, async |request| connection.send(request).await).await;
        let response = sent.map_err(|failure| match failure.error.kind {
            // One stream alone is what an origin that breaks off looks like from here.
            ClientErrorKind::Reset if !connection.is_closed() => {
                Failure { kind: UpstreamErrorKind::BrokeOff, ..failure }
            }
            _ => failure,
        })?;
        let idle = Some(self.timeouts.idle).filter(|idle| !idle.is_zero());
        Ok(response.map(|body| watched(body, idle, None)))
    }
}

impl Member {
    fn new(endpoint: ShieldEndpoint) -> Self {
        Self { endpoint, slots: PerWorker::new() }
    }

    fn open(&self) -> Option<h3::Connection> {
        let mut open = self.slots.own().open.lock();
        open.retain(|connection| !connection.is_closed());
        open.iter().find(|connection| connection.under_way() < MOST_UNDER_WAY).cloned()
    }

    async fn dial(&self, client: &h3::Client) -> Result<h3::Connection, ClientError> {
        let begun = Instant::now();
        let mut last = self.slots.own().dialling.lock().await;
        if let Some(connection) = self.open() {
            return Ok(connection);
        }
        if self.slots.own().open.lock().len() >= MOST_CONNECTIONS {
            return Err(ClientError::unsent(ClientErrorKind::Busy, "too many requests are under way to this shield"));
        }
        if let Some(refusal) = last.as_ref().filter(|refusal| refusal.at >= begun) {
            return Err(ClientError::unsent(refusal.kind, &refusal.detail));
        }
        match client.connect(self.endpoint.addr, &self.endpoint.server_name).await {
            Ok(connection) => {
                self.slots.own().open.lock().push(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                *last = Some(Refusal { at: Instant::now(), kind: error.kind, detail: error.detail.clone() });
                Err(error)
            }
        }
    }
}

/// From so many requests on, a connection is full and another is opened. Below what its peer allows, so that no request
/// waits for another one's end.
const MOST_UNDER_WAY: usize = 900;

/// The connections of one thread to one shield.
const MOST_CONNECTIONS: usize = 16;
