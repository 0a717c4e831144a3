//! The look-up: what the cache has for a request. RFC 9111 §4.

use std::cell::Cell;
use std::sync::Arc;

use holm_cache_policy::{CacheKey, MissReason};
use holm_cache_store::{Object, Standing, Store};
use holm_model::manifest::Languages;
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::{HeaderMap, Request};
use smallvec::SmallVec;

use crate::node::{CachedObject, Node, Target, equivalent_key, path_key};
use crate::stored::{Aside, Stored, StoredHead, StoredParts};

/// What a look-up found.
pub(crate) enum Found {
    /// Nothing usable; the key that a fill goes under.
    Nothing(CacheKey, MissReason),
    /// A response, whole or in slices; `soft_since` if a soft purge made it stale.
    Response { key: CacheKey, object: CachedObject, head: StoredHead, soft_since: Option<Timestamp> },
    /// Parts of one.
    Parts { key: CacheKey, object: CachedObject, stored: Arc<StoredParts>, soft_since: Option<Timestamp> },
    /// The last response could not be stored.
    Unstorable(&'static str),
}

/// What a look-up sees: memory, and what it has had read from the disk.
struct Shelf<'a> {
    store: &'a Store<Stored>,
    read: SmallVec<[(u128, Option<CachedObject>); 1]>,
    /// The first key that only the disk has.
    lacking: Cell<Option<u128>>,
}

impl Shelf<'_> {
    fn get(&self, key: u128) -> Option<CachedObject> {
        if let Some(object) = self.store.get(key) {
            return Some(object);
        }
        if let Some((_, object)) = self.read.iter().find(|(known, _)| *known == key) {
            return object.clone();
        }
        if self.lacking.get().is_none() && self.store.on_disk(key) {
            self.lacking.set(Some(key));
        }
        None
    }
}

/// A look-up that needs the disk.
pub(crate) struct Unread<'a>(Shelf<'a>);

impl Node {
    /// Looks a URL up, then its variant where responses vary, then what stands beside it. Purged entries are as good as
    /// absent.
    ///
    /// # Errors
    /// The disk is to be read for that: see [`Node::look_up_reading`].
    pub(crate) fn look_up<B>(
        &self,
        target: &Target<'_>,
        request: &Request<B>,
        now: Timestamp,
    ) -> Result<Found, Unread<'_>> {
        let shelf = Shelf { store: &self.store, read: SmallVec::new(), lacking: Cell::new(None) };
        let found = self.look_up_on(&shelf, target, request, now);
        if shelf.lacking.get().is_none() { Ok(found) } else { Err(Unread(shelf)) }
    }

    /// The same with the disk: what only the disk has is read, and all looked up anew.
    pub(crate) async fn look_up_reading(
        &self,
        Unread(mut shelf): Unread<'_>,
        target: &Target<'_>,
        request: &Request<()>,
        now: Timestamp,
    ) -> Found {
        loop {
            if let Some(key) = shelf.lacking.take() {
                let object = self.find(key).await;
                shelf.read.push((key, object));
            }
            let found = self.look_up_on(&shelf, target, request, now);
            if shelf.lacking.get().is_none() {
                return found;
            }
        }
    }

    fn look_up_on<B>(&self, shelf: &Shelf<'_>, target: &Target<'_>, request: &Request<B>, now: Timestamp) -> Found {
        let primary = target.key(request);
        match self.response_for(shelf, target, primary, request.headers(), now) {
            Found::Nothing(key, reason) => {
                self.beside(shelf, target, request, (primary, key), now).unwrap_or(Found::Nothing(key, reason))
            }
            found => found,
        }
    }

    fn response_for(
        &self,
        shelf: &Shelf<'_>,
        target: &Target<'_>,
        primary: CacheKey,
        request: &HeaderMap,
        now: Timestamp,
    ) -> Found {
        let Some(object) = shelf.get(primary.0) else {
            return Found::Nothing(primary, MissReason::UriMiss);
        };
        self.store.used(primary.0, &object, target.admission());
        let Stored::Variants(variants) = object.meta() else { return self.stand(primary, object) };
        let languages = &target.route.rule.languages;
        let keys = variants.keys(primary, request, languages);
        let stand = |key: CacheKey| {
            let object = shelf.get(key.0)?;
            self.store.used(key.0, &object, target.admission());
            Some(self.stand(key, object))
        };
        // RFC 9111 §4.1: of several the most recent.
        let found = keys.iter().filter_map(|key| stand(*key)).min_by_key(|found| found.age(now));
        let in_language = || match languages {
            Languages::Normalised => variants.in_language(request).and_then(stand),
            Languages::Exact | Languages::Offered(_) => None,
        };
        found.or_else(in_language).unwrap_or(Found::Nothing(keys[0], MissReason::VaryMiss))
    }

    /// What the purge marks leave of an object.
    fn stand(&self, key: CacheKey, object: CachedObject) -> Found {
        let soft_since = match self.marks.standing_of(&object) {
            Standing::Hard if self.marks.is_invalidated(&object) => {
                return Found::Nothing(key, MissReason::Invalidated);
            }
            Standing::Hard => return Found::Nothing(key, MissReason::Purged),
            Standing::Soft { since } => Some(since),
            Standing::Live => None,
        };
        if let Some(head) = StoredHead::of(&object) {
            return Found::Response { key, object, head, soft_since };
        }
        match object.meta() {
            Stored::Parts(stored) => {
                let stored = Arc::clone(stored);
                Found::Parts { key, object, stored, soft_since }
            }
            Stored::Unstorable { reason, .. } => Found::Unstorable(reason),
            _ => Found::Nothing(key, MissReason::UriMiss),
        }
    }

    /// What stands beside the place of a response that is not there: parts of it, a response to equivalent queries, or a
    /// warning.
    fn beside<B>(
        &self,
        shelf: &Shelf<'_>,
        target: &Target<'_>,
        request: &Request<B>,
        (primary, key): (CacheKey, CacheKey),
        now: Timestamp,
    ) -> Option<Found> {
        if let Some(found @ Found::Parts { .. }) = self.parts_of(key) {
            return Some(found);
        }
        if let Some(found @ (Found::Response { .. } | Found::Parts { .. })) =
            self.equivalent(shelf, target, request, now)
        {
            return Some(found);
        }
        let warning = self.store.get(Aside::Unstorable.of(primary))?;
        match warning.meta() {
            Stored::Unstorable { until, .. } if *until > now => match self.stand(key, warning) {
                found @ Found::Unstorable(_) => Some(found),
                _ => None,
            },
            _ => None,
        }
    }

    /// A response to a query that is equivalent to the request's by the word of an earlier one (`No-Vary-Search`).
    fn equivalent<B>(
        &self,
        shelf: &Shelf<'_>,
        target: &Target<'_>,
        request: &Request<B>,
        now: Timestamp,
    ) -> Option<Found> {
        let known = shelf.get(Aside::Queries.of(path_key(&target.key_input(request))))?;
        let Stored::Queries(variance) = known.meta() else { return None };
        let live = self.marks.standing_of(&known) != Standing::Hard;
        let key = live.then(|| equivalent_key(&target.key_input(request), variance))?;
        match self.response_for(shelf, target, key, request.headers(), now) {
            Found::Nothing(key, _) => self.parts_of(key),
            found => Some(found),
        }
    }

    /// Parts of a response. They are kept in memory alone.
    pub(crate) fn parts_of(&self, key: CacheKey) -> Option<Found> {
        Some(self.stand(key, self.store.get(Aside::Parts.of(key))?))
    }

    /// The key of the request's own response, by what is known now of how the responses of its URL vary.
    pub(crate) fn variant_now(&self, target: &Target<'_>, request: &Request<Body>) -> CacheKey {
        let primary = target.key(request);
        match self.store.get(primary.0).as_deref().map(Object::meta) {
            Some(Stored::Variants(variants)) => {
                variants.keys(primary, request.headers(), &target.route.rule.languages)[0]
            }
            _ => primary,
        }
    }
}

impl Found {
    fn age(&self, now: Timestamp) -> std::time::Duration {
        match self {
            Self::Response { head, .. } => head.meta.age(now),
            _ => std::time::Duration::MAX,
        }
    }
}
