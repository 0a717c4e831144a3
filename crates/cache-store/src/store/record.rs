//! Records: objects as the disk keeps them.

use std::sync::Arc;

use bytes::Bytes;
use holm_model::ids::Seq;
use holm_model::units::Timestamp;

use crate::disk::Record;
use crate::object::{Body, Meta, Object};
use crate::scope::Scope;

impl<M: Meta> Object<M> {
    /// The object for the disk; `None` where its owner keeps such objects in memory only.
    pub(super) fn to_record(self: &Arc<Self>, key: u128) -> Option<Record> {
        // Before what a soft purge has left: see `stamp`.
        let stamp = self.stamp();
        let mut meta = Vec::with_capacity(META_CAPACITY);
        meta.extend_from_slice(&self.as_of().get().to_le_bytes());
        meta.extend_from_slice(&self.soft_since().map_or(0, |since| since.as_millis()).to_le_bytes());
        if !self.meta().encode(&mut meta) {
            return None;
        }
        let mut scope = Vec::with_capacity(SCOPE_CAPACITY);
        self.scope().encode(&mut scope);
        Some(Record { key, stamp, scope: scope.into(), meta: meta.into(), body: self.body() })
    }

    /// The object of a record; `None` where this version of its owner does not understand it. One that is to stay in memory
    /// keeps nothing of the buffer that it was read into beside a large body.
    pub(super) fn from_record(record: &Record, keeps: bool) -> Option<Arc<Self>> {
        let number = |at: usize| Some(u64::from_le_bytes(record.meta.get(at..at + 8)?.try_into().ok()?));
        let (as_of, soft) = (Seq::new(number(0)?), number(8)?);
        let soft_since = (soft != 0).then(|| Timestamp::from_millis(soft));
        let meta = M::decode(&record.meta.slice(16..))?;
        let scope = Scope::decode(&record.scope)?;
        let body = if record.body.is_empty() { Bytes::new() } else { record.body.clone() };
        let body = if keeps { Body::of(body) } else { Body::as_it_came(body) };
        Some(Arc::new(Self::restored(meta, body, scope, as_of, record.stamp, soft_since)))
    }
}

/// What most heads and scopes need.
const META_CAPACITY: usize = 512;
const SCOPE_CAPACITY: usize = 128;
