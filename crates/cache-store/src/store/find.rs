//! Finding: a look-up that may have to read the disk.

use std::sync::Arc;

use crate::marks::Standing;
use crate::object::{Meta, Object};
use crate::stamp::Stamp;
use crate::store::Store;

impl<M: Meta> Store<M> {
    /// The object of this key, from memory or from disk. What comes from disk is offered a place in memory.
    pub async fn find(&self, key: u128) -> Option<Arc<Object<M>>> {
        if let Some(object) = self.memory.get(key) {
            return Some(object);
        }
        let disk = self.disk.as_ref()?;
        let record = disk.read(key)?.await?;
        let object = Object::from_record(&record)?;
        // Whoever looks up what is purged is told so; it gets no place in memory.
        if self.marks.standing_of(&object) == Standing::Hard {
            return Some(object);
        }
        let Stamp { seq, local } = object.stamp();
        // What came there while it was read is newer.
        let held = self.marks.admit(seq, local, || self.memory.promote(key, &object)).flatten();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, &object)) && !disk.contains(key) {
            // It was removed while it was read.
            self.memory.remove(key);
        }
        Some(held.unwrap_or(object))
    }
}
