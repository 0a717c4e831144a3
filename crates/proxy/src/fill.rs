//! Fills: one fetch of a URL that everyone who asks for it meanwhile shares, detached from whoever began it.
//!
//! A fill learns from the response's head whether it can be shared. If so it streams to all and ends in the store; if
//! not, the response goes to the one who began it and the others are released at once.

mod budget;
mod buffer;
mod fetch;
mod outcome;
mod pour;
mod reader;
mod resume;
mod table;
mod wakers;
mod window;

use std::sync::Arc;
use std::time::Duration;

use holm_cache_policy::{CacheKey, RequestDirectives, StaleReason, is_query, strong_etag};
use holm_cache_store::{ANY_HOST, Scope, Standing};
use holm_model::ids::Seq;
use holm_model::manifest::QueryRule;
use holm_transport::body::Body;
use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(crate) use self::budget::{Charge, FillBudget};
use self::fetch::Fetch;
pub(crate) use self::outcome::Outcome as FillOutcome;
use self::reader::FillReader;
pub(crate) use self::table::FillTable;
use self::table::{Entered, Fill, Phase, Streaming};
use crate::answer::{self, Source};
use crate::hop::{Head, HopError};
use crate::node::{CachedObject, Node, Reply, Target, now};
use crate::report::Report;
use crate::slices::Asking;
use crate::stored::{StoredHead, StoredParts, StoredResponse};

/// A stored response that is no longer fresh, offered to the next hop for confirmation.
pub(crate) type StaleObject = (CachedObject, StoredHead);

/// What is stored that a fetch can build on.
#[derive(Debug, Clone)]
pub(crate) enum Basis {
    /// Nothing.
    Nothing,
    /// A response that is to be confirmed.
    Stale(StaleObject),
    /// Parts of one that is fresh: the rest may do.
    Parts(CachedObject, Arc<StoredParts>),
}

/// What a fill gives to the one who began it.
pub(crate) enum Begun {
    /// A response that no one else may have.
    Private(Private),
    /// A reader of the shared body, there before the first byte is: none can pass it by.
    Shared(FillReader),
}

/// A response that only the fill's beginner may have.
pub(crate) struct Private {
    response: Response<Body>,
    as_of: Seq,
    /// Why it is not shared.
    reason: &'static str,
}

impl Node {
    /// Answers a miss or a revalidation through the fill of its key: begins one, or joins the one under way.
    pub(crate) async fn fill(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: Request<Body>,
        mut key: CacheKey,
        mut basis: Basis,
        report: Report,
    ) -> Reply {
        let hearer = self.hearer(target, &request);
        let patience = Instant::now() + MAX_WAIT;
        for generation in 0..MAX_GENERATIONS {
            let looked_up = (generation == 0).then_some(&basis);
            match self.enter_fill(target, &request, key, looked_up) {
                // Whoever fetched it until now has stored it since the look-up.
                Entered::Needless => return Box::pin(self.respond(*target, request)).await,
                Entered::Leader(ticket) => {
                    let (begun, answer) = oneshot::channel();
                    let fill = Arc::clone(&ticket.fill);
                    fill.audience.begin(hearer);
                    let fetch = Fetch::new(self, target, &request, ticket, basis.clone());
                    tokio::spawn(fetch.run(Some(begun)));
                    let reader = match answer.await {
                        Ok(Begun::Private(private)) => return private.reply(report),
                        Ok(Begun::Shared(reader)) => Some(reader),
                        Err(_) => None,
                    };
                    let phase = fill.answered().await;
                    if let Some(reply) = self.share(target, &request, &fill, (&phase, reader), basis.stale(), &report) {
                        return reply;
                    }
                }
                Entered::Joined(fill) => {
                    // What was said to another one is for this one too only where the route says that hints are for all.
                    if target.route.rule.early_hints {
                        fill.audience.join(hearer);
                    }
                    let waiting = self.fills.counts.wait();
                    let answered = tokio::time::timeout_at(patience, fill.answered()).await;
                    drop(waiting);
                    let Ok(phase) = answered else {
                        return self.pass(target, request, report.with_cause("fill-wait")).await;
                    };
                    if let Phase::Released(reason) = phase {
                        return self.pass(target, request, report.with_cause(reason)).await;
                    }
                    let report = report.clone().collapsed(true);
                    if let Some(reply) = self.share(target, &request, &fill, (&phase, None), basis.stale(), &report) {
                        return reply;
                    }
                }
            }
            let known = self.variant_now(target, &request);
            if known != key {
                (key, basis) = (known, Basis::Nothing);
            }
        }
        self.pass(target, request, report.with_cause("fill-superseded")).await
    }

    /// A fill may be joined if no purge since its beginning concerns it: joining is a look-up like any other. None is begun
    /// if something else is stored now than the look-up found.
    fn enter_fill(
        &self,
        target: &Target<'_>,
        request: &Request<Body>,
        key: CacheKey,
        looked_up: Option<&Basis>,
    ) -> Entered {
        let begin = || {
            let superseded = looked_up.is_some_and(|found| self.supersedes(key, found));
            (!superseded).then(|| Fill::new(self, target, request))
        };
        self.fills.enter(key.0, |fill| fill.is_live(&self.marks), begin)
    }

    /// Is there a whole response now that was not there when this was looked up?
    fn supersedes(&self, key: CacheKey, found: &Basis) -> bool {
        self.store.get(key.0).is_some_and(|object| {
            let known = found.stale().is_some_and(|(stale, _)| Arc::ptr_eq(stale, &object));
            !known && self.is_whole(&object) && self.marks.standing_of(&object) == Standing::Live
        })
    }

    /// May a stale response stand in for one that does not come? Not if it was purged since it was found.
    pub(crate) fn bridges_error(&self, request: &HeaderMap, (object, head): &StaleObject) -> bool {
        let since = match self.marks.standing_of(object) {
            Standing::Hard => return false,
            Standing::Soft { since } => Some(since),
            Standing::Live => None,
        };
        head.meta.usable_on_error(&RequestDirectives::parse(request), now(), since)
    }

    /// The same for one request: all that its answer needs has to be here.
    fn stands_in(&self, request: &Request<Body>, stale: &StaleObject) -> bool {
        self.bridges_error(request.headers(), stale) && self.holds(request, &stale.0)
    }

    /// Renews a stale response behind the back of the client that was given it (RFC 5861 §3), once.
    pub(crate) fn revalidate_behind(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: &Request<Body>,
        key: CacheKey,
        (object, head): (&CachedObject, StoredHead),
    ) {
        if self.fills.contains(key.0) {
            return;
        }
        let stale = Basis::Stale((Arc::clone(object), head));
        let entered = self.enter_fill(target, request, key, Some(&stale));
        if let Entered::Leader(ticket) = entered {
            tokio::spawn(Fetch::new(self, target, request, ticket, stale).run(None));
        }
    }

    /// What a fill's phase gives to one who waits for it; `None` where it has to look again.
    fn share(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: &Request<Body>,
        fill: &Fill,
        (phase, reader): (&Phase, Option<FillReader>),
        stale: Option<&StaleObject>,
        report: &Report,
    ) -> Option<Reply> {
        match phase {
            Phase::Asked | Phase::Released(_) => None,
            Phase::Streaming(streaming) => self.share_stream(target, request, streaming, reader, report),
            Phase::Refreshed(object) => {
                self.share_renewed(target, request, object, report.clone().fwd_status(StatusCode::NOT_MODIFIED))
            }
            Phase::Failed(error) => {
                Some(self.answer_failure(target, request, error, stale, report.clone(), fill.begun.applied))
            }
        }
    }

    /// The answer where no usable response came: the stale one, if it may stand in (RFC 5861 §4), else an error.
    pub(crate) fn answer_failure(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: &Request<Body>,
        error: &HopError,
        stale: Option<&StaleObject>,
        report: Report,
        as_of: Seq,
    ) -> Reply {
        let Some((object, head)) = stale.filter(|stale| self.stands_in(request, stale)) else {
            return self.failed(error, report, as_of);
        };
        let reply = self.stale(target, request, object, head, StaleReason::Error, now());
        // RFC 9211 §2.1: no hit, for the request went on.
        let report = report.with_cause(StaleReason::Error.as_str()).with_ttl(reply.report.ttl);
        let report = if error.is_origins() { report.fwd_status(error.status) } else { report };
        Reply { report, bridged: Some(error.clone()), ..reply }
    }

    fn share_stream(
        &self,
        target: &Target<'_>,
        request: &Request<Body>,
        streaming: &Streaming,
        reader: Option<FillReader>,
        report: &Report,
    ) -> Option<Reply> {
        let live = self.marks.standing(&streaming.scope, streaming.as_of, streaming.local) == Standing::Live;
        if !live || !streaming.head.selected_by(request.headers(), &target.route.rule.languages) {
            return None;
        }
        let source = Source::Stream(Body::stream(reader.or_else(|| streaming.source.reader())?));
        let response = answer::from_stored(request, &streaming.head, source, now());
        let report = report.clone().fwd_status(streaming.fwd_status).stored(&streaming.head.meta);
        Some(Reply::from_cache(response, report, streaming.as_of))
    }

    /// The answer of a response that was just confirmed.
    pub(crate) fn share_renewed(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: &Request<Body>,
        object: &CachedObject,
        report: Report,
    ) -> Option<Reply> {
        let head = object.meta().response()?;
        let live = self.marks.standing_of(object) == Standing::Live;
        if !live || !head.selected_by(request.headers(), &target.route.rule.languages) {
            return None;
        }
        let source = self.source_of(object, || Asking::of(self, target, request));
        let response = answer::from_stored(request, head, source, now());
        Some(Reply::from_cache(response, report.stored(&head.meta), object.as_of()))
    }
}

impl Basis {
    fn stale(&self) -> Option<&StaleObject> {
        match self {
            Self::Stale(stale) => Some(stale),
            Self::Nothing | Self::Parts(..) => None,
        }
    }

    /// What was purged since it was found is no basis; nor are parts that nothing can be added to (RFC 9111 §3.4).
    fn usable(self, node: &Node) -> Self {
        let usable = match &self {
            Self::Nothing => true,
            Self::Stale((object, _)) => node.marks.standing_of(object) != Standing::Hard,
            Self::Parts(object, stored) => {
                let extensible = stored.parts.prefix().is_some() && strong_etag(&stored.head.headers()).is_some();
                extensible && node.marks.standing_of(object) == Standing::Live
            }
        };
        if usable { self } else { Self::Nothing }
    }
}

impl Private {
    fn reply(self, report: Report) -> Reply {
        let report = report.fwd_status(self.response.status()).with_cause(self.reason);
        Reply::new(self.response, report, self.as_of)
    }
}

impl Target<'_> {
    /// What purges select the response to `request` by, before its tags are known.
    pub(crate) fn scope<B>(&self, request: &Request<B>) -> Scope {
        let (uri, rule) = (request.uri(), &self.route.rule.key);
        let host = if rule.share_hosts { ANY_HOST } else { self.authority.host() };
        let scope = Scope::new(self.site.name(), host, uri.path(), uri.query(), &[]);
        let one_query = rule.query == QueryRule::All && !rule.sort;
        if one_query { scope } else { scope.of_several_queries() }
    }
}

/// RFC 9110 §15.4.5: a 304 stands for a 200. An error page that bears the content's validator is not made good by it.
pub(crate) fn can_be_confirmed(stale: &StoredResponse) -> bool {
    stale.status == StatusCode::OK
}

/// The request that fills: the whole of what is asked for, whatever the client has or wants of it.
pub(crate) fn filling_head(request: &Request<Body>) -> Head {
    let mut headers: HeaderMap = request.headers().clone();
    for name in PARTIAL {
        headers.remove(name);
    }
    let method = if is_query(request.method()) { request.method().clone() } else { Method::GET };
    Head { method, uri: request.uri().clone(), headers, content: request.body().held().unwrap_or_default() }
}

const PARTIAL: [HeaderName; 6] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// How long a request waits for the heads of others' fetches before it makes its own.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// How many fills one request may find outdated (purged, another variant) before it makes its own way.
const MAX_GENERATIONS: usize = 4;
