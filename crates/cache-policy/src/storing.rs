//! Storing: may a response be kept for others? RFC 9111 §3.

use holm_model::limits::{MAX_TAG_BYTES, MAX_TAGS};
use holm_model::manifest::CacheRule;
use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderMap, SET_COOKIE, VARY};

use crate::directives::{RequestDirectives, ResponseDirectives, is_authorized};
use crate::freshness::{self, Source, is_heuristically_cacheable};
use crate::headers::extract_tags;
use crate::meta::{FetchTimes, StoredMeta};
use crate::validate::has_validator;

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStoreReason {
    /// The request says `no-store`.
    RequestNoStore,
    /// The request bears credentials and the response does not say that it may be shared (§3.5).
    Authorization,
    /// The response says `no-store`.
    NoStore,
    /// The response says `private`.
    Private,
    /// Neither a lifetime nor anything to derive one from, or one that is over with nothing to confirm it by.
    NoFreshness,
    /// A status that this version does not store, or does not understand under `must-understand`.
    Status,
    /// `Vary: *`: no request selects it again.
    VaryStar,
    /// It varies by a field that this tier writes anew for each client: what the client sent in it selects nothing.
    VaryClient,
    /// It sets a cookie, and nothing says that everyone may have that.
    SetCookie,
    /// A part of a body (206).
    Partial,
    /// More tags than can be kept: a purge by one of them would miss it.
    Tags,
    /// The body is larger than the store takes.
    TooLarge,
}

impl NoStoreReason {
    /// The name in `Cache-Status` and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestNoStore => "request-no-store",
            Self::Authorization => "authorization",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NoFreshness => "no-freshness",
            Self::Status => "status",
            Self::VaryStar => "vary-star",
            Self::VaryClient => "vary-client",
            Self::SetCookie => "set-cookie",
            Self::Partial => "partial",
            Self::Tags => "too-many-tags",
            Self::TooLarge => "too-large",
        }
    }

    /// Is it this request's doing, so that the next one's response may well be stored?
    #[must_use]
    pub const fn is_of_request(self) -> bool {
        matches!(self, Self::RequestNoStore | Self::Authorization)
    }
}

/// §3: may the response to a GET be stored in a shared cache? Gives what the policy needs to know of it later.
///
/// # Errors
/// The first reason against it.
pub fn storable(
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    rule: &CacheRule,
    times: FetchTimes,
) -> Result<StoredMeta, NoStoreReason> {
    let directives = ResponseDirectives::parse(headers);
    refused_by_directives(request, &directives)?;
    refused_by_status(status, headers, &directives)?;
    let lifetime = freshness::lifetime(&directives, status, headers, rule, times.received);
    if headers.contains_key(SET_COOKIE) && !directives.public && !matches!(lifetime, Some((_, Source::Directive))) {
        // RFC 9111 §7.3 leaves it to the origin; a cookie for everyone is so often a mistake that we want it said.
        return Err(NoStoreReason::SetCookie);
    }
    if headers.get_all(VARY).iter().any(|value| value.as_bytes().contains(&b'*')) {
        return Err(NoStoreReason::VaryStar);
    }
    let tags = extract_tags(headers);
    if tags.len() > MAX_TAGS || tags.iter().any(|tag| tag.len() > MAX_TAG_BYTES) {
        return Err(NoStoreReason::Tags);
    }
    let meta = StoredMeta::new(status, &directives, headers, rule, times);
    let of_use = meta.ttl(times.received) > 0 && !directives.no_cache;
    let later = lifetime.is_some() || directives.no_cache || directives.public && is_heuristically_cacheable(status);
    if of_use || (later && has_validator(headers)) || meta.bridges(times.received) {
        return Ok(meta);
    }
    Err(NoStoreReason::NoFreshness)
}

fn refused_by_directives(request: &HeaderMap, directives: &ResponseDirectives) -> Result<(), NoStoreReason> {
    if RequestDirectives::parse(request).no_store {
        return Err(NoStoreReason::RequestNoStore);
    }
    if directives.no_store && !directives.must_understand {
        return Err(NoStoreReason::NoStore);
    }
    if directives.private {
        return Err(NoStoreReason::Private);
    }
    // §3.5: only what says in as many words that it may be shared.
    let shared = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    if is_authorized(request) && !shared {
        return Err(NoStoreReason::Authorization);
    }
    Ok(())
}

fn refused_by_status(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
) -> Result<(), NoStoreReason> {
    if status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE) {
        return Err(NoStoreReason::Partial);
    }
    let final_status = !status.is_informational() && status != StatusCode::NOT_MODIFIED;
    let understood = is_understood(status);
    if !final_status || (directives.must_understand && !understood) {
        return Err(NoStoreReason::Status);
    }
    // §3: any final status that is explicitly fresh, or one that is cacheable by default.
    let explicit = directives.lifetime().is_some() || directives.public || headers.contains_key(http::header::EXPIRES);
    if explicit || is_heuristically_cacheable(status) { Ok(()) } else { Err(NoStoreReason::Status) }
}

/// Statuses whose caching requirements this cache meets (§5.2.2.3).
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 302 | 303 | 307 | 308 | 404 | 405 | 410 | 414 | 451 | 500 | 501 | 502 | 503 | 504
    )
}

#[cfg(test)]
mod tests {
    use holm_model::units::Timestamp;

    use super::*;

    fn check(
        request: &[(&'static str, &str)],
        status: u16,
        response: &[(&'static str, &str)],
        expected: Result<i64, NoStoreReason>,
    ) {
        let map = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            headers
        };
        let at = Timestamp::from_secs(1_000_000);
        let times = FetchTimes { requested: at, received: at };
        let status = StatusCode::from_u16(status).unwrap();
        let stored = storable(&map(request), status, &map(response), &CacheRule::default(), times);
        assert_eq!(stored.map(|meta| meta.ttl(at)), expected, "{request:?} → {status} {response:?}");
    }

    const CC: &str = "cache-control";

    #[test]
    fn what_is_stored() {
        check(&[], 200, &[(CC, "max-age=60")], Ok(60));
        check(&[], 200, &[(CC, "max-age=60, s-maxage=10")], Ok(10));
        check(&[], 200, &[(CC, "max-age=0"), ("etag", "\"a\"")], Ok(0));
        check(&[], 200, &[(CC, "no-cache"), ("etag", "\"a\"")], Ok(0));
        check(&[], 200, &[(CC, "max-age=0, stale-while-revalidate=5")], Ok(0));
        check(&[], 200, &[(CC, "max-age=0, stale-if-error=5")], Ok(0));
        check(&[], 404, &[(CC, "max-age=5")], Ok(5));
        check(&[], 500, &[(CC, "max-age=5")], Ok(5));
        check(&[], 302, &[(CC, "max-age=5")], Ok(5));
        check(&[("authorization", "x")], 200, &[(CC, "public, max-age=5")], Ok(5));
        check(&[("authorization", "x")], 200, &[(CC, "s-maxage=5")], Ok(5));
        check(&[("authorization", "x")], 200, &[(CC, "must-revalidate, max-age=5")], Ok(5));
        check(&[], 200, &[(CC, "max-age=5"), ("set-cookie", "a=b")], Ok(5));
        check(&[], 200, &[(CC, "no-store, must-understand, max-age=5")], Ok(5));
    }

    #[test]
    fn what_is_not() {
        use NoStoreReason::{
            Authorization, NoFreshness, NoStore, Partial, Private, RequestNoStore, SetCookie, Status, VaryStar,
        };
        check(&[], 200, &[], Err(NoFreshness));
        check(&[], 200, &[("etag", "\"a\"")], Err(NoFreshness));
        check(&[], 200, &[(CC, "max-age=0")], Err(NoFreshness));
        check(&[], 200, &[(CC, "no-store, max-age=60")], Err(NoStore));
        check(&[], 200, &[(CC, "private, max-age=60")], Err(Private));
        check(&[], 200, &[(CC, "private=\"set-cookie\", max-age=60")], Err(Private));
        check(&[(CC, "no-store")], 200, &[(CC, "max-age=60")], Err(RequestNoStore));
        check(&[("authorization", "x")], 200, &[(CC, "max-age=60")], Err(Authorization));
        check(&[], 200, &[(CC, "max-age=60"), ("vary", "accept, *")], Err(VaryStar));
        check(&[], 206, &[(CC, "max-age=60"), ("content-range", "bytes 0-1/2")], Err(Partial));
        check(&[], 302, &[], Err(Status));
        check(&[], 500, &[], Err(Status));
        check(&[], 299, &[(CC, "max-age=60, must-understand")], Err(Status));
        check(&[], 200, &[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"), ("set-cookie", "a=b")], Err(SetCookie));
    }
}
