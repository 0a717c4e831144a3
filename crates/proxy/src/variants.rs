//! Variants: the responses of one URL that differ by request fields (RFC 9111 §4.1).

use std::collections::VecDeque;

use holm_cache_policy::{CacheKey, VarySpec, VaryValues, preferred_language, states_languages};
use holm_cache_store::allocated;
use holm_model::manifest::Languages;
use http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, HeaderMap};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::random::random_u64;

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
    /// Enters the keys of the variants: once this entry is gone, they are out of reach too. Random, for on disk they stay
    /// for a while, and no later entry may reach them.
    nonce: u64,
}

impl Variants {
    /// The first variants of a URL.
    pub(crate) fn new(fields: VarySpec) -> Self {
        Self { specs: SmallVec::from_iter([Spec::new(fields)]), kept: Mutex::new(VecDeque::with_capacity(2)) }
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

    /// Adds the form in which they outlive the process: postcard's.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let spec = |spec: &Spec| {
            let mut fields = Vec::new();
            spec.fields.encode(&mut fields);
            (fields, spec.nonce)
        };
        let specs = self.specs.iter().map(spec).collect();
        let kept = self.kept.lock().iter().map(|kept| (kept.key.0, kept.language.clone())).collect();
        let written = postcard::to_allocvec(&Written { specs, kept });
        out.extend_from_slice(&written.expect("invariant: plain data always has a form"));
    }

    /// Reads what [`Variants::encode`] wrote; `None` where it did not.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (Written { specs, kept }, []) = postcard::take_from_bytes(bytes).ok()? else { return None };
        let few = (1..=MAX_SPECS).contains(&specs.len()) && kept.len() <= MAX_VARIANTS;
        let spec = |(fields, nonce): &(Vec<u8>, u64)| Some(Spec { fields: VarySpec::decode(fields)?, nonce: *nonce });
        let specs = specs.iter().filter(|_| few).map(spec).collect::<Option<SmallVec<_>>>()?;
        let kept = kept.into_iter().map(|(key, language)| Kept { key: CacheKey(key), language });
        few.then(|| Self { specs, kept: Mutex::new(kept.collect()) })
    }

    /// Bytes that they occupy.
    pub(crate) fn weight(&self) -> usize {
        let specs: usize = self.specs.iter().map(|spec| size_of::<Spec>() + spec.fields.weight()).sum();
        let kept = self.kept.lock();
        let languages: usize = kept.iter().filter_map(|kept| Some(allocated(kept.language.as_ref()?.len()))).sum();
        allocated(size_of::<Self>() + specs) + allocated(kept.capacity() * size_of::<Kept>()) + languages
    }
}

/// [`Variants`] as they outlive the process.
#[derive(Serialize, Deserialize)]
struct Written {
    /// What each set of fields encodes to, and its nonce.
    specs: Vec<(Vec<u8>, u64)>,
    /// The key and the language of each that is kept.
    kept: Vec<(u128, Option<Box<str>>)>,
}

impl Spec {
    fn new(fields: VarySpec) -> Self {
        Self { fields, nonce: random_u64() }
    }

    fn key(&self, primary: CacheKey, values: &VaryValues) -> CacheKey {
        CacheKey(primary.variant(values).0 ^ u128::from(self.nonce))
    }
}

/// Sets of fields that the responses of one URL vary by; more are a mistake.
const MAX_SPECS: usize = 4;

/// Variants of one URL. What has more varies by what clients choose freely, and would fill the cache with itself.
const MAX_VARIANTS: usize = 128;
