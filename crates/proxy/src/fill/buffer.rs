//! A fill's body while it arrives: one writer, any number of readers, bounded memory.
//!
//! A *whole* buffer keeps every chunk, because the object will be stored and a late reader starts at byte 0. When the body
//! turns out too large to store, the writer calls [`FillWriter::slide`]: from there on the buffer is a window, chunks that every
//! reader has passed are dropped, and the slowest reader holds the writer (hence the origin) back.

use std::collections::{HashMap, VecDeque};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;

use holm_transport::body::BodyError;

/// How much a sliding buffer holds for its slowest reader before the writer waits, in bytes.
pub(crate) const WINDOW_BYTES: u64 = 1024 * 1024;

/// What all fills of a node may hold at once, in bytes; shared by their buffers.
#[derive(Debug)]
pub(crate) struct FillBudget {
    limit: u64,
    used: AtomicU64,
    /// Something was given back.
    room: Notify,
}

impl FillBudget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), room: Notify::new() })
    }

    /// Takes `bytes` from the budget; `false` (and nothing taken) where they do not fit.
    fn charge(&self, bytes: u64) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.limit;
        if !fits {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn refund(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.room.notify_waiters();
    }
}

/// What one holder takes of the budget; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<FillBudget>,
    held: u64,
}

impl Charge {
    pub(crate) fn new(budget: &Arc<FillBudget>) -> Self {
        Self { budget: Arc::clone(budget), held: 0 }
    }

    /// Bytes taken.
    pub(crate) const fn held(&self) -> u64 {
        self.held
    }

    /// Takes more; `false` (and nothing taken) where they do not fit.
    pub(crate) fn add(&mut self, bytes: u64) -> bool {
        let fits = self.budget.charge(bytes);
        if fits {
            self.held += bytes;
        }
        fits
    }

    /// Takes more as soon as it fits; `false` where it does not in time.
    pub(crate) async fn wait(&mut self, bytes: u64, limit: Duration) -> bool {
        let budget = Arc::clone(&self.budget);
        let fits = async {
            loop {
                let mut room = pin!(budget.room.notified());
                room.as_mut().enable();
                if self.add(bytes) {
                    return;
                }
                room.await;
            }
        };
        tokio::time::timeout(limit, fits).await.is_ok()
    }

    /// Takes more for what could wait: only while half of the budget is free.
    pub(crate) fn add_ahead(&mut self, bytes: u64) -> bool {
        self.budget.used.load(Ordering::Relaxed) + bytes <= self.budget.limit / 2 && self.add(bytes)
    }

    /// Gives back.
    fn give_back(&mut self, bytes: u64) {
        self.held -= bytes;
        self.budget.refund(bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.refund(self.held);
    }
}

/// The writing end. Dropping it without [`FillWriter::finish`] ends every reader with an error: never with a clean end.
#[derive(Debug)]
pub(crate) struct FillWriter(Arc<Shared>);

/// A place from which readers start; kept by the fill, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FillSource(Arc<Shared>);

/// Why a chunk could not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushError {
    /// A sliding buffer has no reader left: nobody wants the rest.
    Abandoned,
    /// A whole buffer would go past the budget: slide, then push again.
    NoBudget,
}

/// Makes the two ends of a buffer; `length` is the body's declared length.
pub(crate) fn fill_buffer(budget: &Arc<FillBudget>, length: Option<u64>) -> (FillWriter, FillSource) {
    let shared = Arc::new(Shared { state: Mutex::new(State::new(Charge::new(budget))), room: Notify::new(), length });
    (FillWriter(Arc::clone(&shared)), FillSource(shared))
}

impl FillWriter {
    /// Bytes pushed so far.
    pub(crate) fn total(&self) -> u64 {
        self.0.state.lock().total
    }

    /// Adds a chunk. A sliding buffer waits until its slowest reader is within the window.
    pub(crate) async fn push(&self, chunk: Bytes) -> Result<(), PushError> {
        if chunk.is_empty() {
            return Ok(());
        }
        let size = chunk.len() as u64;
        let sliding = {
            let mut state = self.0.state.lock();
            if !state.sliding && !state.charge.add(size) {
                return Err(PushError::NoBudget);
            }
            state.held += size;
            state.total += size;
            state.chunks.push_back(chunk);
            state.wake_all();
            state.sliding
        };
        if sliding { self.wait_for_room().await } else { Ok(()) }
    }

    /// Turns the buffer into a window (see the module's text). Readers that have begun keep their place; no new ones start.
    pub(crate) fn slide(&self) {
        let mut state = self.0.state.lock();
        state.sliding = true;
        self.0.drop_passed(&mut state);
    }

    /// The body is complete: readers end cleanly after the last chunk.
    pub(crate) fn finish(self, trailers: Option<HeaderMap>) {
        self.0.state.lock().close(End::Complete(trailers));
    }

    /// The body broke off: readers get `error` after the last chunk that came.
    pub(crate) fn fail(self, error: BodyError) {
        self.0.state.lock().close(End::Broken(error));
    }

    /// Every chunk of a whole buffer, in order.
    pub(crate) fn chunks(&self) -> Vec<Bytes> {
        self.0.state.lock().chunks.iter().cloned().collect()
    }

    async fn wait_for_room(&self) -> Result<(), PushError> {
        loop {
            let room = self.0.room.notified();
            {
                let mut state = self.0.state.lock();
                self.0.drop_passed(&mut state);
                if state.readers.is_empty() {
                    return Err(PushError::Abandoned);
                }
                if state.held <= WINDOW_BYTES {
                    return Ok(());
                }
            }
            room.await;
        }
    }
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        self.0.state.lock().close(End::Broken(BodyError::incomplete_upstream()));
    }
}

impl FillSource {
    /// A reader from byte 0; `None` once the first bytes are gone.
    pub(crate) fn reader(&self) -> Option<FillReader> {
        let mut state = self.0.state.lock();
        if state.first > 0 || (state.sliding && state.total > 0 && state.chunks.is_empty()) {
            return None;
        }
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, Reader { next: 0, waker: None });
        Some(FillReader { shared: Arc::clone(&self.0), id, sent: 0 })
    }
}

/// One reader: a body that yields the chunks as they arrive.
#[derive(Debug)]
pub(crate) struct FillReader {
    shared: Arc<Shared>,
    id: u64,
    sent: u64,
}

impl HttpBody for FillReader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let id = self.id;
        let taken = self.shared.state.lock().poll_reader(id, cx.waker());
        if let Poll::Ready(Some(Ok(frame))) = &taken
            && let Some(data) = frame.data_ref()
        {
            self.sent += data.len() as u64;
            self.shared.room.notify_one();
        }
        taken
    }

    fn size_hint(&self) -> SizeHint {
        match self.shared.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.sent)),
            None => SizeHint::default(),
        }
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.shared.state.lock().readers.remove(&self.id);
        self.shared.room.notify_one();
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// A reader moved or left; only a sliding writer listens.
    room: Notify,
    length: Option<u64>,
}

impl Shared {
    /// Drops what every reader has passed: a window is charged for no more than it holds.
    fn drop_passed(&self, state: &mut State) {
        state.drop_passed();
        let passed = state.charge.held().saturating_sub(state.held);
        state.charge.give_back(passed);
    }
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<Bytes>,
    /// The index, in the whole body, of `chunks[0]`.
    first: usize,
    held: u64,
    total: u64,
    charge: Charge,
    sliding: bool,
    end: Option<End>,
    readers: HashMap<u64, Reader>,
    next_reader: u64,
}

#[derive(Debug)]
struct Reader {
    next: usize,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum End {
    Complete(Option<HeaderMap>),
    Broken(BodyError),
}

impl State {
    fn new(charge: Charge) -> Self {
        Self {
            chunks: VecDeque::new(),
            first: 0,
            held: 0,
            total: 0,
            charge,
            sliding: false,
            end: None,
            readers: HashMap::new(),
            next_reader: 0,
        }
    }

    fn wake_all(&mut self) {
        for reader in self.readers.values_mut() {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }

    fn close(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
            self.wake_all();
        }
    }

    fn drop_passed(&mut self) {
        let Some(slowest) = self.readers.values().map(|reader| reader.next).min() else { return };
        while self.first < slowest {
            let Some(chunk) = self.chunks.pop_front() else { return };
            self.held -= chunk.len() as u64;
            self.first += 1;
        }
    }

    fn poll_reader(&mut self, id: u64, waker: &Waker) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(reader) = self.readers.get_mut(&id) else { return Poll::Ready(None) };
        let place = reader.next - self.first.min(reader.next);
        if let Some(chunk) = self.chunks.get(place) {
            reader.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        let last = self.first + self.chunks.len();
        match &self.end {
            None => {
                reader.waker = Some(waker.clone());
                Poll::Pending
            }
            Some(End::Broken(error)) => Poll::Ready(Some(Err(error.clone()))),
            Some(End::Complete(Some(trailers))) if reader.next == last => {
                // One past the last chunk marks the trailers as sent.
                reader.next += 1;
                Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))))
            }
            Some(End::Complete(_)) => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests;
