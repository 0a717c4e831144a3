//! The look-up: what the cache has for a request. RFC 9111 §4.

use std::sync::Arc;

use holm_cache_policy::{CacheKey, MissReason};
use holm_cache_store::{Object, Standing};
use holm_model::units::Timestamp;
use http::HeaderMap;

use crate::node::{CachedObject, Node};
use crate::stored::{Aside, Stored, StoredParts, StoredResponse};

/// What a look-up found.
pub(crate) enum Found {
    /// Nothing usable; the key that a fill goes under.
    Nothing(CacheKey, MissReason),
    /// A response; `soft_since` if a soft purge made it stale.
    Response { key: CacheKey, object: CachedObject, head: Arc<StoredResponse>, soft_since: Option<Timestamp> },
    /// Parts of one.
    Parts { key: CacheKey, object: CachedObject, stored: Arc<StoredParts>, soft_since: Option<Timestamp> },
    /// The last response could not be stored.
    Unstorable(&'static str),
}

impl Node {
    /// Looks a URL up, then its variant where responses vary, then what stands beside it. Purged entries are as good as
    /// absent.
    pub(crate) fn look_up(&self, primary: CacheKey, request: &HeaderMap, now: Timestamp) -> Found {
        match self.response_for(primary, request, now) {
            Found::Nothing(key, reason) => self.beside(primary, key, reason, now),
            found => found,
        }
    }

    fn response_for(&self, primary: CacheKey, request: &HeaderMap, now: Timestamp) -> Found {
        let Some(object) = self.memory.get(primary.0) else {
            return Found::Nothing(primary, MissReason::UriMiss);
        };
        let Stored::Variants(variants) = object.meta() else { return self.stand(primary, object) };
        let keys = variants.keys(primary, request);
        let found = keys.iter().filter_map(|key| Some(self.stand(*key, self.memory.get(key.0)?)));
        // §4.1: of several the most recent.
        found.min_by_key(|found| found.age(now)).unwrap_or(Found::Nothing(keys[0], MissReason::VaryMiss))
    }

    /// What the purge marks leave of an object.
    fn stand(&self, key: CacheKey, object: CachedObject) -> Found {
        let soft_since = match self.marks.standing_of(&object) {
            Standing::Hard => return Found::Nothing(key, MissReason::Purged),
            Standing::Soft { since } => Some(since),
            Standing::Live => None,
        };
        match object.meta() {
            Stored::Response(head) => {
                let head = Arc::clone(head);
                Found::Response { key, object, head, soft_since }
            }
            Stored::Parts(stored) => {
                let stored = Arc::clone(stored);
                Found::Parts { key, object, stored, soft_since }
            }
            Stored::Variants(_) => Found::Nothing(key, MissReason::UriMiss),
            Stored::Unstorable { reason, .. } => Found::Unstorable(reason),
        }
    }

    /// What stands beside the place of a response that is not there.
    fn beside(&self, primary: CacheKey, key: CacheKey, reason: MissReason, now: Timestamp) -> Found {
        if let Some(object) = self.memory.get(Aside::Parts.of(key))
            && let found @ Found::Parts { .. } = self.stand(key, object)
        {
            return found;
        }
        if let Some(object) = self.memory.get(Aside::Unstorable.of(primary))
            && let Stored::Unstorable { until, .. } = object.meta()
            && *until > now
            && let found @ Found::Unstorable(_) = self.stand(key, Arc::clone(&object))
        {
            return found;
        }
        Found::Nothing(key, reason)
    }

    /// The key of the request's own response, by what is known now of how the responses of its URL vary.
    pub(crate) fn variant_now(&self, primary: CacheKey, request: &HeaderMap) -> CacheKey {
        match self.memory.get(primary.0).as_deref().map(Object::meta) {
            Some(Stored::Variants(variants)) => variants.keys(primary, request)[0],
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
