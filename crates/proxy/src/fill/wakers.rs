//! Wakers: those who wait for a body's next bytes. A place each, so that neither coming, waiting nor leaving costs more
//! where there are many.

use std::task::Waker;

/// The readers of a body that have nothing to read yet.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    places: Vec<Place>,
    free: Vec<usize>,
    /// Places to look at when bytes come.
    waiting: Vec<usize>,
}

#[derive(Debug, Default)]
struct Place {
    waker: Option<Waker>,
    /// Is it among `waiting`?
    listed: bool,
}

impl Wakers {
    /// How many readers there are.
    pub(super) fn readers(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// A place for one more reader.
    pub(super) fn enter(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() - 1
        })
    }

    pub(super) fn leave(&mut self, place: usize) {
        self.places[place].waker = None;
        self.free.push(place);
    }

    /// The reader of this place has nothing to read.
    pub(super) fn wait(&mut self, place: usize, waker: &Waker) {
        let kept = &mut self.places[place];
        match &mut kept.waker {
            Some(kept) => kept.clone_from(waker),
            None => kept.waker = Some(waker.clone()),
        }
        if !kept.listed {
            kept.listed = true;
            self.waiting.push(place);
        }
    }

    /// Everyone who waits: to be woken once no lock is held.
    pub(super) fn take(&mut self) -> Vec<Waker> {
        let mut taken = Vec::with_capacity(self.waiting.len());
        for place in self.waiting.drain(..) {
            let place = &mut self.places[place];
            place.listed = false;
            taken.extend(place.waker.take());
        }
        taken
    }
}
