//! Gates: where an origin waits until the test says so.

use std::sync::{Arc, Condvar, Mutex};

use crate::PATIENCE;

/// A gate, closed at first. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everyone through, from now on.
    ///
    /// # Panics
    /// A thread has panicked at it.
    pub fn open(&self) {
        *self.0.0.lock().expect("unpoisoned") = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open; it opens by itself when a test has taken far too long.
    ///
    /// # Panics
    /// A thread has panicked at it.
    pub fn pass(&self) {
        let open = self.0.0.lock().expect("unpoisoned");
        drop(self.0.1.wait_timeout_while(open, PATIENCE * 4, |open| !*open).expect("unpoisoned"));
    }
}
