//! Storing slices: the pieces of a large body, and the head that leads to them.

use std::sync::Arc;

use bytes::Bytes;
use holm_cache_policy::{NoStoreReason, may_combine, storable, strong_etag};
use holm_cache_store::{Object, Scope, Standing};
use holm_model::ids::Seq;
use holm_model::manifest::DiskAdmission;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE};
use http::{Method, StatusCode};

use crate::fields::Fields;
use crate::node::{CachedObject, path_key};
use crate::slices::{Cutter, Nonce, slice_key};
use crate::stored::{Aside, Stored, StoredResponse, StoredSliced};
use crate::storing::{Received, Storable, Storing};

/// Slices of a response whose head is stored already, or will be.
pub(crate) struct Slices {
    scope: Scope,
    as_of: Seq,
}

impl Storable {
    /// Its slices.
    pub(crate) fn slices(&self) -> Slices {
        Slices { scope: self.scope.clone(), as_of: self.as_of }
    }
}

impl Storing {
    /// Would a head made of this 206's be good for everyone, and lead to slices that can be asked for?
    pub(crate) fn leads_to_slices(&self, storable: &Storable) -> bool {
        let headers = storable.head.headers();
        // RFC 9110 §15.3.7: the answer to If-Range may leave out what the client knows already.
        let told = !self.asked.headers().contains_key(IF_RANGE) || headers.contains_key(CONTENT_TYPE);
        told && strong_etag(&headers).is_some()
    }

    /// Reads the head of a response in slices where only the disk has it: what a 206 brings may be more of the same.
    pub(crate) async fn recall_head(&mut self, storable: &Storable) {
        self.recall_under(storable.key).await;
    }

    /// A 206 has told how long the whole is: stores a head for it that leads to slices, or finds the one that is there
    /// already. Gives what its slices are kept under.
    pub(crate) fn store_sliced_part(&self, storable: &Storable, length: u64) -> Nonce {
        let mut headers = storable.head.headers();
        let known = self.known_under(storable.key);
        let known = known.filter(|known| self.node.marks.standing_of(known) == Standing::Live);
        if let Some(Stored::Sliced(known)) = known.as_deref().map(Object::meta)
            && known.length == length
            && may_combine(&known.head.headers(), &headers)
        {
            return known.nonce;
        }
        let mut head = StoredResponse::clone(&storable.head);
        head.status = StatusCode::OK;
        headers.remove(CONTENT_RANGE);
        headers.insert(CONTENT_LENGTH, length.into());
        head.fields = Fields::of(&headers);
        let nonce = Nonce::new();
        if storable.key != self.primary {
            // The URL's own key does not lead there.
            self.node.traces.leave(self.primary);
        }
        self.store_sliced(Storable { head: Arc::new(head), ..storable.clone() }, nonce, length, self.rule.disk);
        nonce
    }

    /// May what a 206 brings of a response of this scope be stored beside what is there?
    ///
    /// # Errors
    /// The first reason against it.
    pub(crate) fn accept_slices(&self, received: Received<'_>, head: &CachedObject) -> Result<Slices, NoStoreReason> {
        let Received { status, headers, times, as_of, .. } = received;
        storable(&Method::GET, self.asked.headers(), status, headers, &self.rule, times)?;
        Ok(Slices { scope: self.described(head.scope(), headers).united(head.scope()), as_of })
    }

    pub(super) fn store_in_slices(&self, storable: Storable, bytes: &Bytes) {
        let nonce = Nonce::new();
        let mut cutter = Cutter::new(0, bytes.len() as u64);
        let mut rest = bytes.clone();
        while let Some((index, slice)) = cutter.take(&mut rest) {
            self.store_slice(&storable, nonce, index, slice);
        }
        self.store_sliced(storable, nonce, bytes.len() as u64, self.rule.disk);
    }

    /// Stores one slice of a response that is here as a whole.
    pub(crate) fn store_slice(&self, storable: &Storable, nonce: Nonce, index: u64, bytes: Bytes) {
        self.store_one_of(&storable.slices(), slice_key(nonce, index), bytes);
    }

    /// Stores one slice of a response, on disk too where there is one, after waiting for room. Gives what is stored, or
    /// would be if there were room; and whether it is kept where it can be read again.
    pub(crate) async fn spill_slice(&self, slices: &Slices, key: u128, bytes: Bytes) -> (CachedObject, bool) {
        let slice = self.unstored_slice(slices, bytes);
        let spills = self.node.spills(self.rule.disk);
        let spilled = spills && self.node.patience.wait(self.node.store.spill(key, &slice)).await == Some(true);
        self.keep(key, &slice, self.rule.disk);
        let kept = if spills { spilled } else { self.node.store.contains(key) };
        (slice, kept)
    }

    /// Stores one slice of a response in memory.
    pub(crate) fn store_one_of(&self, slices: &Slices, key: u128, bytes: Bytes) -> CachedObject {
        let slice = self.unstored_slice(slices, bytes);
        self.keep(key, &slice, self.rule.disk);
        slice
    }

    /// One that nobody would find.
    pub(crate) fn unstored_slice(&self, slices: &Slices, bytes: Bytes) -> CachedObject {
        self.object(Stored::Slice, bytes, slices.scope.clone(), slices.as_of)
    }

    /// Stores a response whose slices are on disk already. It goes there too, and what leads to it: without them the slices
    /// would lie there for nothing.
    pub(crate) fn store_spilled(&self, storable: Storable, nonce: Nonce, length: u64) {
        let (store, disk) = (&self.node.store, self.rule.disk);
        let list = storable.primary.0;
        let queries = Aside::Queries.of(path_key(&self.place.key_input(&self.asked, &self.rule)));
        for key in [(storable.key.0 != list).then_some(list), (storable.primary != self.primary).then_some(queries)] {
            if let Some((key, object)) = key.and_then(|key| Some((key, store.get(key)?))) {
                store.used(key, &object, disk);
            }
        }
        self.store_sliced(storable, nonce, length, DiskAdmission::Always);
    }

    /// Stores a response whose slices are stored, or will be, under `nonce`; `length` is its body's.
    pub(crate) fn store_sliced(&self, storable: Storable, nonce: Nonce, length: u64, disk: DiskAdmission) {
        let Storable { head, scope, as_of, key, primary } = storable;
        if primary != self.primary {
            // What stood for this query alone would hide the one that stands for all equivalent ones.
            self.node.store.remove(self.primary.0);
        }
        let stored = Stored::Sliced(Arc::new(StoredSliced { head, length, nonce, key }));
        let object = self.object(stored, Bytes::new(), scope, as_of);
        self.keep(key.0, &object, disk);
    }
}
