//! Finding: a look-up that may have to read the disk.

use std::sync::Arc;

use crate::object::{Meta, Object};
use crate::store::Store;

impl<M: Meta> Store<M> {
    /// The object of this key, from memory or from disk. What comes from disk is offered a place in memory.
    pub async fn find(&self, key: u128) -> Option<Arc<Object<M>>> {
        if let Some(object) = self.memory.get(key) {
            return Some(object);
        }
        let disk = self.disk.as_ref()?;
        // Before the read: what is cleared from then on is not given.
        let epoch = self.marks.epoch();
        let record = disk.read(key)?.await?;
        let object = Object::from_record(&record)?;
        self.marks.in_epoch(epoch, || self.memory.promote(key, &object))?;
        Some(object)
    }
}
