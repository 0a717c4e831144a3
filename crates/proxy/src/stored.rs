//! What the cache holds under a key: a response, parts or slices of one, the variants of a URL, or a warning.

use std::ops::Deref;
use std::sync::Arc;

use holm_cache_policy::{CacheKey, NoVarySearch, Parts, Selected, StoredMeta, strong_etag};
use holm_model::manifest::Languages;
use holm_model::units::Timestamp;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::fields::Fields;
use crate::node::CachedObject;
use crate::slices::Nonce;
use crate::variants::Variants;

mod codec;

/// The metadata of a stored object.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    /// A response; the object's body is its body.
    Response(StoredResponse),
    /// A response whose body is kept in slices, under keys of their own. The object's body is empty.
    Sliced(Arc<StoredSliced>),
    /// A slice of a response; the object's body is its bytes.
    Slice,
    /// Responses of this URL differ by request fields: look again under the variant's key.
    Variants(Arc<Variants>),
    /// Parts of a response.
    Parts(Arc<StoredParts>),
    /// What of a path's queries says nothing: look again under the key of what is left.
    Queries(Arc<NoVarySearch>),
    /// The last response could not be stored: requests do not queue for the next one until then (hit-for-miss).
    Unstorable { until: Timestamp, reason: &'static str },
    /// The fields of the last 103 of this URL, under a key of their own.
    EarlyHints(Fields),
}

/// What stands beside a response's key, under a key of its own: it is looked for only where the response is not there. A bit
/// for each, so that what stands beside something that stands aside has a key of its own too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    /// [`Stored::Parts`].
    Parts = 1 << 0,
    /// [`Stored::Unstorable`].
    Unstorable = 1 << 1,
    /// [`Stored::Queries`], beside the key of the path.
    Queries = 1 << 2,
    /// [`Stored::EarlyHints`].
    Hints = 1 << 3,
    /// A response to all queries that are equivalent, beside the key of their common form.
    Equivalent = 1 << 4,
}

impl Aside {
    /// The key of what stands beside `key`.
    pub(crate) const fn of(self, key: CacheKey) -> u128 {
        // In the high half, which the memory tier does not choose its places by: what stands aside shares them.
        key.0 ^ ((self as u128) << 120)
    }
}

/// A response's head as it is sent again.
#[derive(Debug, Clone)]
pub(crate) struct StoredResponse {
    pub(crate) status: StatusCode,
    /// End-to-end fields; on the edge, only what a client may see.
    pub(crate) fields: Fields,
    pub(crate) meta: StoredMeta,
    /// What the response varies by and the values that its request had. Most vary by nothing: it takes little room then.
    pub(crate) vary: Option<Box<Selected>>,
}

/// A response whose body is kept in slices.
#[derive(Debug, Clone)]
pub(crate) struct StoredSliced {
    pub(crate) head: Arc<StoredResponse>,
    /// The length of the body, in bytes.
    pub(crate) length: u64,
    /// Enters the keys of the slices: all that bear it are of one representation.
    pub(crate) nonce: Nonce,
    /// Its own key.
    pub(crate) key: CacheKey,
}

/// Parts of a response, under the head of the latest 206 without its `Content-Range`.
#[derive(Debug)]
pub(crate) struct StoredParts {
    pub(crate) head: StoredResponse,
    pub(crate) parts: Parts,
}

/// The head of a stored response, which stays while this does. An object and its head are one piece of memory.
#[derive(Debug, Clone)]
pub(crate) struct StoredHead(CachedObject);

impl StoredHead {
    /// The head of an object, if that is a response, whole or in slices.
    pub(crate) fn of(object: &CachedObject) -> Option<Self> {
        object.meta().response().map(|_| Self(Arc::clone(object)))
    }
}

impl Deref for StoredHead {
    type Target = StoredResponse;

    fn deref(&self) -> &StoredResponse {
        self.0.meta().response().expect("invariant: it was made of a response")
    }
}

impl Stored {
    /// The response, if this is one, whole or in slices.
    pub(crate) fn response(&self) -> Option<&StoredResponse> {
        match self {
            Self::Response(head) => Some(head),
            Self::Sliced(sliced) => Some(&sliced.head),
            _ => None,
        }
    }
}

impl StoredResponse {
    /// Its fields as a map: to be made once for each answer.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.fields.to_map()
    }

    /// The strong validator by which parts of it can be asked for.
    pub(crate) fn strong_etag(&self) -> Option<HeaderValue> {
        strong_etag(&self.headers()).cloned()
    }

    /// Was this response chosen by a request that, in what it varies by, is like this one (RFC 9111 §4.1)?
    pub(crate) fn selected_by(&self, request: &HeaderMap, languages: &Languages) -> bool {
        self.vary.as_ref().is_none_or(|vary| vary.selected_by(request, languages))
    }
}
