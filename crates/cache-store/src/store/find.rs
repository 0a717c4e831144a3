//! Finding: a look-up that may have to read the disk.

use std::sync::Arc;

use crate::marks::Standing;
use crate::object::{Meta, Object};
use crate::stamp::Stamp;
use crate::store::Store;

impl<M: Meta> Store<M> {
    /// The object of this key, from memory or from disk. What was read from disk a while ago already is offered a place in
    /// memory, unless something else was stored or dropped under the key meanwhile: where all is asked for as often, taking
    /// it in would cost more than reading it does. However many look for it, it is read once; nothing is
    /// found where too many wait to be read already. May be dropped at any time.
    pub async fn find(&self, key: u128) -> Option<Arc<Object<M>>> {
        if let Some(object) = self.memory.get(key) {
            return Some(object);
        }
        let disk = self.disk.as_ref()?;
        let finder = self.turns.find(key, || Some((disk.read(key)?, self.read_lately.seen(key))))?;
        let object = finder.object.clone().await;
        let turn = finder.land();
        let object = object?;
        // Whoever looks up what is purged is told so; it gets no place in memory, and loses the one on disk.
        match (turn, self.marks.standing_of(&object)) {
            (None, _) => {}
            (Some(_turn), Standing::Hard) => disk.remove(key),
            (Some(_turn), Standing::Live | Standing::Soft { .. }) if !finder.keeps => {}
            (Some(_turn), Standing::Live | Standing::Soft { .. }) => {
                let Stamp { seq, local } = object.stamp();
                self.marks.admit(seq, local, || self.memory.promote(key, &object));
            }
        }
        Some(object)
    }
}
