//! A fill's body while it arrives: one writer, any number of readers, bounded memory.
//!
//! It begins *whole*: every chunk is kept, for a late reader starts at byte 0 and the body will be stored. What the writer has
//! stored ([`FillWriter::stored`]) may be dropped: whoever is before it reads it from the store and catches up, so that the
//! slowest reader holds nothing back. A body that can't be stored is passed on ([`FillWriter::slide`]): chunks that every
//! reader has passed are dropped, no new readers begin, and the slowest holds the writer (hence the origin) back.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use holm_transport::body::BodyError;
use http::HeaderMap;
use http_body::Frame;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::budget::{Charge, FillBudget};
use super::reader::FillReader;
use super::wakers::Wakers;
use super::window::{Next, Passed, Window};
use crate::storing::join;

/// Gives the stored bytes at this place of the body: some at least, or `None` if they are gone.
pub(crate) type ReadStored = Arc<dyn Fn(u64) -> BoxFuture<'static, Option<Bytes>> + Send + Sync>;

/// The writing end. Dropping it without [`FillWriter::finish`] ends every reader with an error: never with a clean end.
#[derive(Debug)]
pub(crate) struct FillWriter(Arc<Shared>);

/// Where readers begin; kept by the fill. Once it is gone, nobody else comes.
#[derive(Debug)]
pub(crate) struct FillSource(Arc<Shared>);

/// Why a chunk could not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushError {
    /// A sliding buffer has no reader left: nobody wants the rest.
    Abandoned,
    /// The buffer would go past the budget, and what it holds can't go: slide, then push again.
    NoBudget,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pushed {
    /// It is there.
    Whole,
    /// It is there, in a window.
    Sliding,
    /// There is no room now.
    Later,
}

/// Makes the two ends of a buffer; `length` is the body's declared length.
pub(crate) fn fill_buffer(budget: &Arc<FillBudget>, length: Option<u64>) -> (FillWriter, FillSource) {
    let state = State {
        window: Window::default(),
        wakers: Wakers::default(),
        charge: Charge::new(budget),
        stored: 0,
        read_stored: None,
        sliding: false,
        joinable: true,
        end: None,
    };
    let shared = Shared { state: Mutex::new(state), room: Notify::new(), sliding: AtomicBool::new(false), length };
    let shared = Arc::new(shared);
    (FillWriter(Arc::clone(&shared)), FillSource(shared))
}

impl FillWriter {
    /// Bytes pushed so far.
    pub(crate) fn total(&self) -> u64 {
        self.0.state.lock().window.total()
    }

    /// Adds a chunk, as soon as the budget has room for it. A sliding buffer then waits until its slowest reader is within the
    /// window.
    pub(crate) async fn push(&self, chunk: Bytes) -> Result<(), PushError> {
        if chunk.is_empty() {
            return Ok(());
        }
        let mut pushed = self.try_push(&chunk)?;
        if pushed == Pushed::Later {
            let later = self.push_later(&chunk);
            pushed = match self.0.sliding.load(Ordering::Relaxed) {
                // Its readers read on, or leave.
                true => later.await?,
                false => timeout(ROOM_WAIT, later).await.unwrap_or(Err(PushError::NoBudget))?,
            };
        }
        if pushed == Pushed::Sliding { self.wait_for_room().await } else { Ok(()) }
    }

    /// Adds a chunk when others give back, or its own readers move.
    async fn push_later(&self, chunk: &Bytes) -> Result<Pushed, PushError> {
        let budget = Arc::clone(self.0.state.lock().charge.budget());
        let _waiting = budget.waiting();
        loop {
            let (mut freed, mut moved) = (pin!(budget.freed()), pin!(self.0.room.notified()));
            freed.as_mut().enable();
            moved.as_mut().enable();
            match self.try_push(chunk)? {
                Pushed::Later => {}
                pushed => return Ok(pushed),
            }
            tokio::select! {
                () = freed => {}
                () = moved => {}
            }
        }
    }

    fn try_push(&self, chunk: &Bytes) -> Result<Pushed, PushError> {
        let mut state = self.0.state.lock();
        if !state.take_room(Window::cost(chunk.len())) {
            return match (state.sliding, state.read_stored.is_some()) {
                (true, _) if state.wakers.readers() == 0 => Err(PushError::Abandoned),
                (true, _) | (_, true) => Ok(Pushed::Later),
                _ => Err(PushError::NoBudget),
            };
        }
        state.window.push(chunk.clone());
        let (sliding, waiting) = (state.sliding, state.wakers.take());
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        Ok(if sliding { Pushed::Sliding } else { Pushed::Whole })
    }

    /// The bytes between two places, which are where pushed chunks begin or end. They are one piece from then on, here too.
    pub(crate) fn joined(&self, from: u64, to: u64) -> Bytes {
        let chunks = self.0.state.lock().window.chunks(from, to);
        // Nobody but the writer changes what is held between them: joining needs no lock.
        let joined = join(&chunks);
        if chunks.len() > 1 {
            let mut state = self.0.state.lock();
            state.window.replace(from, joined.clone());
            state.settle();
        }
        joined
    }

    /// From now on, what is stored may be dropped here; readers that are behind get it by `read`.
    pub(crate) fn spill(&self, read: ReadStored) {
        self.0.state.lock().read_stored = Some(read);
    }

    /// All bytes before `end` have been stored.
    pub(crate) fn stored(&self, end: u64) {
        let mut state = self.0.state.lock();
        state.stored = end;
        state.trim();
    }

    /// Turns the buffer into a window (see the module's text). Readers that have begun keep their place; no new ones start.
    pub(crate) fn slide(&self) {
        let mut state = self.0.state.lock();
        state.sliding = true;
        self.0.sliding.store(true, Ordering::Relaxed);
        state.trim();
    }

    /// The body is complete: readers end cleanly after the last chunk.
    pub(crate) fn finish(self, trailers: Option<HeaderMap>) {
        self.0.close(End::Complete(trailers));
    }

    /// The body broke off: readers get `error` after the last chunk that came.
    pub(crate) fn fail(self, error: BodyError) {
        self.0.close(End::Broken(error));
    }

    async fn wait_for_room(&self) -> Result<(), PushError> {
        loop {
            let room = self.0.room.notified();
            {
                let mut state = self.0.state.lock();
                state.trim();
                if state.wakers.readers() == 0 {
                    return Err(PushError::Abandoned);
                }
                if state.window.held() <= WINDOW_BYTES {
                    return Ok(());
                }
            }
            room.await;
        }
    }
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        self.0.close(End::Broken(BodyError::incomplete_upstream()));
    }
}

impl FillSource {
    /// A reader from byte 0; `None` once the first bytes are gone, or the body has broken off: whoever has not begun had
    /// better ask again.
    pub(crate) fn reader(&self) -> Option<FillReader> {
        let mut state = self.0.state.lock();
        let reachable = state.window.first() == 0 || (state.read_stored.is_some() && state.stored > 0);
        if !reachable || state.sliding || matches!(state.end, Some(End::Broken(_))) {
            return None;
        }
        state.window.enter(0);
        let place = state.wakers.enter();
        Some(FillReader::new(Arc::clone(&self.0), place))
    }
}

impl Drop for FillSource {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.joinable = false;
        state.trim();
    }
}

/// What the ends of a buffer share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// A reader moved or left; only a sliding writer listens.
    room: Notify,
    sliding: AtomicBool,
    pub(super) length: Option<u64>,
}

/// What a reader is given.
pub(super) enum Taken {
    /// The next frame, the end, or the wait for either.
    Here(Poll<Option<Result<Frame<Bytes>, BodyError>>>),
    /// The bytes at the reader's place are in the store alone.
    Stored(BoxFuture<'static, Option<Bytes>>),
}

impl Shared {
    /// What is there for the reader that stands at `at`; it is then after what it is given.
    pub(super) fn take(&self, at: u64, place: usize, told_end: bool, waker: &Waker) -> Taken {
        let mut state = self.state.lock();
        match state.window.next(at) {
            Next::Bytes(bytes) => {
                state.trim();
                drop(state);
                self.moved();
                Taken::Here(Poll::Ready(Some(Ok(Frame::data(bytes)))))
            }
            Next::Behind => match &state.read_stored {
                Some(read) => {
                    let read = Arc::clone(read);
                    drop(state);
                    Taken::Stored(read(at))
                }
                None => Taken::Here(Poll::Ready(Some(Err(BodyError::incomplete_upstream())))),
            },
            Next::Nothing => Taken::Here(match &state.end {
                None => {
                    state.wakers.wait(place, waker);
                    Poll::Pending
                }
                Some(End::Broken(error)) => Poll::Ready(Some(Err(error.clone()))),
                Some(End::Complete(Some(trailers))) if !told_end => {
                    Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))))
                }
                Some(End::Complete(_)) => Poll::Ready(None),
            }),
        }
    }

    /// A reader has read on by another way.
    pub(super) fn pass(&self, from: u64, to: u64) {
        let mut state = self.state.lock();
        state.window.leave(from);
        state.window.enter(to);
        state.trim();
        drop(state);
        self.moved();
    }

    pub(super) fn leave(&self, at: u64, place: usize) {
        let mut state = self.state.lock();
        state.window.leave(at);
        state.wakers.leave(place);
        state.trim();
        drop(state);
        self.moved();
    }

    fn moved(&self) {
        if self.sliding.load(Ordering::Relaxed) {
            self.room.notify_one();
        }
    }

    fn close(&self, end: End) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.end = Some(end);
            state.trim();
            let waiting = state.wakers.take();
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

struct State {
    window: Window,
    wakers: Wakers,
    charge: Charge,
    /// All bytes before are in the store.
    stored: u64,
    read_stored: Option<ReadStored>,
    sliding: bool,
    /// May readers still come?
    joinable: bool,
    end: Option<End>,
}

#[derive(Debug)]
enum End {
    Complete(Option<HeaderMap>),
    Broken(BodyError),
}

impl State {
    /// Takes so much from the budget, after what can be had again has gone. Whoever holds nothing then takes it in any case:
    /// the chunk is in memory already, and so everyone gets on.
    fn take_room(&mut self, bytes: u64) -> bool {
        if self.charge.add(bytes) {
            return true;
        }
        self.drop_stored(0);
        self.trim();
        let bounded = self.sliding || self.read_stored.is_some();
        if bounded && self.window.held() == 0 {
            self.charge.overdraw(bytes);
            return true;
        }
        bounded && self.charge.add(bytes)
    }

    /// Drops what nobody needs here.
    fn trim(&mut self) {
        self.drop_stored(RECENT_BYTES);
        // Before its end the writer still needs what is not stored.
        if self.sliding || (self.end.is_some() && !self.joinable) {
            self.window.drop_while(|_, passed| passed == Passed::ByAll);
        }
        self.settle();
    }

    /// Drops what can be read from the store, but for the latest bytes that readers are still at.
    fn drop_stored(&mut self, recent: u64) {
        if self.read_stored.is_some() {
            let (stored, total) = (self.stored, self.window.total());
            let old = |end: u64, passed| passed != Passed::No || end.saturating_add(recent) <= total;
            self.window.drop_while(|end, passed| end <= stored && old(end, passed));
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.charge.shrink_to(self.window.held());
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { window, stored, sliding, end, .. } = self;
        f.debug_struct("State")
            .field("total", &window.total())
            .field("held", &window.held())
            .field("stored", stored)
            .field("sliding", sliding)
            .field("end", end)
            .finish_non_exhaustive()
    }
}

/// How much a sliding buffer holds for its slowest reader before the writer waits, in bytes.
pub(crate) const WINDOW_BYTES: u64 = 1024 * 1024;

/// How long a chunk waits for room in the budget where the slice that it is of has to be held as a whole.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// How many of the latest bytes stay at hand for readers that are a little behind, in bytes, though they are stored.
const RECENT_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
