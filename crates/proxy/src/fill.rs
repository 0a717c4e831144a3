//! Fills: one fetch of a URL that everyone who asks for it meanwhile shares, detached from whoever began it.
//!
//! A fill learns from the response's head whether it can be shared. If so it streams to all and ends in the store; if
//! not, the response goes to the one who began it and the others are released at once.

mod buffer;
mod fetch;
mod table;

use std::sync::Arc;
use std::time::Duration;

use holm_cache_policy::{CacheKey, RequestDirectives, StaleReason, VaryValues};
use holm_cache_store::{Object, Scope, Standing};
use holm_model::ids::Seq;
use holm_model::manifest::QueryRule;
use holm_transport::body::Body;
use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{Method, Request, Response};
use tokio::sync::oneshot;

pub(crate) use self::buffer::FillBudget;
use self::buffer::FillReader;
use self::fetch::Fetch;
pub(crate) use self::table::FillTable;
use self::table::{Entered, Fill, Phase, Streaming};
use crate::answer::{self, Source};
use crate::hop::Head;
use crate::node::{CachedObject, Node, Reply, Target, now};
use crate::report::Report;
use crate::stored::{Stored, StoredResponse};

/// A stored response that is no longer fresh, offered to the next hop for confirmation.
pub(crate) type StaleObject = (CachedObject, Arc<StoredResponse>);

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
        mut stale: Option<StaleObject>,
        report: Report,
    ) -> Reply {
        for _ in 0..MAX_GENERATIONS {
            match self.enter_fill(target, &request, key) {
                Entered::Leader(ticket) => {
                    let (begun, answer) = oneshot::channel();
                    let fill = Arc::clone(&ticket.fill);
                    let fetch = Fetch::new(self, target, &request, ticket, stale.clone());
                    tokio::spawn(fetch.run(Some(begun)));
                    let reader = match answer.await {
                        Ok(Begun::Private(private)) => return private.reply(report),
                        Ok(Begun::Shared(reader)) => Some(reader),
                        Err(_) => None,
                    };
                    let phase = fill.answered().await;
                    if let Some(reply) =
                        self.share((target, &request), &phase, reader, stale.as_ref(), &report, fill.begun_at)
                    {
                        return reply;
                    }
                }
                Entered::Joined(fill) => {
                    let Ok(phase) = tokio::time::timeout(MAX_WAIT, fill.answered()).await else {
                        return self.pass(target, request, report.with_cause("fill-wait")).await;
                    };
                    if let Phase::Released(reason) = phase {
                        return self.pass(target, request, report.with_cause(reason)).await;
                    }
                    let report = report.clone().collapsed(true);
                    if let Some(reply) =
                        self.share((target, &request), &phase, None, stale.as_ref(), &report, fill.begun_at)
                    {
                        return reply;
                    }
                }
            }
            let known = self.variant_now(target, &request);
            if known != key {
                (key, stale) = (known, None);
            }
        }
        self.pass(target, request, report.with_cause("fill-superseded")).await
    }

    /// A fill may be joined if no purge since its beginning concerns it: joining is a look-up like any other.
    fn enter_fill(&self, target: &Target<'_>, request: &Request<Body>, key: CacheKey) -> Entered {
        let usable = |fill: &Fill| fill.is_live(&self.marks);
        self.fills.enter((target.key(request).0, key.0), usable, || (self.begin_seq(target), target.scope(request)))
    }

    /// The key of the request's own response, by what is known now of how the responses of its URL vary.
    fn variant_now(&self, target: &Target<'_>, request: &Request<Body>) -> CacheKey {
        let primary = target.key(request);
        match self.memory.get(primary.0).as_deref().map(Object::meta) {
            Some(Stored::Variants(variants)) => {
                variants.key(primary, &VaryValues::of(&variants.spec, request.headers(), &target.route.rule.languages))
            }
            _ => primary,
        }
    }

    /// May a stale response stand in for one that does not come? Not if it was purged since it was found.
    fn bridges_error(&self, (object, head): &StaleObject, request: &HeaderMap) -> bool {
        let request = RequestDirectives::parse(request);
        match self.marks.standing_of(object) {
            Standing::Hard => false,
            Standing::Soft { since } => head.meta.usable_on_error(&request, now(), Some(since)),
            Standing::Live => head.meta.usable_on_error(&request, now(), None),
        }
    }

    /// Renews a stale response behind the back of the client that was given it (RFC 5861 §3), once.
    pub(crate) fn revalidate_behind(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: &Request<Body>,
        key: CacheKey,
        (object, head): (&CachedObject, &Arc<StoredResponse>),
    ) {
        if self.fills.contains(key.0) {
            return;
        }
        if let Entered::Leader(ticket) = self.fills.enter(
            (target.key(request).0, key.0),
            |_| true,
            || (self.begin_seq(target), target.scope(request)),
        ) {
            let stale = Some((Arc::clone(object), Arc::clone(head)));
            tokio::spawn(Fetch::new(self, target, request, ticket, stale).run(None));
        }
    }

    /// What a fill's phase gives to one who waits for it; `None` where it has to look again.
    fn share(
        &self,
        (target, request): (&Target<'_>, &Request<Body>),
        phase: &Phase,
        reader: Option<FillReader>,
        stale: Option<&StaleObject>,
        report: &Report,
        begun_at: Seq,
    ) -> Option<Reply> {
        match phase {
            Phase::Asked | Phase::Released(_) => None,
            Phase::Streaming(streaming) => self.share_stream(target, request, streaming, reader, report),
            Phase::Refreshed(object) => self.share_refreshed(target, request, object, report),
            Phase::Failed(error) => {
                if let Some((object, head)) = stale.filter(|stale| self.bridges_error(stale, request.headers())) {
                    let reply = self.stale(request, object, head, StaleReason::Error, now());
                    return Some(Reply { report: reply.report.with_cause(error.reason), ..reply });
                }
                Some(self.failed(error, report.clone(), begun_at))
            }
        }
    }

    fn share_stream(
        &self,
        target: &Target<'_>,
        request: &Request<Body>,
        streaming: &Streaming,
        reader: Option<FillReader>,
        report: &Report,
    ) -> Option<Reply> {
        let live = self.marks.standing(&streaming.scope, streaming.as_of) == Standing::Live;
        if !live || !streaming.head.selected_by(request.headers(), &target.route.rule.languages) {
            return None;
        }
        let source = Source::Stream(Body::stream(reader.or_else(|| streaming.source.reader())?));
        let response = answer::from_stored(request, &streaming.head, source, now());
        let report = report.clone().fwd_status(streaming.head.status).stored(true);
        Some(Reply::new(response, report, streaming.as_of))
    }

    fn share_refreshed(
        &self,
        target: &Target<'_>,
        request: &Request<Body>,
        object: &CachedObject,
        report: &Report,
    ) -> Option<Reply> {
        let Stored::Response(head) = object.meta() else { return None };
        let live = self.marks.standing_of(object) == Standing::Live;
        if !live || !head.selected_by(request.headers(), &target.route.rule.languages) {
            return None;
        }
        let response = answer::from_stored(request, head, Source::Whole(object.body().clone()), now());
        let report = report.clone().fwd_status(http::StatusCode::NOT_MODIFIED).stored(true);
        Some(Reply::new(response, report, object.as_of()))
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
    pub(crate) fn scope(&self, request: &Request<Body>) -> Scope {
        let uri = request.uri();
        let scope = Scope::new(self.site.name(), self.authority.host(), uri.path(), uri.query(), &[]);
        match self.route.rule.key.query {
            QueryRule::All => scope,
            QueryRule::None | QueryRule::Only(_) | QueryRule::Except(_) => scope.of_several_queries(),
        }
    }
}

/// The request that fills: a whole GET, whatever the client has or wants of it.
fn filling_head(request: &Request<Body>) -> Head {
    let mut headers: HeaderMap = request.headers().clone();
    for name in PARTIAL {
        headers.remove(name);
    }
    Head { method: Method::GET, uri: request.uri().clone(), headers }
}

const PARTIAL: [HeaderName; 6] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// How long a request waits for someone else's fetch before it makes its own.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// How many fills one request may find outdated (purged, another variant) before it makes its own way.
const MAX_GENERATIONS: usize = 4;
