//! One fetch for a fill, from the request to the stored object. It runs on its own: no client's leaving ends it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use holm_cache_policy::{
    CacheKey, FetchTimes, NoStoreReason, StoredMeta, VarySpec, VaryValues, extract_tags, storable, strip_for_client,
    write_validators,
};
use holm_cache_store::{FillGuard, Object, Scope, Standing};
use holm_model::ids::Seq;
use holm_model::manifest::CacheRule;
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::oneshot;
use tracing::debug;

use super::buffer::{FillWriter, PushError, fill_buffer};
use super::table::{Phase, Streaming, Ticket};
use super::{Begun, Private, StaleObject, filling_head};
use crate::forward::X_FORWARDED_FOR;
use crate::hop::{Answer, Head, HopError, NextHop, Way};
use crate::node::{Node, Role, Target, now};
use crate::stored::{Stored, StoredResponse, Variants};

/// A fetch that is about to begin.
pub(crate) struct Fetch {
    node: Arc<Node>,
    ticket: Ticket,
    /// Keeps purge marks that this fetch may have to obey.
    guard: FillGuard,
    hop: Arc<dyn NextHop>,
    head: Head,
    way: Way,
    rule: CacheRule,
    primary: CacheKey,
    stale: Option<StaleObject>,
}

/// A response that will be stored, before its body is here.
struct Storable {
    head: Arc<StoredResponse>,
    scope: Scope,
    as_of: Seq,
    key: CacheKey,
}

impl Fetch {
    pub(crate) fn new(
        node: &Arc<Node>,
        target: &Target<'_>,
        request: &Request<Body>,
        ticket: Ticket,
        stale: Option<StaleObject>,
    ) -> Self {
        let mut head = filling_head(request);
        // What was purged since it was found is no validator. What is purged from here on is newer than `begun_at`.
        let stale = stale.filter(|(object, _)| node.marks.standing_of(object) != Standing::Hard);
        if let Some((_, stale)) = stale.as_ref().filter(|(_, stale)| can_be_confirmed(stale)) {
            write_validators(&mut head.headers, &stale.headers);
        }
        Self {
            guard: node.marks.begin_fill(),
            hop: Arc::clone(node.hop_for(target.content)),
            way: target.way(ticket.fill.begun_at, request.version()),
            rule: target.route.rule.clone(),
            primary: CacheKey::primary(&target.key_input(request)),
            node: Arc::clone(node),
            ticket,
            head,
            stale,
        }
    }

    /// Runs to the end. `beginner` takes what the one who began it is given.
    pub(crate) async fn run(self, beginner: Option<oneshot::Sender<Begun>>) {
        let requested = now();
        let request_headers = self.head.headers.clone();
        let sent = self.hop.send(self.head.clone().without_body(), self.way.clone()).await;
        let times = FetchTimes { requested, received: now() };
        match sent {
            Err(error) => self.ticket.fill.set(Phase::Failed(error)),
            Ok(answer) => self.answered(answer, &request_headers, times, beginner).await,
        }
    }

    async fn answered(
        self,
        answer: Answer,
        request: &HeaderMap,
        times: FetchTimes,
        beginner: Option<oneshot::Sender<Begun>>,
    ) {
        let Answer { mut response, as_of } = answer;
        let status = response.status();
        if let Some(stale) = &self.stale {
            if status == StatusCode::NOT_MODIFIED && can_be_confirmed(&stale.1) {
                return self.confirmed(stale, response.headers(), as_of, times);
            }
            if status.is_server_error() && self.node.bridges_error(stale, request) {
                let error = HopError::new(status, "origin-error", format!("the origin answered {status}"));
                return self.ticket.fill.set(Phase::Failed(error));
            }
        }
        match self.storable(&mut response, request, as_of, times) {
            Ok(storable) => self.stream(storable, response.into_body(), beginner).await,
            Err(reason) => self.release(reason, Private { response, as_of, reason: reason.as_str() }, beginner, times),
        }
    }

    /// 304: the stored response is good again (RFC 9111 §4.3.4).
    fn confirmed(&self, (object, stale): &StaleObject, fresh: &HeaderMap, as_of: Seq, times: FetchTimes) {
        let mut headers = stale.headers.clone();
        let meta = stale.meta.freshen(&mut headers, fresh, &self.rule, times);
        let tags = extract_tags(fresh);
        let scope = if tags.is_empty() { object.scope().clone() } else { object.scope().with_tags(&tags) };
        if self.node.role == Role::Edge {
            strip_for_client(&mut headers);
        }
        self.node.role.reserve(&mut headers);
        let head = StoredResponse { status: stale.status, headers, meta, vary: stale.vary.clone() };
        // The next tier may know of purges that this body has not been held against yet.
        let as_of = as_of.min(self.ticket.fill.begun_at);
        let renewed = Object::new(Stored::Response(Arc::new(head)), object.body().clone(), scope, as_of);
        let renewed = Arc::new(renewed);
        self.insert(CacheKey(self.ticket.key()), Arc::clone(&renewed));
        self.ticket.fill.set(Phase::Refreshed(renewed));
    }

    /// May the response be stored? Its head is then made ready for everyone.
    fn storable(
        &self,
        response: &mut Response<Body>,
        request: &HeaderMap,
        as_of: Seq,
        times: FetchTimes,
    ) -> Result<Storable, NoStoreReason> {
        let status = response.status();
        let meta: StoredMeta = storable(&Method::GET, request, status, response.headers(), &self.rule, times)?;
        if response.body().exact_len().is_some_and(|length| length > self.node.max_object) {
            return Err(NoStoreReason::TooLarge);
        }
        let headers = response.headers_mut();
        let scope = self.ticket.fill.scope.with_tags(&extract_tags(headers));
        let spec = VarySpec::of(headers);
        // The edge selects by what clients send; this one it writes itself only after the look-up.
        if self.node.role == Role::Edge && spec.as_ref().is_some_and(|spec| spec.names(&X_FORWARDED_FOR)) {
            return Err(NoStoreReason::VaryClient);
        }
        if self.node.role == Role::Edge {
            strip_for_client(headers);
        }
        let vary = spec.map(|spec| {
            let values = VaryValues::of(&spec, request, &self.rule.languages);
            (spec, values)
        });
        let key = vary.as_ref().map_or(self.primary, |(spec, values)| self.variant_key(spec, values));
        let mut headers = std::mem::take(headers);
        self.node.role.reserve(&mut headers);
        let head = StoredResponse { status, headers, meta, vary };
        Ok(Storable { head: Arc::new(head), scope, as_of, key })
    }

    /// The key of a variant; the entry that points to it is renewed where the response varies by other fields.
    fn variant_key(&self, spec: &VarySpec, values: &VaryValues) -> CacheKey {
        // One that was purged will be swept, and with it all that stands behind it.
        let known = self.node.memory.get(self.primary.0);
        let known = known.filter(|known| self.node.marks.standing_of(known) != Standing::Hard);
        if let Some(Stored::Variants(variants)) = known.as_deref().map(Object::meta)
            && variants.spec == *spec
        {
            return variants.key(self.primary, values);
        }
        let variants = Arc::new(Variants::new(spec.clone()));
        let key = variants.key(self.primary, values);
        let scope = self.ticket.fill.scope.clone();
        let entry = Object::new(Stored::Variants(variants), Bytes::new(), scope, self.ticket.fill.begun_at);
        self.insert(self.primary, Arc::new(entry));
        key
    }

    /// Streams the body to all who wait, then stores it.
    async fn stream(self, storable: Storable, mut body: Body, beginner: Option<oneshot::Sender<Begun>>) {
        let (writer, source) = fill_buffer(&self.node.budget, body.exact_len());
        let first = beginner.and_then(|beginner| Some((beginner, source.reader()?)));
        self.ticket.fill.set(Phase::Streaming(Arc::new(Streaming {
            head: Arc::clone(&storable.head),
            scope: storable.scope.clone(),
            as_of: storable.as_of,
            source,
        })));
        if let Some((beginner, reader)) = first {
            // Fails where the client has left: then it wants no reader either.
            let _ = beginner.send(Begun::Shared(reader));
        }
        let mut whole = true;
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    debug!(%error, "a fill broke off");
                    return writer.fail(error);
                }
            };
            match frame.into_data() {
                Ok(data) => match self.push(&writer, data, &mut whole).await {
                    Ok(()) => {}
                    Err(PushError::Abandoned | PushError::NoBudget) => return,
                },
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        if whole {
            let bytes = join(&writer.chunks());
            let Storable { head, scope, as_of, key } = storable;
            self.insert(key, Arc::new(Object::new(Stored::Response(head), bytes, scope, as_of)));
        }
        self.ticket.leave_table();
        writer.finish(trailers);
    }

    /// Adds a chunk; a body that outgrows the cache or the budget goes on as a window.
    async fn push(&self, writer: &FillWriter, data: Bytes, whole: &mut bool) -> Result<(), PushError> {
        if *whole && writer.total() + data.len() as u64 > self.node.max_object {
            self.give_up_storing(writer, whole);
        }
        match writer.push(data.clone()).await {
            Err(PushError::NoBudget) => {
                self.give_up_storing(writer, whole);
                writer.push(data).await
            }
            other => other,
        }
    }

    fn give_up_storing(&self, writer: &FillWriter, whole: &mut bool) {
        *whole = false;
        self.ticket.leave_table();
        writer.slide();
        self.remember_unstorable("too-large", now());
    }

    /// The response is for the beginner alone.
    fn release(
        self,
        reason: NoStoreReason,
        response: Private,
        beginner: Option<oneshot::Sender<Begun>>,
        times: FetchTimes,
    ) {
        // What the request made unstorable says nothing of the next request.
        if !reason.is_of_request() && !response.response.status().is_server_error() {
            self.remember_unstorable(reason.as_str(), times.received);
        }
        self.ticket.leave_table();
        if let Some(beginner) = beginner
            && beginner.send(Begun::Private(response)).is_err()
        {
            debug!("the client left before its response came");
        }
        self.ticket.fill.set(Phase::Released(reason.as_str()));
    }

    fn remember_unstorable(&self, reason: &'static str, now: Timestamp) {
        let until = now.plus(HIT_FOR_MISS);
        let scope = self.ticket.fill.scope.clone();
        let entry = Object::new(Stored::Unstorable { until, reason }, Bytes::new(), scope, self.ticket.fill.begun_at);
        self.insert(self.primary, Arc::new(entry));
    }

    fn insert(&self, key: CacheKey, object: Arc<Object<Stored>>) {
        // What was purged meanwhile would be of no use, and may stand in the place of what a newer fill has brought.
        let purged = self.node.marks.standing(object.scope(), object.as_of()) == Standing::Hard;
        if purged || self.ticket.fill.is_spoilt() {
            return;
        }
        let weight = weight(&object);
        if let Err(refused) = self.node.memory.insert(key.0, object, weight, &self.guard) {
            debug!(%refused, "a filled object was not stored");
        }
    }
}

/// RFC 9110 §15.4.5: a 304 stands for a 200. An error page that bears the content's validator is not made good by it.
fn can_be_confirmed(stale: &StoredResponse) -> bool {
    stale.status == StatusCode::OK
}

/// Bytes that an object occupies: its body, its head, and the index's share.
fn weight(object: &Object<Stored>) -> u32 {
    let head = match object.meta() {
        Stored::Response(head) => head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum(),
        Stored::Variants(_) | Stored::Unstorable { .. } => 0,
    };
    u32::try_from(object.body().len() + head + ENTRY_BYTES).unwrap_or(u32::MAX)
}

/// One contiguous body, so that a hit is one write.
fn join(chunks: &[Bytes]) -> Bytes {
    match chunks {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => {
            let mut all = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            many.iter().for_each(|chunk| all.extend_from_slice(chunk));
            all.freeze()
        }
    }
}

/// How long requests for a URL whose response could not be stored do not queue for one another. As long as Varnish's
/// default would be two minutes; shorter, because a route's answer may become storable with its next deployment.
const HIT_FOR_MISS: std::time::Duration = std::time::Duration::from_secs(30);

/// What an entry costs beside its bytes: the object, its metadata and moka's node (measured as about 500).
const ENTRY_BYTES: usize = 512;
