//! Faults: what of a node is broken while it serves on. Logged as they come, and told to the control plane.

use std::sync::Arc;

use tokio::sync::watch;

/// A node's faults. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Faults(Arc<watch::Sender<Vec<String>>>);

impl Faults {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    /// Something broke: what, why, and what to do. Told once, however often it is reported.
    pub(crate) fn report(&self, fault: String) {
        self.0.send_if_modified(|faults| {
            if faults.len() >= MAX_FAULTS || faults.contains(&fault) {
                return false;
            }
            tracing::error!("{fault}");
            faults.push(fault);
            true
        });
    }

    /// All so far, and word of more.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Vec<String>> {
        self.0.subscribe()
    }
}

/// A node has far fewer parts that can break.
const MAX_FAULTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once() {
        let faults = Faults::new();
        let told = faults.subscribe();
        for fault in ["a", "b", "a"] {
            faults.report(fault.to_owned());
        }
        assert_eq!(*told.borrow(), ["a", "b"]);
        (0..2 * MAX_FAULTS).for_each(|number| faults.report(number.to_string()));
        assert_eq!(told.borrow().len(), MAX_FAULTS);
    }
}
