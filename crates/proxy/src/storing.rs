//! Storing: what a fetch brought, made ready for everyone and put into the cache.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use holm_cache_policy::{
    CacheKey, FetchTimes, KeyInput, NoStoreReason, NoVarySearch, Parts, RequestDirectives, Selected, VarySpec,
    VaryValues, cache_groups, extract_tags, may_combine, storable, strip_for_client, strong_etag, updatable,
};
use holm_cache_store::{Changed, FillGuard, Moment, Object, Scope, Standing};
use holm_model::ids::Seq;
use holm_model::manifest::{CacheRule, DiskAdmission, QueryRule};
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::header::{AGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE};
use http::{HeaderMap, Method, Request, StatusCode, response};
use tracing::debug;

use crate::address::Authority;
use crate::fields::Fields;
use crate::fill::StaleObject;
use crate::forward::X_FORWARDED_FOR;
use crate::internal::Scheme;
use crate::node::{CachedObject, Node, Role, Target, equivalent_key, key_input, origin, path_key};
use crate::slices::{Cutter, Nonce, SLICE_BYTES, slice_key};
use crate::stored::{Aside, Stored, StoredParts, StoredResponse, StoredSliced};
use crate::underway::Entry;
use crate::variants::Variants;

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
    /// What stands there, if it was read from disk.
    recalled: Option<CachedObject>,
    /// What it is about, without tags: those come with the response.
    scope: Scope,
    rule: CacheRule,
}

/// What of a request, its target and its route outlives them: the right to store is taken from it for each fetch anew.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    asked: Request<()>,
    place: Place,
    primary: CacheKey,
    scope: Scope,
    rule: CacheRule,
}

/// What of a [`Target`] enters keys, for one who outlives it.
#[derive(Debug, Clone)]
struct Place {
    site: String,
    scheme: Scheme,
    authority: Authority,
    content_digest: Option<[u8; 32]>,
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

/// Slices of a response whose head is stored already, or will be.
pub(crate) struct Slices {
    scope: Scope,
    as_of: Seq,
}

impl Storable {
    /// Its slices.
    pub(crate) fn slices(&self) -> Slices {
        Slices { scope: self.scope.clone(), as_of: self.as_of }
    }
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

    /// Reads the head of a response in slices where only the disk has it: what a 206 brings may be more of the same.
    pub(crate) async fn recall_head(&mut self, storable: &Storable) {
        if self.node.store.get(storable.key.0).is_none()
            && let Some(head) = self.node.find(storable.key.0).await
        {
            self.recalled = Some(head);
        }
    }

    /// Reads what stands under the URL's key where only the disk has it: to be done before a response that may vary is
    /// accepted. Without it, all variants on disk would be out of reach once memory has lost their list.
    pub(crate) async fn recall(&mut self) {
        if self.node.store.get(self.primary.0).is_none() {
            self.recalled = self.node.find(self.primary.0).await;
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
        // Beside the whole they are of no use, and if they led to none they lead to none the next time either.
        self.forget_parts(&storable);
        let Storable { head, scope, as_of, key, primary } = storable;
        let declared = head.fields.get(&CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|declared: usize| declared != bytes.len()) {
            return debug!(declared, held = bytes.len(), "a body is not as long as its head says");
        }
        if bytes.len() as u64 > SLICE_BYTES {
            return self.store_in_slices(Storable { head, scope, as_of, key, primary }, &bytes);
        }
        if primary != self.primary {
            // What stood for this query alone would hide the one that stands for all equivalent ones.
            self.node.store.remove(self.primary.0);
        }
        self.insert(key.0, Stored::Response(StoredResponse::clone(&head)), bytes, scope, as_of);
    }

    fn store_in_slices(&self, storable: Storable, bytes: &Bytes) {
        let nonce = Nonce::new();
        let mut cutter = Cutter::new(0, bytes.len() as u64);
        let mut rest = bytes.clone();
        while let Some((index, slice)) = cutter.take(&mut rest) {
            self.store_slice(&storable, nonce, index, slice);
        }
        self.store_sliced(storable, nonce, bytes.len() as u64, self.rule.disk);
    }

    /// Would a head made of this 206's be good for everyone, and lead to slices that can be asked for?
    pub(crate) fn leads_to_slices(&self, storable: &Storable) -> bool {
        let headers = storable.head.headers();
        // RFC 9110 §15.3.7: the answer to If-Range may leave out what the client knows already.
        let told = !self.asked.headers().contains_key(IF_RANGE) || headers.contains_key(CONTENT_TYPE);
        told && strong_etag(&headers).is_some()
    }

    /// A 206 has told how long the whole is: stores a head for it that leads to slices, or finds the one that is there
    /// already. Gives what its slices are kept under.
    pub(crate) fn store_sliced_part(&self, storable: &Storable, length: u64) -> Nonce {
        let mut headers = storable.head.headers();
        let known = self.node.store.get(storable.key.0).or_else(|| self.recalled.clone());
        let known = known.filter(|known| self.node.marks.standing_of(known) == Standing::Live);
        if let Some(Stored::Sliced(known)) = known.as_deref().map(Object::meta)
            && known.key == storable.key
            && known.length == length
            && may_combine(&known.head.headers(), &headers)
        {
            return known.nonce;
        }
        let mut head = StoredResponse::clone(&storable.head);
        head.status = StatusCode::OK;
        headers.remove(CONTENT_RANGE);
        headers.insert(CONTENT_LENGTH, length.into());
        head.fields = Fields::of(&headers);
        let nonce = Nonce::new();
        if storable.key != self.primary {
            // The URL's own key does not lead there.
            self.node.traces.leave(self.primary);
        }
        self.store_sliced(Storable { head: Arc::new(head), ..storable.clone() }, nonce, length, self.rule.disk);
        nonce
    }

    /// May what a 206 brings of a response of this scope be stored beside what is there?
    ///
    /// # Errors
    /// The first reason against it.
    pub(crate) fn accept_slices(&self, received: Received<'_>, head: &CachedObject) -> Result<Slices, NoStoreReason> {
        let Received { status, headers, times, as_of, .. } = received;
        storable(&Method::GET, self.asked.headers(), status, headers, &self.rule, times)?;
        Ok(Slices { scope: self.described(head.scope(), headers).united(head.scope()), as_of })
    }

    /// Stores one slice of a response that is here as a whole.
    pub(crate) fn store_slice(&self, storable: &Storable, nonce: Nonce, index: u64, bytes: Bytes) {
        self.store_one_of(&storable.slices(), slice_key(nonce, index), bytes);
    }

    /// Stores one slice of a response, on disk too where there is one, after waiting for room. Gives what is stored, or
    /// would be if there were room; and whether it is kept where it can be read again.
    pub(crate) async fn spill_slice(&self, slices: &Slices, key: u128, bytes: Bytes) -> (CachedObject, bool) {
        let slice = self.unstored_slice(slices, bytes);
        let spills = self.node.spills(self.rule.disk);
        let spilled = spills && self.node.patience.wait(self.node.store.spill(key, &slice)).await == Some(true);
        self.keep(key, &slice, self.rule.disk);
        let kept = if spills { spilled } else { self.node.store.contains(key) };
        (slice, kept)
    }

    /// Stores one slice of a response in memory.
    pub(crate) fn store_one_of(&self, slices: &Slices, key: u128, bytes: Bytes) -> CachedObject {
        let slice = self.unstored_slice(slices, bytes);
        self.keep(key, &slice, self.rule.disk);
        slice
    }

    /// One that nobody would find.
    pub(crate) fn unstored_slice(&self, slices: &Slices, bytes: Bytes) -> CachedObject {
        Arc::new(Object::new(Stored::Slice, bytes, slices.scope.clone(), slices.as_of, self.begun.local))
    }

    /// Stores a response whose slices are on disk already. It goes there too, and what leads to it: without them the slices
    /// would lie there for nothing.
    pub(crate) fn store_spilled(&self, storable: Storable, nonce: Nonce, length: u64) {
        let (store, disk) = (&self.node.store, self.rule.disk);
        let list = storable.primary.0;
        let queries = Aside::Queries.of(path_key(&self.place.key_input(&self.asked, &self.rule)));
        for key in [(storable.key.0 != list).then_some(list), (storable.primary != self.primary).then_some(queries)] {
            if let Some((key, object)) = key.and_then(|key| Some((key, store.get(key)?))) {
                store.used(key, &object, disk);
            }
        }
        self.store_sliced(storable, nonce, length, DiskAdmission::Always);
    }

    /// Stores a response whose slices are stored, or will be, under `nonce`; `length` is its body's.
    pub(crate) fn store_sliced(&self, storable: Storable, nonce: Nonce, length: u64, disk: DiskAdmission) {
        let Storable { head, scope, as_of, key, primary } = storable;
        if primary != self.primary {
            // What stood for this query alone would hide the one that stands for all equivalent ones.
            self.node.store.remove(self.primary.0);
        }
        let stored = Stored::Sliced(Arc::new(StoredSliced { head, length, nonce, key }));
        let object = Arc::new(Object::new(stored, Bytes::new(), scope, as_of, self.begun.local));
        self.keep(key.0, &object, disk);
    }

    /// Drops the parts of a response.
    pub(crate) fn forget_parts(&self, storable: &Storable) {
        self.node.store.remove(Aside::Parts.of(storable.key));
    }

    /// Stores the part of a response that a 206 with these fields brought, beside those that are there already.
    pub(crate) fn store_part(&self, storable: Storable, fields: &HeaderMap, bytes: Bytes) {
        let Some(part) = Parts::of(self.asked.headers(), fields, bytes) else { return };
        let (place, mut storable, mut parts) = (Aside::Parts.of(storable.key), storable, part);
        if storable.key != self.primary {
            // The URL's own key does not lead there.
            self.node.traces.leave(self.primary);
        }
        // The next tier may know of purges that the others have not been held against yet.
        let applied = self.node.marks.applied();
        let known = self.node.store.get(place);
        // Nor is what was purged softly made younger, or the new part older, by being put together.
        let known = known.filter(|known| self.node.marks.standing_of(known) == Standing::Live);
        if let Some(known) = &known
            && let Stored::Parts(stored) = known.meta()
            && may_combine(&stored.head.headers(), &storable.head.headers())
            && let Some(combined) = stored.parts.with(&parts)
            && combined.held() <= self.node.max_held
        {
            parts = combined;
            storable.scope = storable.scope.united(known.scope());
            storable.as_of = storable.as_of.min(applied);
        }
        let mut head = StoredResponse::clone(&storable.head);
        let mut headers = head.headers();
        headers.remove(CONTENT_RANGE);
        // RFC 9111 §3.4: parts that make a whole are one response.
        if let Some(pieces) = parts.whole() {
            let whole = join(&pieces);
            headers.insert(CONTENT_LENGTH, whole.len().into());
            (head.status, head.fields) = (StatusCode::OK, Fields::of(&headers));
            return self.store(Storable { head: Arc::new(head), ..storable }, whole);
        }
        head.fields = Fields::of(&headers);
        let stored = Stored::Parts(Arc::new(StoredParts { head, parts }));
        self.insert(place, stored, Bytes::new(), storable.scope, storable.as_of);
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

    /// The key of a variant; the entry that points to it is renewed where the response varies by other fields.
    fn variant_key(&self, primary: CacheKey, spec: &VarySpec, values: &VaryValues, response: &HeaderMap) -> CacheKey {
        // One that was purged will be swept, and with it all that stands behind it.
        let known = self.node.store.get(primary.0).or_else(|| self.recalled.clone());
        let known = known.filter(|known| self.node.marks.standing_of(known) != Standing::Hard);
        let variants = match known.as_deref().map(Object::meta) {
            Some(Stored::Variants(variants)) if variants.latest_is(spec) => Arc::clone(variants),
            Some(Stored::Variants(variants)) => self.renew_variants(primary, variants.with_spec(spec.clone()).into()),
            _ => self.renew_variants(primary, Variants::new(spec.clone()).into()),
        };
        let key = variants.latest_key(primary, values);
        let weighed = variants.weight();
        if let Some(oldest) = variants.keep(key, self.asked.headers(), response) {
            self.node.store.remove(oldest.0);
            self.node.store.remove(Aside::Parts.of(oldest));
        }
        // What is stored is weighed once: a list that has grown is stored anew.
        if variants.weight() > weighed {
            self.renew_variants(primary, variants);
        }
        key
    }

    fn renew_variants(&self, primary: CacheKey, variants: Arc<Variants>) -> Arc<Variants> {
        let stored = Stored::Variants(Arc::clone(&variants));
        self.insert(primary.0, stored, Bytes::new(), self.scope.clone(), self.begun.applied);
        variants
    }

    fn insert(&self, key: u128, stored: Stored, body: Bytes, scope: Scope, as_of: Seq) -> CachedObject {
        let object = Arc::new(Object::new(stored, body, scope, as_of, self.begun.local));
        self.keep(key, &object, self.rule.disk);
        object
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

impl Subject {
    pub(crate) fn of<B>(target: &Target<'_>, request: &Request<B>) -> Self {
        Self {
            asked: shadow(request),
            place: Place {
                site: target.key_site().to_owned(),
                scheme: target.scheme,
                authority: target.authority.clone(),
                content_digest: target.content_digest,
            },
            primary: target.key(request),
            scope: target.scope(request),
            rule: target.route.rule.clone(),
        }
    }

    /// The right to store what a fetch brings that begins now.
    pub(crate) fn storing(self, node: &Arc<Node>) -> Storing {
        let Self { asked, place, primary, scope, rule } = self;
        let underway = node.underway.enter(primary);
        let guard = node.marks.begin_fill();
        Storing {
            begun: guard.begun(),
            guard,
            asked,
            place,
            _underway: underway,
            primary,
            recalled: None,
            scope,
            rule,
            node: Arc::clone(node),
        }
    }

    /// May what is stored of it go to disk?
    pub(crate) const fn disk(&self) -> DiskAdmission {
        self.rule.disk
    }

    /// Is it a GET's? Only of such a response parts can be asked for.
    pub(crate) fn is_get(&self) -> bool {
        *self.asked.method() == Method::GET
    }
}

impl Place {
    fn key_input<'a>(&'a self, request: &'a Request<()>, rule: &'a CacheRule) -> KeyInput<'a> {
        let input = key_input(&self.site, self.scheme, &self.authority, request, &rule.key);
        KeyInput { content: self.content_digest, ..input }
    }
}

/// The request without its body.
pub(crate) fn shadow<B>(request: &Request<B>) -> Request<()> {
    let mut shadow = Request::new(());
    *shadow.method_mut() = request.method().clone();
    *shadow.uri_mut() = request.uri().clone();
    *shadow.headers_mut() = request.headers().clone();
    shadow
}

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
