//! Counting: each answered request once, with the bytes that its body came to.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holm_cache_policy::Outcome;
use holm_model::ids::SiteName;
use holm_telemetry::{Class, RequestRecord, Shard, Tier};
use holm_transport::body::{Body, BodyError};
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::report::Report;
use crate::site::Site;

/// What is known of a request beside what happened to it.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) site: &'a Arc<Site>,
    /// The route's name.
    pub(crate) route: &'a Arc<str>,
    pub(crate) tier: Tier,
    pub(crate) begun: Instant,
}

/// Counts the response: at once if its body is here, else when the body ends or its reader leaves.
pub(crate) fn count(
    shard: &Arc<Shard>,
    facts: &Facts<'_>,
    report: &Report,
    response: Response<Body>,
) -> Response<Body> {
    let (status, latency) = (response.status().as_u16(), facts.begun.elapsed());
    let (cache, class, tier) = (report.outcome.as_str(), class(report.outcome), facts.tier);
    if let Some(bytes_out) = response.body().held_len() {
        let (site, route) = (facts.site.name(), &**facts.route);
        shard.record(&RequestRecord { site, route, cache, status, tier, bytes_out, latency, class });
        return response;
    }
    let pending = Pending {
        shard: Arc::clone(shard),
        site: facts.site.name().clone(),
        route: Arc::clone(facts.route),
        cache,
        status,
        tier,
        class,
        latency,
        bytes: 0,
    };
    response.map(|body| Body::stream(Counted { body, pending }))
}

/// A record that waits for its bytes; it is written when dropped.
struct Pending {
    shard: Arc<Shard>,
    site: SiteName,
    route: Arc<str>,
    cache: &'static str,
    status: u16,
    tier: Tier,
    class: Class,
    latency: Duration,
    bytes: u64,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shard.record(&RequestRecord {
            site: &self.site,
            route: &self.route,
            cache: self.cache,
            status: self.status,
            tier: self.tier,
            bytes_out: self.bytes,
            latency: self.latency,
            class: self.class,
        });
    }
}

struct Counted {
    body: Body,
    pending: Pending,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.pending.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn class(outcome: Outcome) -> Class {
    match outcome {
        Outcome::Hit | Outcome::HitStale => Class::Hit,
        Outcome::UriMiss | Outcome::VaryMiss | Outcome::Miss | Outcome::Stale | Outcome::Partial | Outcome::Request => {
            Class::Miss
        }
        Outcome::Handler => Class::Handler,
        Outcome::Method | Outcome::Bypass | Outcome::Refused => Class::Other,
    }
}
