//! Storing: what a fetch brought, made ready for everyone and put into the cache.

mod parts;
mod slices;
mod subject;
mod variants;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use holm_cache_policy::{
    CacheKey, FetchTimes, NoStoreReason, NoVarySearch, RequestDirectives, Selected, VarySpec, VaryValues, cache_groups,
    extract_tags, storable, strip_for_client, updatable,
};
use holm_cache_store::{Changed, FillGuard, Moment, Object, Scope, Standing};
use holm_model::ids::Seq;
use holm_model::manifest::{CacheRule, DiskAdmission, QueryRule};
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::header::{AGE, AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderMap, Method, Request, StatusCode, response};
use tracing::debug;

pub(crate) use self::slices::Slices;
use self::subject::Place;
pub(crate) use self::subject::{Subject, shadow};
use crate::fields::Fields;
use crate::fill::StaleObject;
use crate::forward::X_FORWARDED_FOR;
use crate::node::{CachedObject, Node, Role, Target, equivalent_key, origin, path_key};
use crate::slices::SLICE_BYTES;
use crate::stored::{Aside, Stored, StoredResponse, StoredSliced};
use crate::underway::Entry;

/// The right to store what one fetch brings. It begins before the fetch does: what is purged, or changed, from then on
/// rejects what it stores.
pub(crate) struct Storing {
    node: Arc<Node>,
    /// Keeps purge marks that this fetch may have to obey.
    guard: FillGuard,
    /// When the fetch began; what its own answer has changed counts as before.
    begun: Moment,
    /// The client's request, without its body.
    asked: Request<()>,
    place: Place,
    /// Tells those who change the URL that this may bring something of it.
    _underway: Entry,
    primary: CacheKey,
    /// What was read from disk to be known below, and its key.
    recalled: Option<(CacheKey, CachedObject)>,
    /// What it is about, without tags: those come with the response.
    scope: Scope,
    rule: CacheRule,
}

/// What becomes of a stored response that was confirmed, or whose fields were renewed.
pub(crate) enum Renewed {
    /// It is stored again, for everyone.
    Shared(CachedObject),
    /// What it says now is for the one who asked alone.
    Private(Box<StoredResponse>, NoStoreReason),
}

/// A response that will be stored, before its body is here.
#[derive(Clone)]
pub(crate) struct Storable {
    pub(crate) head: Arc<StoredResponse>,
    pub(crate) scope: Scope,
    pub(crate) as_of: Seq,
    key: CacheKey,
    /// The key of its URL.
    primary: CacheKey,
}

/// A response's status and fields, and how long its body will be if that is known.
#[derive(Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) length: Option<u64>,
    pub(crate) times: FetchTimes,
    /// The seq that it is good for.
    pub(crate) as_of: Seq,
}

impl<'a> Received<'a> {
    /// Of a response that was taken apart.
    pub(crate) fn of(head: &'a response::Parts, body: &Body, times: FetchTimes, as_of: Seq) -> Self {
        Self { status: head.status, headers: &head.headers, length: body.exact_len(), times, as_of }
    }
}

impl Storing {
    /// Of the response to a request that is about to be sent.
    pub(crate) fn begin<B>(node: &Arc<Node>, target: &Target<'_>, request: &Request<B>) -> Self {
        if target.content_digest.is_some() {
            node.traces.leave(Target { content_digest: None, ..*target }.key(request));
        }
        Subject::of(target, request).storing(node)
    }

    /// What it is the right to store.
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            asked: self.asked.clone(),
            place: self.place.clone(),
            primary: self.primary,
            scope: self.scope.clone(),
            rule: self.rule.clone(),
        }
    }

    /// What of it goes to disk.
    pub(crate) const fn disk(&self) -> DiskAdmission {
        self.rule.disk
    }

    /// When the fetch began.
    pub(crate) const fn begun(&self) -> Moment {
        self.begun
    }

    /// Notes what the response that is to be stored has changed itself. `false` where others have changed its URL since the
    /// fetch began.
    pub(crate) fn change(&mut self, changed: &[Changed<'_>]) -> bool {
        match self.node.marks.invalidate_but(changed, &self.scope, self.begun.local) {
            Some(own) => self.begun.local = own,
            None => return false,
        }
        true
    }

    /// Has nothing changed its URL since the fetch began?
    pub(crate) fn is_untouched(&self) -> bool {
        self.node.marks.standing(&self.scope, self.begun.applied, self.begun.local) != Standing::Hard
    }

    /// May the response be stored? Its head is then made ready for everyone.
    ///
    /// # Errors
    /// The first reason against it.
    pub(crate) fn accept(&self, received: Received<'_>) -> Result<Storable, NoStoreReason> {
        self.accept_as(self.asked.method(), received)
    }

    fn accept_as(&self, method: &Method, received: Received<'_>) -> Result<Storable, NoStoreReason> {
        let Received { status, headers, length, times, as_of } = received;
        let request = self.asked.headers();
        let meta = storable(method, request, status, headers, &self.rule, times)?;
        if length.is_some_and(|length| length > self.node.max_object) {
            return Err(NoStoreReason::TooLarge);
        }
        let spec = VarySpec::of(headers);
        // The edge selects by what clients send; this one it writes itself only after the look-up.
        if self.node.role == Role::Edge && spec.as_ref().is_some_and(|spec| spec.names(&X_FORWARDED_FOR)) {
            return Err(NoStoreReason::VaryClient);
        }
        let (primary, scope) = self.url_key(headers);
        let scope = self.described(&scope, headers);
        let vary = spec.map(|spec| {
            let values = VaryValues::of(&spec, request, &self.rule.languages);
            (spec, values)
        });
        let key = vary.as_ref().map_or(primary, |(spec, values)| self.variant_key(primary, spec, values, headers));
        let vary = vary.map(|(spec, values)| Selected::of(&spec, &values).into());
        let head = StoredResponse { status, fields: self.clean(headers.clone()), meta, vary };
        Ok(Storable { head: Arc::new(head), scope, as_of, key, primary })
    }

    /// The key of the response's URL and what purges select it by. One that says which parts of the query say nothing
    /// stands for all equivalent queries, where the route has no rule of its own.
    fn url_key(&self, response: &HeaderMap) -> (CacheKey, Scope) {
        let whole_query = self.rule.key.query == QueryRule::All && !self.rule.key.sort;
        let whole_query = whole_query && self.place.content_digest.is_none();
        let Some(variance) = NoVarySearch::of(response).filter(|_| whole_query) else {
            return (self.primary, self.scope.clone());
        };
        let input = self.place.key_input(&self.asked, &self.rule);
        let (path, key) = (path_key(&input), equivalent_key(&input, &variance));
        self.node.traces.leave(path);
        let scope = self.scope.clone().of_several_queries();
        let stored = Stored::Queries(Arc::new(variance));
        self.insert(Aside::Queries.of(path), stored, Bytes::new(), scope.clone(), self.begun.applied);
        (key, scope)
    }

    /// The scope with the tags and groups that a response states; those that it had stay where it states none.
    fn described(&self, scope: &Scope, response: &HeaderMap) -> Scope {
        let (tags, groups) = (extract_tags(response), cache_groups(response));
        let scope = if tags.is_empty() { scope.clone() } else { scope.with_tags(&tags) };
        if groups.is_empty() {
            return scope;
        }
        let Place { scheme, authority, .. } = &self.place;
        scope.with_groups(&origin(*scheme, authority), groups.iter().map(String::as_str))
    }

    /// Stores a response with its whole body.
    pub(crate) fn store(&self, storable: Storable, bytes: Bytes) {
        if let Some((key, object)) = self.whole(storable, bytes) {
            self.keep(key, &object, self.rule.disk);
        }
    }

    /// The same, but where the disk is to have a large body it is written there first, after waiting for room: a few of them
    /// fill the disk's queue, and most would be refused.
    pub(crate) async fn store_waiting(&self, storable: Storable, bytes: Bytes) {
        let waits = bytes.len() >= WAITS_FROM;
        let Some((key, object)) = self.whole(storable, bytes) else { return };
        let mut disk = self.rule.disk;
        if waits && self.node.marks.standing_of(&object) != Standing::Hard {
            disk = self.node.store.decides(key, &object, disk);
            if disk == DiskAdmission::Always {
                self.node.patience.wait(self.node.store.spill(key, &object)).await;
            }
        }
        self.keep(key, &object, disk);
    }

    /// A response with its whole body as it is to be kept, and its key; `None` where it is stored in slices, or not at all.
    fn whole(&self, storable: Storable, bytes: Bytes) -> Option<(u128, CachedObject)> {
        // Beside the whole they are of no use, and if they led to none they lead to none the next time either.
        self.forget_parts(&storable);
        let Storable { head, scope, as_of, key, primary } = storable;
        let declared = head.fields.get(&CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|declared: usize| declared != bytes.len()) {
            debug!(declared, held = bytes.len(), "a body is not as long as its head says");
            return None;
        }
        if bytes.len() as u64 > SLICE_BYTES {
            self.store_in_slices(Storable { head, scope, as_of, key, primary }, &bytes);
            return None;
        }
        if primary != self.primary {
            // What stood for this query alone would hide the one that stands for all equivalent ones.
            self.node.store.remove(self.primary.0);
        }
        let stored = Stored::Response(StoredResponse::clone(&head));
        Some((key.0, self.object(stored, bytes, scope, as_of)))
    }

    /// The stored response was confirmed, or its fields renewed: brings it up to date (RFC 9111 §3.2, §4.3.4). What it says
    /// then has to pass every rule for storing, and may select it by other fields: a 304 can bring what is for one client.
    pub(crate) fn renew(
        &self,
        key: CacheKey,
        (object, stale): &StaleObject,
        fresh: &HeaderMap,
        as_of: Seq,
        times: FetchTimes,
    ) -> Renewed {
        let mut headers = stale.headers();
        let meta = stale.meta.freshen(&mut headers, fresh, &self.rule, times);
        if !fresh.contains_key(AGE) {
            headers.remove(AGE);
        }
        // The next tier may know of purges that this body has not been held against yet.
        let as_of = as_of.min(self.begun.applied);
        // What is stored fits.
        let length = None;
        let received = Received { status: stale.status, headers: &headers, length, times, as_of };
        let updated = updatable(self.asked.headers(), fresh, &headers);
        match updated.and_then(|()| self.accept_as(&Method::GET, received)) {
            Ok(storable) => {
                // At the key of the URL there stands the list of the variants now.
                if storable.key != key && storable.primary != key {
                    self.node.store.remove(key.0);
                }
                let scope = self.described(object.scope(), fresh);
                let (head, key) = (storable.head, storable.key);
                let stored = match object.meta() {
                    // The slices are confirmed with their head.
                    Stored::Sliced(sliced) => {
                        Stored::Sliced(Arc::new(StoredSliced { head, key, ..StoredSliced::clone(sliced) }))
                    }
                    _ => Stored::Response(StoredResponse::clone(&head)),
                };
                Renewed::Shared(self.insert(key.0, stored, object.body(), scope, as_of))
            }
            Err(reason) => {
                if !reason.is_of_request() {
                    self.node.store.remove(key.0);
                }
                let head = StoredResponse { status: stale.status, fields: self.clean(headers), meta, vary: None };
                Renewed::Private(Box::new(head), reason)
            }
        }
    }

    /// Requests for this URL do not queue for one another for a while.
    pub(crate) fn remember_unstorable(&self, reason: &'static str, now: Timestamp) {
        let stored = Stored::Unstorable { until: now.plus(HIT_FOR_MISS), reason };
        self.insert(Aside::Unstorable.of(self.primary), stored, Bytes::new(), self.scope.clone(), self.begun.applied);
    }

    /// Keeps the hints that came before a final response for the next client, where the route says so; or forgets them if a
    /// success came without any.
    pub(crate) fn settle_hints(&self, hints: Option<HeaderMap>, status: StatusCode) {
        // What was said to someone in particular is for no one else.
        let headers = self.asked.headers();
        let personal = headers.contains_key(AUTHORIZATION) || RequestDirectives::parse(headers).no_store();
        if !self.rule.early_hints || personal {
            return;
        }
        let place = Aside::Hints.of(self.primary);
        match hints {
            Some(_) if status.is_client_error() || status.is_server_error() => {}
            Some(hints) => {
                let stored = Stored::EarlyHints(Fields::of(&hints));
                self.insert(place, stored, Bytes::new(), self.scope.clone(), self.begun.applied);
            }
            None if status.is_success() => self.node.store.remove(place),
            // A 304 or an error says nothing of them.
            None => {}
        }
    }

    /// Takes away what no client shall see, and what each answer has values of its own for.
    fn clean(&self, mut headers: HeaderMap) -> Fields {
        if self.node.role == Role::Edge {
            strip_for_client(&mut headers);
        }
        for name in self.node.role.answers_own() {
            headers.remove(name);
        }
        Fields::of(&headers)
    }

    fn insert(&self, key: u128, stored: Stored, body: Bytes, scope: Scope, as_of: Seq) -> CachedObject {
        let object = self.object(stored, body, scope, as_of);
        self.keep(key, &object, self.rule.disk);
        object
    }

    /// What this fetch has brought, as it is kept.
    fn object(&self, stored: Stored, body: Bytes, scope: Scope, as_of: Seq) -> CachedObject {
        Arc::new(Object::new(stored, body, scope, as_of, self.begun.local))
    }

    /// Reads what stands under a key where only the disk has it: [`Storing::known_under`] finds it then.
    async fn recall_under(&mut self, key: CacheKey) {
        if self.node.store.get(key.0).is_none()
            && let Some(object) = self.node.find(key.0).await
        {
            self.recalled = Some((key, object));
        }
    }

    /// What stands under a key: in memory, or as it was recalled, for memory need not have taken it.
    fn known_under(&self, key: CacheKey) -> Option<CachedObject> {
        let recalled =
            || self.recalled.as_ref().filter(|(known, _)| *known == key).map(|(_, object)| Arc::clone(object));
        self.node.store.get(key.0).or_else(recalled)
    }

    fn keep(&self, key: u128, object: &CachedObject, disk: DiskAdmission) {
        // What was purged meanwhile would be of no use, and may stand in the place of what a newer fill has brought.
        if self.node.marks.standing_of(object) != Standing::Hard
            && let Err(refused) = self.node.store.insert(key, Arc::clone(object), &self.guard, disk)
        {
            debug!(%refused, "a fetched object was not stored");
        }
    }
}

/// Bodies of so many bytes wait for room in the disk's queue, which takes few of them. Smaller ones are refused while it is
/// full: it is so where more comes than the device can write, and misses are not to be slowed to its pace.
const WAITS_FROM: usize = 64 << 10;

/// One contiguous body, so that a hit is one write. It has bytes of its own: a chunk is often a piece of the buffer that it was
/// read into, which would stay with it and be charged to no one.
pub(crate) fn join(chunks: &[Bytes]) -> Bytes {
    match chunks {
        [] => Bytes::new(),
        [one] => Bytes::copy_from_slice(one),
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
