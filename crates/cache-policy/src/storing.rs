//! Storing: may a response be kept for others? RFC 9111 §3.

use holm_model::limits::{MAX_TAG_BYTES, MAX_TAGS, MAX_VARY_FIELDS};
use holm_model::manifest::CacheRule;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY};
use http::{Method, StatusCode};

use crate::directives::{RequestDirectives, ResponseDirectives, is_authorized};
use crate::freshness::{self, Stated, is_heuristically_cacheable, negative_ttl};
use crate::groups::cache_groups;
use crate::headers::extract_tags;
use crate::meta::{FetchTimes, StoredMeta};
use crate::methods::is_query;
use crate::partial::ContentRange;
use crate::validate::has_validator;

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStoreReason {
    /// The response to such a request is not for others (RFC 9110 §9.2.3); of a `POST`, where it does not say for how
    /// long it stands for its URL (§9.3.3).
    Method,
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
    /// Parts of a body (206) that do not say, in one `Content-Range`, which part they are.
    Partial,
    /// More tags or groups than can be kept: a purge by one of them would miss it.
    Tags,
    /// The body is larger than the store takes.
    TooLarge,
}

impl NoStoreReason {
    /// The name in `Cache-Status` and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
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
        matches!(self, Self::Method | Self::RequestNoStore | Self::Authorization)
    }
}

/// §3: may the response be stored in a shared cache? Gives what the policy needs to know of it later.
///
/// The response to a `POST` can only stand for later `GET`s: the caller has to ask
/// [`crate::TargetUri::is_named_by`] too, which tells whether it says that it does.
///
/// # Errors
/// The first reason against it.
pub fn storable(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    rule: &CacheRule,
    times: FetchTimes,
) -> Result<StoredMeta, NoStoreReason> {
    let directives = ResponseDirectives::parse(headers);
    // What the response itself says. What the route rules opens none of the doors that this keeps shut.
    let stated = freshness::stated(&directives, headers, times.received);
    refused_by_method(method, stated)?;
    refused_by_directives(request, status, &directives)?;
    refused_by_status(status, headers, &directives, stated, rule)?;
    refused_by_fields(headers, &directives, stated)?;
    let lifetime = freshness::lifetime(&directives, status, headers, rule, times.received);
    let meta = StoredMeta::new(status, &directives, headers, rule, times);
    let of_use = meta.ttl(times.received) > 0 && !directives.no_cache;
    let later = lifetime.is_some() || directives.no_cache || directives.public && is_heuristically_cacheable(status);
    if of_use || (later && has_validator(headers)) || meta.bridges(times.received) {
        return Ok(meta);
    }
    Err(NoStoreReason::NoFreshness)
}

/// §3.2: may the fields of a 304, or of the response to a HEAD, be taken into what is stored for everyone? They are held
/// against the rules by which a response is stored: what was said in answer to this request may be for its client alone.
/// `merged` are the stored fields with the `fresh` ones taken in ([`StoredMeta::freshen`]).
///
/// # Errors
/// The first reason against it.
pub fn updatable(request: &HeaderMap, fresh: &HeaderMap, merged: &HeaderMap) -> Result<(), NoStoreReason> {
    let (own, combined) = (ResponseDirectives::parse(fresh), ResponseDirectives::parse(merged));
    if RequestDirectives::parse(request).no_store {
        return Err(NoStoreReason::RequestNoStore);
    }
    // A targeted field that is stored does not speak for a response that comes without it and forbids.
    for directives in [&own, &combined] {
        if directives.no_store && !directives.must_understand {
            return Err(NoStoreReason::NoStore);
        }
        if directives.private {
            return Err(NoStoreReason::Private);
        }
    }
    if is_authorized(request) && !combined.share_authorized() {
        return Err(NoStoreReason::Authorization);
    }
    // A cookie is for everyone where the message that sets it says so, and not where an earlier one did.
    let shares_cookie = own.public || own.lifetime().is_some();
    if fresh.contains_key(SET_COOKIE) && !shares_cookie {
        return Err(NoStoreReason::SetCookie);
    }
    refused_by_selection(merged)
}

/// RFC 9110 §9.3.3: of a `POST` only with explicit freshness, that is, with that of the response.
fn refused_by_method(method: &Method, stated: Option<Stated>) -> Result<(), NoStoreReason> {
    let stored = *method == Method::GET || is_query(method) || (*method == Method::POST && stated.is_some());
    if stored { Ok(()) } else { Err(NoStoreReason::Method) }
}

fn refused_by_directives(
    request: &HeaderMap,
    status: StatusCode,
    directives: &ResponseDirectives,
) -> Result<(), NoStoreReason> {
    if RequestDirectives::parse(request).no_store {
        return Err(NoStoreReason::RequestNoStore);
    }
    // §5.2.2.3: who understands the status goes by what it requires, and not by the `no-store` for others.
    if directives.no_store && !(directives.must_understand && is_understood(status)) {
        return Err(NoStoreReason::NoStore);
    }
    if directives.private {
        return Err(NoStoreReason::Private);
    }
    if is_authorized(request) && !directives.share_authorized() {
        return Err(NoStoreReason::Authorization);
    }
    Ok(())
}

fn refused_by_status(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    stated: Option<Stated>,
    rule: &CacheRule,
) -> Result<(), NoStoreReason> {
    // §3.3 and §3.4; on any other status a Content-Range means nothing (RFC 9110 §14.4).
    if status == StatusCode::PARTIAL_CONTENT && !is_single_part(headers) {
        return Err(NoStoreReason::Partial);
    }
    if status.is_informational() || (directives.must_understand && !is_understood(status)) {
        return Err(NoStoreReason::Status);
    }
    // RFC 6585: these must not be stored, whatever they say.
    if matches!(status.as_u16(), 428 | 429 | 431 | 511) {
        return Err(NoStoreReason::Status);
    }
    // Answers to a request's own conditions and ranges: they say nothing of the same URL without those.
    if matches!(status.as_u16(), 304 | 412 | 416) {
        return Err(NoStoreReason::Status);
    }
    // §3: any final status that is explicitly fresh, or one that is cacheable by default. The route's rule for errors
    // of this status is as good as the origin's word.
    let explicit = stated.is_some() || directives.public || negative_ttl(rule, status).is_some();
    if explicit || is_heuristically_cacheable(status) { Ok(()) } else { Err(NoStoreReason::Status) }
}

fn refused_by_fields(
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    stated: Option<Stated>,
) -> Result<(), NoStoreReason> {
    if headers.contains_key(SET_COOKIE) && !directives.public && !matches!(stated, Some(Stated::Directive(_))) {
        // RFC 9111 §7.3 leaves it to the origin; a cookie for everyone is so often a mistake that we want it said.
        return Err(NoStoreReason::SetCookie);
    }
    refused_by_selection(headers)
}

/// What neither requests nor purges can select.
fn refused_by_selection(headers: &HeaderMap) -> Result<(), NoStoreReason> {
    if varies_by_anything(headers) {
        return Err(NoStoreReason::VaryStar);
    }
    let (tags, groups) = (extract_tags(headers), cache_groups(headers));
    let too_long = tags.iter().copied().chain(groups.iter().map(String::as_str)).any(|tag| tag.len() > MAX_TAG_BYTES);
    if too_long || tags.len() > MAX_TAGS || groups.len() > MAX_TAGS {
        return Err(NoStoreReason::Tags);
    }
    Ok(())
}

/// RFC 9110 §15.3.7.1: one part, and one field that says which.
fn is_single_part(headers: &HeaderMap) -> bool {
    let several = |value: &HeaderValue| {
        let start = value.as_bytes().get(..MULTIPART.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART.as_bytes()))
    };
    !headers.get(CONTENT_TYPE).is_some_and(several) && ContentRange::parse(headers).is_some()
}

/// Does `Vary` say that no request can be known to select the response (§4.1)? So do a member that names no field, and more
/// fields than are compared.
pub(crate) fn varies_by_anything(headers: &HeaderMap) -> bool {
    let members = headers.get_all(VARY).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut members = members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    let mut count = 0;
    members.any(|member| {
        count += 1;
        member.contains(&b'*') || HeaderName::from_bytes(member).is_err() || count > MAX_VARY_FIELDS
    })
}

/// Statuses whose caching requirements this cache meets (§5.2.2.3).
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 206 | 300..=303 | 307 | 308 | 404 | 405 | 410 | 414 | 451 | 500..=504
    )
}

const MULTIPART: &str = "multipart/byteranges";

#[cfg(test)]
mod tests;
