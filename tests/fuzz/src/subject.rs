//! The crate's functions as the targets call them: the one place that follows their signatures.

use holm_cache_policy::{
    CacheKey, Conditional, FetchTimes, KeyInput, NoStoreReason, StoredMeta, VarySpec, VaryValues, evaluate_conditions,
    storable,
};
use holm_model::manifest::{CacheRule, KeyRule, Languages};
use holm_model::units::Timestamp;
use http::{HeaderMap, Method, StatusCode};

/// When every response is received.
pub(crate) const RECEIVED: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Stores the response to a GET under a route's defaults.
pub(crate) fn store(request: &HeaderMap, status: StatusCode, fields: &HeaderMap) -> Result<StoredMeta, NoStoreReason> {
    let times = FetchTimes { requested: RECEIVED, received: RECEIVED };
    storable(&Method::GET, request, status, fields, &CacheRule::default(), times)
}

/// The key of a URL.
pub(crate) fn key(site: &str, path: &str, query: Option<&str>, rule: &KeyRule) -> CacheKey {
    let request = &HeaderMap::new();
    let content = None;
    CacheKey::primary(&KeyInput {
        site,
        scheme: "https",
        host: "a.example",
        port: "",
        path,
        query,
        request,
        content,
        rule,
    })
}

/// What a request's conditions make of a stored response.
pub(crate) fn conditions(method: &Method, request: &HeaderMap, stored: &HeaderMap) -> Conditional {
    evaluate_conditions(method, request, stored)
}

/// What selects among the responses.
pub(crate) fn selecting(spec: &VarySpec, request: &HeaderMap) -> VaryValues {
    VaryValues::of(spec, request, &Languages::default())
}
