//! Variants: the responses of one URL that differ by request fields (RFC 9111 §4.1).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use holm_cache_policy::{CacheKey, VarySpec, VaryValues, preferred_language, states_languages};
use holm_model::manifest::Languages;
use http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, HeaderMap};
use parking_lot::Mutex;
use smallvec::SmallVec;

/// What the responses of a URL vary by, and which of them are stored. Immutable but for the latter.
#[derive(Debug)]
pub(crate) struct Variants {
    /// Nearly always one; several where responses named different fields. The latest first.
    specs: SmallVec<[Spec; 1]>,
    /// The stored ones, the latest first. Looked at when one is added or missed, never on a hit.
    kept: Mutex<VecDeque<Kept>>,
}

/// A stored variant.
#[derive(Debug, Clone)]
struct Kept {
    key: CacheKey,
    /// Of a response that varies by `Accept-Language` alone: its language.
    language: Option<Box<str>>,
}

#[derive(Debug, Clone)]
struct Spec {
    fields: VarySpec,
    /// Enters the keys of the variants: once this entry is gone, they are out of reach too.
    nonce: u64,
}

impl Variants {
    /// The first variants of a URL.
    pub(crate) fn new(fields: VarySpec) -> Self {
        Self { specs: SmallVec::from_iter([Spec::new(fields)]), kept: Mutex::default() }
    }

    /// The same variants, of which the latest varies by other fields.
    pub(crate) fn with_spec(&self, fields: VarySpec) -> Self {
        let known = self.specs.iter().find(|spec| spec.fields == fields).cloned();
        let latest = known.unwrap_or_else(|| Spec::new(fields));
        let others = self.specs.iter().filter(|spec| spec.fields != latest.fields).take(MAX_SPECS - 1);
        let specs = std::iter::once(&latest).chain(others).cloned().collect();
        Self { specs, kept: Mutex::new(self.kept.lock().clone()) }
    }

    /// Does the latest response vary by this?
    pub(crate) fn latest_is(&self, fields: &VarySpec) -> bool {
        self.specs[0].fields == *fields
    }

    /// The keys of the variants that a request selects, one for each set of fields; the latest set's first.
    pub(crate) fn keys(
        &self,
        primary: CacheKey,
        request: &HeaderMap,
        languages: &Languages,
    ) -> SmallVec<[CacheKey; 1]> {
        self.specs.iter().map(|spec| spec.key(primary, &VaryValues::of(&spec.fields, request, languages))).collect()
    }

    /// The key of a variant in the one language that a request wants most, where responses vary by the language alone:
    /// whatever the origin would choose by the same wish, it has nothing that fits it better.
    pub(crate) fn in_language(&self, request: &HeaderMap) -> Option<CacheKey> {
        let wanted = preferred_language(request)?;
        let kept = self.kept.lock();
        let fits =
            |kept: &&Kept| kept.language.as_deref().is_some_and(|language| language.eq_ignore_ascii_case(wanted));
        kept.iter().find(fits).map(|kept| kept.key)
    }

    /// The key of the latest response's variant, which these values select.
    pub(crate) fn latest_key(&self, primary: CacheKey, values: &VaryValues) -> CacheKey {
        self.specs[0].key(primary, values)
    }

    /// Notes that a variant is stored. Gives the one that is to go, where they are too many: the one stored longest ago.
    pub(crate) fn keep(&self, key: CacheKey, request: &HeaderMap, response: &HeaderMap) -> Option<CacheKey> {
        // What was asked for by a malformed wish may hold anything of it.
        let by_language = self.specs[0].fields.is_only(&ACCEPT_LANGUAGE) && states_languages(request);
        let language = response.get(CONTENT_LANGUAGE).filter(|_| by_language).and_then(|value| value.to_str().ok());
        let mut kept = self.kept.lock();
        kept.retain(|known| known.key != key);
        kept.push_front(Kept { key, language: language.map(|language| language.trim().into()) });
        let oldest = (kept.len() > MAX_VARIANTS).then(|| kept.pop_back()).flatten();
        oldest.map(|oldest| oldest.key)
    }
}

impl Spec {
    fn new(fields: VarySpec) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { fields, nonce: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    fn key(&self, primary: CacheKey, values: &VaryValues) -> CacheKey {
        CacheKey(primary.variant(values).0 ^ u128::from(self.nonce))
    }
}

/// Sets of fields that the responses of one URL vary by; more are a mistake.
const MAX_SPECS: usize = 4;

/// Variants of one URL. What has more varies by what clients choose freely, and would fill the cache with itself.
const MAX_VARIANTS: usize = 128;
