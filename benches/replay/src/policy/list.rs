//! A doubly linked list of objects, each at most once in it: the links stand in arrays by the object's number.

/// The list.
pub(super) struct List {
    links: Vec<Link>,
    newest: Option<u32>,
    oldest: Option<u32>,
}

#[derive(Clone, Copy, Default)]
struct Link {
    newer: Option<u32>,
    older: Option<u32>,
}

impl List {
    /// An empty list for objects below this number.
    pub(super) fn new(objects: usize) -> Self {
        Self { links: vec![Link::default(); objects], newest: None, oldest: None }
    }

    pub(super) fn oldest(&self) -> Option<u32> {
        self.oldest
    }

    pub(super) fn newer(&self, object: u32) -> Option<u32> {
        self.links[object as usize].newer
    }

    /// Puts an object that is not in it at the newest place.
    pub(super) fn push(&mut self, object: u32) {
        self.links[object as usize] = Link { newer: None, older: self.newest };
        match self.newest.replace(object) {
            Some(before) => self.links[before as usize].newer = Some(object),
            None => self.oldest = Some(object),
        }
    }

    /// Takes out an object that is in it.
    pub(super) fn remove(&mut self, object: u32) {
        let Link { newer, older } = std::mem::take(&mut self.links[object as usize]);
        match newer {
            Some(newer) => self.links[newer as usize].older = older,
            None => self.newest = older,
        }
        match older {
            Some(older) => self.links[older as usize].newer = newer,
            None => self.oldest = newer,
        }
    }
}
