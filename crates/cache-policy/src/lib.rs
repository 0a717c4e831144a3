//! RFC 9111 and friends as decisions over header fields. Pure: callers pass `now`.

mod cache_status;
mod conditional;
mod directives;
mod freshness;
mod headers;
mod key;
mod meta;
mod partial;
mod range;
mod storing;
mod validate;
mod vary;

pub use self::cache_status::{CacheStatus, OUTCOMES, Outcome};
pub use self::conditional::{Conditional, evaluate_conditions};
pub use self::directives::{RequestDirectives, ResponseDirectives};
pub use self::headers::{extract_tags, strip_connection_listed, strip_for_client, strip_hop_by_hop, write_age};
pub use self::key::{CacheKey, Explanation, KeyInput, KeyPart};
pub use self::meta::{FetchTimes, MissReason, StaleReason, StoredMeta, Verdict};
pub use self::partial::{ContentRange, Parts, PartsAnswer, Pieces, may_combine, strong_etag};
pub use self::range::{ByteRange, RangeSelection, select_range};
pub use self::storing::{NoStoreReason, storable};
pub use self::validate::write_validators;
pub use self::vary::{VarySpec, VaryValues};
