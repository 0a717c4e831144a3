//! Storing parts: what 206 responses brought of a body. RFC 9111 §3.3, §3.4.

use std::sync::Arc;

use bytes::Bytes;
use holm_cache_policy::{Parts, may_combine};
use holm_cache_store::Standing;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, StatusCode};

use crate::fields::Fields;
use crate::stored::{Aside, Stored, StoredParts, StoredResponse};
use crate::storing::{Storable, Storing, join};

impl Storing {
    /// Stores the part of a response that a 206 with these fields brought, beside those that are there already.
    pub(crate) fn store_part(&self, storable: Storable, fields: &HeaderMap, bytes: Bytes) {
        let Some(part) = Parts::of(self.asked.headers(), fields, bytes) else { return };
        let (place, mut storable, mut parts) = (Aside::Parts.of(storable.key), storable, part);
        if storable.key != self.primary {
            // The URL's own key does not lead there.
            self.node.traces.leave(self.primary);
        }
        // The next tier may know of purges that the others have not been held against yet.
        let applied = self.node.marks.applied();
        let known = self.node.store.get(place);
        // Nor is what was purged softly made younger, or the new part older, by being put together.
        let known = known.filter(|known| self.node.marks.standing_of(known) == Standing::Live);
        if let Some(known) = &known
            && let Stored::Parts(stored) = known.meta()
            && may_combine(&stored.head.headers(), &storable.head.headers())
            && let Some(combined) = stored.parts.with(&parts)
            && combined.held() <= self.node.max_held
        {
            parts = combined;
            storable.scope = storable.scope.united(known.scope());
            storable.as_of = storable.as_of.min(applied);
        }
        let mut head = StoredResponse::clone(&storable.head);
        let mut headers = head.headers();
        headers.remove(CONTENT_RANGE);
        // RFC 9111 §3.4: parts that make a whole are one response.
        if let Some(pieces) = parts.whole() {
            let whole = join(&pieces);
            headers.insert(CONTENT_LENGTH, whole.len().into());
            (head.status, head.fields) = (StatusCode::OK, Fields::of(&headers));
            return self.store(Storable { head: Arc::new(head), ..storable }, whole);
        }
        head.fields = Fields::of(&headers);
        let stored = Stored::Parts(Arc::new(StoredParts { head, parts }));
        self.insert(place, stored, Bytes::new(), storable.scope, storable.as_of);
    }

    /// Drops the parts of a response.
    pub(crate) fn forget_parts(&self, storable: &Storable) {
        self.node.store.remove(Aside::Parts.of(storable.key));
    }
}
