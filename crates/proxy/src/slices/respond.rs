//! Responding from a sliced response: what is here is sent, what is missing is fetched.

use std::sync::Arc;

use holm_cache_policy::{ByteRange, CacheKey, Outcome, RequestDirectives, StaleReason, Verdict};
use holm_cache_store::Object;
use holm_model::ids::Seq;
use holm_model::units::Timestamp;
use holm_transport::body::Body;
use http::{Method, Request};

use super::body::{Located, Sliced};
use super::fetch::Asking;
use super::key::{slice_key, slice_of};
use super::table::SliceError;
use crate::answer::{self, Source};
use crate::fill::{Basis, StaleObject};
use crate::lookup::Found;
use crate::node::{CachedObject, Node, Reply, Target};
use crate::report::Report;
use crate::respond::stale_report;
use crate::stored::{Stored, StoredHead, StoredSliced};

/// What is here of the bytes that an answer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    All,
    Some,
    None,
}

/// A sliced response that was found.
pub(crate) struct FoundSliced<'a> {
    pub(crate) key: CacheKey,
    pub(crate) object: &'a CachedObject,
    pub(crate) head: &'a StoredHead,
    pub(crate) sliced: &'a Arc<StoredSliced>,
    pub(crate) verdict: Verdict,
}

impl Node {
    /// Where the bytes of a stored response come from.
    pub(crate) fn source_of(self: &Arc<Self>, object: &CachedObject, asking: impl FnOnce() -> Asking) -> Source {
        match object.meta() {
            Stored::Sliced(sliced) => {
                Source::Sliced(Box::new(Sliced::new(Located::new(self, (object, sliced), asking()))))
            }
            _ => Source::Whole(object.body()),
        }
    }

    /// Is all of a stored response here that the answer to this request needs?
    pub(crate) fn holds(&self, request: &Request<Body>, object: &CachedObject) -> bool {
        match object.meta() {
            Stored::Sliced(sliced) => {
                self.presence(sliced, &answer::needed(request, &sliced.head, sliced.length)) == Presence::All
            }
            _ => true,
        }
    }

    /// Could what is missing of a stored response be asked for, or is nothing missing?
    pub(crate) fn can_complete(&self, object: &CachedObject) -> bool {
        match object.meta() {
            Stored::Sliced(sliced) => {
                let whole = ByteRange { first: 0, last: sliced.length.saturating_sub(1) };
                sliced.head.strong_etag().is_some() || self.presence(sliced, &[whole]) == Presence::All
            }
            _ => true,
        }
    }

    /// Is a stored response here with all of its body?
    pub(crate) fn is_whole(&self, object: &CachedObject) -> bool {
        match object.meta() {
            Stored::Response(_) => true,
            Stored::Sliced(sliced) => {
                let whole = ByteRange { first: 0, last: sliced.length.saturating_sub(1) };
                self.presence(sliced, &[whole]) == Presence::All
            }
            _ => false,
        }
    }

    /// Drops the head of a representation that the origin has no longer.
    pub(super) fn forget_sliced(&self, sliced: &StoredSliced) {
        let key = sliced.key.0;
        match self.store.get(key).as_deref().map(Object::meta) {
            Some(Stored::Sliced(known)) if known.nonce == sliced.nonce => self.store.remove(key),
            // Something newer is there.
            Some(_) => {}
            // Memory has lost it: what the disk has is hardly newer.
            None => self.store.remove(key),
        }
    }

    /// Answers a request from a sliced response, by the verdict on its head.
    pub(crate) async fn respond_sliced(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: Request<Body>,
        found: FoundSliced<'_>,
        directives: &RequestDirectives,
        (applied, now): (Seq, Timestamp),
    ) -> Reply {
        let FoundSliced { key, object, head, sliced, verdict } = found;
        let reason = match verdict {
            Verdict::Serve => {
                return self.serve_sliced(target, request, (key, object, sliced), directives, (applied, now)).await;
            }
            Verdict::ServeStale(reason) if self.holds(&request, object) => {
                self.revalidate_behind(target, &request, key, (object, head.clone()));
                return self.stale(target, &request, object, head, reason, now);
            }
            Verdict::ServeStale(reason) | Verdict::Revalidate(reason) => reason,
        };
        if directives.only_if_cached() {
            return self.not_cached(reason.as_str());
        }
        self.confirm_sliced(target, request, (key, (Arc::clone(object), head.clone())), reason).await
    }

    /// The answer where the response has to be confirmed, or replaced.
    async fn confirm_sliced(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: Request<Body>,
        (key, stale): (CacheKey, StaleObject),
        reason: StaleReason,
    ) -> Reply {
        let report = stale_report(reason);
        if *request.method() == Method::HEAD {
            return Box::pin(self.revalidate_head(target, request, key, stale, report)).await;
        }
        let basis = if self.can_complete(&stale.0) { Basis::Stale(stale) } else { Basis::Nothing };
        Box::pin(self.fill(target, request, key, basis, report)).await
    }

    /// The answer while the response is fresh.
    async fn serve_sliced(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: Request<Body>,
        (key, object, sliced): (CacheKey, &CachedObject, &Arc<StoredSliced>),
        directives: &RequestDirectives,
        (applied, now): (Seq, Timestamp),
    ) -> Reply {
        let head = &sliced.head;
        let needed = answer::needed(&request, head, sliced.length);
        if let Some(held) = self.held(sliced, &needed, target.admission()) {
            let response = answer::from_stored(&request, head, Source::Held(held), now);
            return Reply::from_cache(response, Report::hit(&head.meta, now), applied);
        }
        let presence = self.presence(sliced, &needed);
        if presence == Presence::All {
            let source = self.source_of(object, || Asking::of(self, target, &request));
            let response = answer::from_stored(&request, head, source, now);
            return Reply::from_cache(response, Report::hit(&head.meta, now), applied);
        }
        if let Some(Found::Parts { stored, soft_since, .. }) = self.parts_of(key)
            && stored.head.meta.verdict(directives, now, soft_since) == Verdict::Serve
            && let Some(reply) = self.hit_parts(&request, &stored, applied, now)
        {
            return reply;
        }
        let report = Report::forward(Outcome::Partial, "incomplete");
        let located = Located::new(self, (object, sliced), Asking::of(self, target, &request));
        let whole = needed.iter().map(|range| range.len()).sum::<u64>() == sliced.length;
        let anew = !located.is_extensible() || presence == Presence::None && whole;
        if anew || directives.only_if_cached() || directives.no_store() {
            return Box::pin(self.miss(target, request, key, Basis::Nothing, directives, report)).await;
        }
        let mut source = Sliced::new(located);
        let begun = match needed.first() {
            Some(first) => source.begin(*first).await,
            // What needs nothing lacks nothing.
            None => Ok(()),
        };
        let begun = begun.map(|()| {
            let response = answer::from_stored(&request, head, Source::Sliced(Box::new(source)), now);
            Reply::from_cache(response, report.clone().stored(&head.meta), applied)
        });
        match begun {
            Ok(reply) => reply,
            Err(error) => self.answer_missing(target, request, (key, error), directives, (report, applied)).await,
        }
    }

    /// The answer where the first slice that it needs did not come.
    async fn answer_missing(
        self: &Arc<Self>,
        target: &Target<'_>,
        request: Request<Body>,
        (key, error): (CacheKey, SliceError),
        directives: &RequestDirectives,
        (report, applied): (Report, Seq),
    ) -> Reply {
        match error {
            SliceError::Failed(error) => self.failed(&error, report, applied),
            SliceError::Unshared(reason) => {
                Box::pin(self.pass(target, request, report.with_cause(reason.as_str()))).await
            }
            SliceError::Changed | SliceError::Lost | SliceError::Abandoned => {
                Box::pin(self.miss(target, request, key, Basis::Nothing, directives, report)).await
            }
        }
    }

    fn presence(&self, sliced: &StoredSliced, needed: &[ByteRange]) -> Presence {
        let indexes = needed.iter().flat_map(|range| slice_of(range.first)..=slice_of(range.last));
        let (mut some, mut all) = (false, true);
        let slices = needed.iter().map(|range| slice_of(range.last) - slice_of(range.first) + 1).sum::<u64>();
        let guessed = slices > LOOKED_FOR as u64 && sliced.head.strong_etag().is_some();
        for index in indexes.take(if guessed { LOOKED_FOR } else { MAX_LOOKED_FOR }) {
            let here = self.store.contains(slice_key(sliced.nonce, index));
            (some, all) = (some || here, all && here);
            if some && !all {
                return Presence::Some;
            }
        }
        if all { Presence::All } else { Presence::None }
    }
}

/// The slices that an answer needs are looked for before it begins, to say what it will be; of long ones not all, where what
/// is missing after all can be asked for.
const LOOKED_FOR: usize = 256;

/// The same where it can't be asked for.
const MAX_LOOKED_FOR: usize = 4096;
