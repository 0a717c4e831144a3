//! The gate: what the parts of one connection know of each other. The guard below hyper, the service above it and the
//! driver around it run in one task (HTTP/2's requests in tasks of the same thread), so nothing here is contended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::interim::{Interim, Queue};
use crate::service::UpgradedIo;

/// The state of one connection.
#[derive(Default)]
pub(crate) struct Gate {
    /// Requests that were taken so far.
    taken: AtomicUsize,
    /// Those whose response is not yet passed on to the end.
    open: AtomicUsize,
    /// Part of a head has arrived, and is held.
    head_begun: AtomicBool,
    /// The head took too long.
    head_late: AtomicBool,
    /// The client keeps us waiting for the rest of a body.
    read_blocked: AtomicBool,
    /// The client takes nothing.
    write_blocked: AtomicBool,
    /// Reads and writes that got somewhere.
    moves: AtomicUsize,
    /// What a client who asked to leave HTTP waits for.
    upgrade: Mutex<Option<oneshot::Sender<UpgradedIo>>>,
    upgrade_granted: AtomicBool,
    /// The reader who waits until no request is under way.
    parked: AtomicWaker,
    is_parked: AtomicBool,
    /// Interim responses to the HTTP/1.1 request that is under way.
    interims: Mutex<Option<Arc<Queue>>>,
    carries_interims: AtomicBool,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The rest of the head after so many requests; or the first one, whether or not it has begun.
    Head(usize),
    /// The next request, after so many.
    Request(usize),
    /// The service, or whatever it waits for.
    Answer,
    /// The client in mid-message, after so many moves.
    Client(usize),
}

impl Gate {
    /// A request is taken.
    pub(crate) fn enter(&self) {
        self.taken.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
    }

    /// A request is done with.
    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Relaxed);
        if self.is_parked.load(Relaxed) && !self.is_answering() {
            self.is_parked.store(false, Relaxed);
            self.parked.wake();
        }
    }

    /// Wakes the reader once no request is under way: hyper, which thinks that it waits for bytes, would not ask again.
    pub(crate) fn park(&self, reader: &Waker) {
        self.parked.register(reader);
        self.is_parked.store(true, Relaxed);
    }

    /// Is a request under way?
    pub(crate) fn is_answering(&self) -> bool {
        self.open.load(Relaxed) > 0
    }

    /// Has it had a request?
    pub(crate) fn was_used(&self) -> bool {
        self.taken.load(Relaxed) > 0
    }

    pub(crate) fn waiting(&self) -> Waiting {
        let taken = self.taken.load(Relaxed);
        if self.read_blocked.load(Relaxed) || self.write_blocked.load(Relaxed) {
            Waiting::Client(self.moves.load(Relaxed))
        } else if self.is_answering() {
            Waiting::Answer
        } else if taken == 0 || self.head_begun.load(Relaxed) {
            Waiting::Head(taken)
        } else {
            Waiting::Request(taken)
        }
    }

    /// Says whether part of a head is held.
    pub(crate) fn head_begun(&self, begun: bool) {
        self.head_begun.store(begun, Relaxed);
    }

    pub(crate) fn has_begun_head(&self) -> bool {
        self.head_begun.load(Relaxed)
    }

    /// The head that has begun is not to be waited for any longer.
    pub(crate) fn head_is_late(&self) {
        self.head_late.store(true, Relaxed);
    }

    pub(crate) fn is_head_late(&self) -> bool {
        self.head_late.load(Relaxed)
    }

    /// A read is waited for; is it for the rest of a body?
    pub(crate) fn read(&self, in_body: bool) {
        self.read_blocked.store(in_body, Relaxed);
    }

    /// Something was read, if only the end.
    pub(crate) fn moved(&self) {
        self.read_blocked.store(false, Relaxed);
        // One task alone writes it: no read-modify-write.
        self.moves.store(self.moves.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// A write was tried.
    pub(crate) fn wrote(&self, blocked: bool) {
        self.write_blocked.store(blocked, Relaxed);
        if !blocked {
            self.moves.store(self.moves.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    /// A flush was tried: it says nothing of a client that has nothing to take.
    pub(crate) fn flushed(&self, blocked: bool) {
        self.write_blocked.store(blocked, Relaxed);
    }

    /// Interim responses may come from this queue; from none, once the final one is next.
    pub(crate) fn carry_interims(&self, queue: Option<&Arc<Queue>>) {
        *self.interims.lock() = queue.cloned();
        self.carries_interims.store(queue.is_some(), Relaxed);
    }

    pub(crate) fn carries_interims(&self) -> bool {
        self.carries_interims.load(Relaxed)
    }

    /// What waits to be written now; `writer` is woken when there is more.
    pub(crate) fn take_interims(&self, writer: &Waker) -> Vec<Interim> {
        self.interims.lock().as_ref().map_or_else(Vec::new, |queue| queue.take(writer))
    }

    /// Are so many requests answered to their ends?
    pub(crate) fn has_answered(&self, requests: usize) -> bool {
        self.taken.load(Relaxed) >= requests && !self.is_answering()
    }

    /// A client asks to leave HTTP: what it waits for.
    pub(crate) fn ask_upgrade(&self, sender: oneshot::Sender<UpgradedIo>) {
        *self.upgrade.lock() = Some(sender);
    }

    /// It may not. False if it never asked.
    pub(crate) fn refuse_upgrade(&self) -> bool {
        self.upgrade.lock().take().is_some()
    }

    /// It may. False if it never asked.
    pub(crate) fn grant_upgrade(&self) -> bool {
        let asked = self.upgrade.lock().is_some();
        self.upgrade_granted.store(asked, Relaxed);
        asked
    }

    pub(crate) fn is_upgrade_granted(&self) -> bool {
        self.upgrade_granted.load(Relaxed)
    }

    /// Who waits for the connection that has left HTTP.
    pub(crate) fn take_granted_upgrade(&self) -> Option<oneshot::Sender<UpgradedIo>> {
        self.is_upgrade_granted().then(|| self.upgrade.lock().take()).flatten()
    }
}
