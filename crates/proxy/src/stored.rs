//! What the cache holds under a key: a response, the names of the fields that responses vary by, or a warning.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holm_cache_policy::{CacheKey, StoredMeta, VarySpec, VaryValues};
use holm_model::manifest::Languages;
use holm_model::units::Timestamp;
use http::{HeaderMap, StatusCode};

/// The metadata of a stored object.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    /// A response; the object's body is its body.
    Response(Arc<StoredResponse>),
    /// Responses of this URL differ by request fields: look again under the variant's key.
    Variants(Arc<Variants>),
    /// The last response could not be stored: requests do not queue for the next one until then (hit-for-miss).
    Unstorable { until: Timestamp, reason: &'static str },
}

/// A response's head as it is sent again.
#[derive(Debug)]
pub(crate) struct StoredResponse {
    pub(crate) status: StatusCode,
    /// End-to-end fields; on the edge, only what a client may see.
    pub(crate) headers: HeaderMap,
    pub(crate) meta: StoredMeta,
    /// What the response varies by and the values that its request had.
    pub(crate) vary: Option<(VarySpec, VaryValues)>,
}

impl StoredResponse {
    /// Was this response chosen by a request that, in what it varies by, is like this one (RFC 9111 §4.1)?
    pub(crate) fn selected_by(&self, request: &HeaderMap, languages: &Languages) -> bool {
        self.vary.as_ref().is_none_or(|(spec, values)| VaryValues::of(spec, request, languages) == *values)
    }
}

/// The fields that a URL's responses vary by.
#[derive(Debug)]
pub(crate) struct Variants {
    pub(crate) spec: VarySpec,
    /// Enters the keys of the variants: once this entry is gone, they are out of reach too.
    nonce: u64,
}

impl Variants {
    pub(crate) fn new(spec: VarySpec) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { spec, nonce: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// The key of the variant that a request with these values selects.
    pub(crate) fn key(&self, primary: CacheKey, values: &VaryValues) -> CacheKey {
        CacheKey(primary.variant(values).0 ^ u128::from(self.nonce))
    }
}
