//! Responding: a request answered from the cache, or from the next hop through the cache where that may be.

use std::sync::Arc;

use holm_cache_policy::{CacheKey, MissReason, Outcome, RequestDirectives, StaleReason, Verdict, is_query};
use holm_model::ids::Seq;
use holm_model::manifest::CacheRule;
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE, RANGE, UPGRADE};
use http::{Method, Request, StatusCode};
use http_body::Body as _;

use crate::answer::{self, Source};
use crate::fill::Basis;
use crate::lookup::Found;
use crate::node::{CachedObject, Node, Reply, Target, now};
use crate::query::read_content;
use crate::report::Report;
use crate::slices::{Asking, FoundSliced};
use crate::stored::{Stored, StoredParts, StoredResponse};
use crate::storing::shadow;

impl Node {
    /// Answers a request from the cache, or from the next hop through the cache where that may be. Whatever a hit does not
    /// need is boxed: its state would be moved with every request's.
    pub(crate) async fn respond(self: &Arc<Self>, target: Target<'_>, request: Request<Body>) -> Reply {
        let now = now();
        let (target, request) = match is_query(request.method()) {
            true => Box::pin(read_content(target, request)).await,
            false => (target, request),
        };
        if let Some(reason) = bypass_reason(&target.route.rule, &request) {
            let outcome = if reason == METHOD { Outcome::Method } else { Outcome::Bypass };
            return Box::pin(self.pass(&target, request, Report::forward(outcome, reason))).await;
        }
        let target = target.for_storing();
        let directives = RequestDirectives::parse(request.headers());
        // Read before the look-up: a fresh hit is good for what was applied by then (architecture.md, "Purge").
        let applied = self.marks.applied();
        let found = match self.look_up(&target, &request, now) {
            Ok(found) => found,
            Err(unread) => {
                let asked = shadow(&request);
                Box::pin(self.look_up_reading(unread, &target, &asked, now)).await
            }
        };
        match found {
            Found::Response { key, object, head, soft_since } => {
                if let Stored::Sliced(sliced) = object.meta() {
                    let verdict = head.meta.verdict(&directives, now, soft_since);
                    let found = FoundSliced { key, object: &object, head: &head, sliced, verdict };
                    return Box::pin(self.respond_sliced(&target, request, found, &directives, (applied, now))).await;
                }
                match head.meta.verdict(&directives, now, soft_since) {
                    Verdict::Serve => self.hit(&request, &object, &head, applied, now),
                    Verdict::ServeStale(reason) => {
                        self.revalidate_behind(&target, &request, key, (&object, head.clone()));
                        self.stale(&target, &request, &object, &head, reason, now)
                    }
                    Verdict::Revalidate(reason) if directives.only_if_cached() => self.not_cached(reason.as_str()),
                    Verdict::Revalidate(reason) => {
                        let report = stale_report(reason);
                        let stale = (object, head);
                        match *request.method() {
                            Method::HEAD => Box::pin(self.revalidate_head(&target, request, key, stale, report)).await,
                            _ => Box::pin(self.fill(&target, request, key, Basis::Stale(stale), report)).await,
                        }
                    }
                }
            }
            Found::Parts { key, object, stored, soft_since } => {
                let verdict = stored.head.meta.verdict(&directives, now, soft_since);
                let fresh = verdict == Verdict::Serve;
                if fresh && let Some(reply) = self.hit_parts(&request, &stored, applied, now) {
                    return reply;
                }
                let report = match verdict {
                    Verdict::Serve => Report::forward(Outcome::Partial, "incomplete"),
                    Verdict::ServeStale(reason) | Verdict::Revalidate(reason) => stale_report(reason),
                };
                let basis = if fresh { Basis::Parts(object, stored) } else { Basis::Nothing };
                Box::pin(self.miss(&target, request, key, basis, &directives, report)).await
            }
            Found::Unstorable(reason) if directives.only_if_cached() => self.not_cached(reason),
            Found::Unstorable(reason) => {
                let report = Report::forward(Outcome::Miss, "hit-for-miss").with_cause(reason);
                Box::pin(self.pass(&target, request, report)).await
            }
            Found::Nothing(key, reason) => {
                let report = miss_report(reason);
                Box::pin(self.miss(&target, request, key, Basis::Nothing, &directives, report)).await
            }
        }
    }

    fn hit(
        &self,
        request: &Request<Body>,
        object: &CachedObject,
        head: &StoredResponse,
        as_of: Seq,
        now: Timestamp,
    ) -> Reply {
        let response = answer::from_stored(request, head, Source::Whole(object.body()), now);
        Reply::from_cache(response, Report::hit(&head.meta, now), as_of)
    }

    pub(crate) fn hit_parts(
        &self,
        request: &Request<Body>,
        stored: &Arc<StoredParts>,
        as_of: Seq,
        now: Timestamp,
    ) -> Option<Reply> {
        let ranged = *request.method() == Method::GET && request.headers().contains_key(RANGE);
        let response = ranged.then(|| answer::from_parts(request, stored, now))??;
        Some(Reply::from_cache(response, Report::hit(&stored.head.meta, now), as_of))
    }

    pub(crate) fn stale(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: &Request<Body>,
        object: &CachedObject,
        head: &StoredResponse,
        reason: StaleReason,
        now: Timestamp,
    ) -> Reply {
        let source = self.source_of(object, || Asking::of(self, target, request));
        let response = answer::from_stored(request, head, source, now);
        let report = Report::stale_hit(&head.meta, now, reason.as_str());
        // A stale answer must not wash a soft purge away at the tier before us.
        Reply::from_cache(response, report, object.good_for())
    }

    /// A miss: shared where the request allows it, else for this client alone.
    pub(crate) async fn miss(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: Request<Body>,
        key: CacheKey,
        basis: Basis,
        directives: &RequestDirectives,
        report: Report,
    ) -> Reply {
        if directives.only_if_cached() {
            return self.not_cached("only-if-cached");
        }
        let alone = if *request.method() == Method::HEAD {
            Some("head")
        } else if directives.no_store() {
            Some("request-no-store")
        } else {
            None
        };
        match alone {
            Some(reason) => self.pass(target, request, report.with_cause(reason)).await,
            None if request.headers().contains_key(RANGE) => self.fetch_range(target, request, report).await,
            None => self.fill(target, request, key, basis, report).await,
        }
    }

    /// RFC 9111 §5.2.1.7.
    pub(crate) fn not_cached(&self, reason: &'static str) -> Reply {
        let response = answer::error(StatusCode::GATEWAY_TIMEOUT, "only-if-cached");
        let report = Report::local(Outcome::Refused, "only-if-cached").with_cause(reason);
        Reply::new(response, report, self.marks.applied())
    }
}

/// Why a request is not looked up.
pub(crate) fn bypass_reason(rule: &CacheRule, request: &Request<Body>) -> Option<&'static str> {
    let query = is_query(request.method());
    if !query && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(METHOD);
    }
    if !rule.enabled {
        return Some("route");
    }
    let with_body = if query { request.body().held_len().is_none() } else { !request.body().is_end_stream() };
    if with_body {
        return Some("request-body");
    }
    let headers = request.headers();
    if headers.contains_key(UPGRADE) {
        return Some("upgrade");
    }
    // RFC 9111 §4.3.2: these are for the origin to judge.
    (headers.contains_key(IF_MATCH) || headers.contains_key(IF_UNMODIFIED_SINCE)).then_some("precondition")
}

pub(crate) fn stale_report(reason: StaleReason) -> Report {
    let outcome = if reason == StaleReason::Request { Outcome::Request } else { Outcome::Stale };
    Report::forward(outcome, reason.as_str())
}

fn miss_report(reason: MissReason) -> Report {
    Report::forward(reason.outcome(), reason.as_str())
}

/// The method itself asks to be passed on.
const METHOD: &str = "method";
