//! RFC 9111 and friends as decisions over header fields. Pure: callers pass `now`.

mod cache_status;
mod codec;
mod conditional;
mod date;
mod directives;
mod freshness;
mod groups;
mod headers;
mod invalidation;
mod key;
mod language;
mod members;
mod meta;
mod methods;
mod no_vary_search;
mod partial;
mod range;
mod storing;
mod surrogate;
mod target;
mod targeted;
#[cfg(test)]
mod testing;
mod validate;
mod vary;

pub use self::cache_status::{CacheStatus, OUTCOMES, Outcome};
pub use self::conditional::{Conditional, evaluate_conditions, precondition_fails};
pub use self::directives::{RequestDirectives, ResponseDirectives};
pub use self::groups::{InvalidatedGroups, cache_groups, invalidated_groups};
pub use self::headers::{extract_tags, strip_connection_listed, strip_for_client, strip_hop_by_hop, write_age};
pub use self::invalidation::{invalidated_beside, invalidates};
pub use self::key::{CacheKey, Explanation, KeyInput, KeyPart, content_digest};
pub use self::language::{preferred_language, states_languages};
pub use self::meta::{FetchTimes, MissReason, StaleReason, StoredMeta, Verdict};
pub use self::methods::{is_cacheable, is_query, is_safe};
pub use self::no_vary_search::NoVarySearch;
pub use self::partial::{ContentRange, Parts, PartsAnswer, Pieces, may_combine, strong_etag};
pub use self::range::{ByteRange, RangeSelection, select_range};
pub use self::storing::{NoStoreReason, storable, updatable};
pub use self::surrogate::write_surrogate_capability;
pub use self::target::{Named, TargetUri};
pub use self::validate::{HeadUpdate, head_update, write_validators};
pub use self::vary::{Selected, VarySpec, VaryValues};
