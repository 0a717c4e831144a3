//! Limits: bounds that more than one crate relies on, in one place. Every queue, header set and text has one.

use std::time::Duration;

use crate::units::ByteSize;

/// The longest request or response head (start line and header fields) that is read.
pub const MAX_HEAD_BYTES: usize = 64 << 10;

/// The most header fields in one head: as many as hyper reads without an allocation for each head.
pub const MAX_HEADERS: usize = 100;

/// The longest request target, as in nginx's largest buffer by default, doubled.
pub const MAX_URI_BYTES: usize = 16 << 10;

/// The most tags (Surrogate-Key, Cache-Tag), and cache groups, kept of one response; a response with more is not stored.
/// One that invalidates more groups (RFC 9875) invalidates all of its origin's.
pub const MAX_TAGS: usize = 64;

/// The longest tag or group.
pub const MAX_TAG_BYTES: usize = 128;

/// The most selectors in one purge request.
pub const MAX_PURGE_SELECTORS: usize = 1_000;

/// The most names in each list of a route's cache key (parameters, fields, cookies), and the most languages: each is
/// sought in every request.
pub const MAX_KEY_NAMES: usize = 32;

/// The longest of these names.
pub const MAX_KEY_NAME_BYTES: usize = 64;

/// The longest lifetime that a manifest may ask for: ten years, far below where RFC 9111 §1.2.2 lets seconds overflow.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3650 * 86_400);

/// The most sites of one cluster.
pub const MAX_SITES: usize = 10_000;

/// The least that a disk tier may have in one place: the shield's fifth of it still has room for several segments, each
/// larger than the largest record.
pub const MIN_DISK: ByteSize = ByteSize::mib(128);

/// The largest component or file of a release.
pub const MAX_BLOB: ByteSize = ByteSize::mib(512);

/// The most files of one release.
pub const MAX_FILES: usize = 20_000;

/// The largest JSON body that the control API reads.
pub const MAX_API_BODY: ByteSize = ByteSize::mib(16);

/// The largest manifest.
pub const MAX_MANIFEST: ByteSize = ByteSize::mib(1);

/// How long a request head may take to arrive.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long an idle connection is kept for the next request.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// The most requests under way on one multiplexed connection (HTTP/2, HTTP/3).
pub const MAX_STREAMS: u32 = 256;

/// How long a node waits for its own purge log to reach the position that a request names.
pub const AS_OF_WAIT: Duration = Duration::from_secs(2);

/// How long a request, or the fetch of a large body, waits for the disk tier at once; then it goes on without it: what was to
/// be read is a miss, what was to be written is not stored.
pub const DISK_WAIT: Duration = Duration::from_secs(2);

/// The longest content of a QUERY that is read to enter the cache key; a longer one goes by the cache.
pub const MAX_QUERY_CONTENT: ByteSize = ByteSize::kib(64);

/// The most fields that a response may name in `Vary`; one with more is not stored.
pub const MAX_VARY_FIELDS: usize = 32;

/// The most parameters that `No-Vary-Search` may name; one with more is as good as absent.
pub const MAX_NO_VARY_PARAMETERS: usize = 64;
