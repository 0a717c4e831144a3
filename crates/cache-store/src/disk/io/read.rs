//! A read: what is asked of an engine, and the future of its outcome. The engine owns the buffer until it is done.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use super::around;
use super::buffer::AlignedBuf;

/// The bytes, once they are there. Wakes as any future; may be dropped at any time.
#[derive(Debug)]
#[must_use = "it reads whether or not it is awaited"]
pub(crate) struct ReadAt(Arc<Slot>);

#[derive(Debug)]
struct Slot(Mutex<State>);

#[derive(Debug)]
enum State {
    /// Under way, with whom to wake.
    Waiting(Option<Waker>),
    Done(io::Result<Bytes>),
    /// The outcome was handed out.
    Taken,
}

impl ReadAt {
    pub(super) fn done(outcome: io::Result<Bytes>) -> Self {
        Self(Arc::new(Slot(Mutex::new(State::Done(outcome)))))
    }
}

impl Future for ReadAt {
    type Output = io::Result<Bytes>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.0.lock();
        if let State::Waiting(waker) = &mut *state {
            if !waker.as_ref().is_some_and(|held| held.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(outcome) => Poll::Ready(outcome),
            State::Waiting(_) | State::Taken => panic!("polled after its outcome"),
        }
    }
}

/// One read, for an engine. Dropped without an outcome, it fails.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) file: Arc<File>,
    /// Where in the file the buffer's beginning belongs.
    from: u64,
    buffer: AlignedBuf,
    /// What was asked for, in the buffer.
    wanted: Range<usize>,
    slot: Option<Arc<Slot>>,
}

/// What follows from some bytes read.
pub(super) enum Next {
    /// More are to be read.
    More(Request),
    /// It is done. Whom to wake, if anyone waits already.
    Done(Option<Waker>),
}

impl Request {
    /// `at` is within the file.
    pub(super) fn new(file: Arc<File>, at: u64, len: usize) -> (Self, ReadAt) {
        let (from, wanted) = around(at, len);
        let buffer = AlignedBuf::with_capacity(wanted.end);
        let slot = Arc::new(Slot(Mutex::new(State::Waiting(None))));
        (Self { file, from, buffer, wanted, slot: Some(Arc::clone(&slot)) }, ReadAt(slot))
    }

    /// Does anyone still wait for it?
    pub(super) fn is_wanted(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| Arc::strong_count(slot) > 1)
    }

    /// Where to read next, where to, and how many bytes.
    pub(super) fn target(&mut self) -> (u64, *mut u8, u32) {
        let at = self.from + self.buffer.len() as u64;
        let spare = self.buffer.spare();
        (at, spare.as_mut_ptr().cast(), u32::try_from(spare.len()).unwrap_or(u32::MAX))
    }

    /// The kernel says how it went.
    ///
    /// # Safety
    /// As many bytes as `outcome` says are at the [`Request::target`].
    #[expect(unsafe_code, reason = "who has filled the buffer tells how far")]
    pub(super) unsafe fn came(mut self, outcome: io::Result<usize>) -> Next {
        match outcome {
            Ok(0) => self.done(Err(ended())),
            Ok(more) => {
                let before = self.buffer.len();
                // SAFETY: the caller's.
                unsafe { self.buffer.filled(more) };
                self.advance(before)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Next::More(self),
            Err(error) => self.done(Err(error)),
        }
    }

    /// Reads all of it. Blocks.
    pub(super) fn read_blocking(mut self) -> Option<Waker> {
        loop {
            let before = self.buffer.len();
            let next = match once(&self.file, &mut self.buffer, self.from + before as u64) {
                Ok(_) => self.advance(before),
                Err(error) => self.done(Err(error)),
            };
            match next {
                Next::More(rest) => self = rest,
                Next::Done(waker) => return waker,
            }
        }
    }

    /// It fails.
    pub(super) fn fail(self, error: io::Error) -> Option<Waker> {
        match self.done(Err(error)) {
            Next::Done(waker) => waker,
            Next::More(_) => None,
        }
    }

    /// The buffer stays where it is for ever: the kernel may still write to it.
    pub(super) fn abandon(mut self, error: io::Error) -> Option<Waker> {
        std::mem::forget(std::mem::replace(&mut self.buffer, AlignedBuf::with_capacity(0)));
        self.fail(error)
    }

    /// There is more than `before`: is it enough?
    fn advance(mut self, before: usize) -> Next {
        if self.buffer.len() < self.wanted.end {
            // Direct reads go on at a block. Where not even one came, the file ends within it.
            let whole = self.buffer.len() - self.buffer.len() % super::ALIGN;
            self.buffer.truncate(whole);
            return if whole > before { Next::More(self) } else { self.done(Err(ended())) };
        }
        let buffer = std::mem::replace(&mut self.buffer, AlignedBuf::with_capacity(0));
        let bytes = cut(buffer, self.wanted.clone());
        self.done(Ok(bytes))
    }

    fn done(mut self, outcome: io::Result<Bytes>) -> Next {
        Next::Done(self.slot.take().and_then(|slot| slot.set(outcome)))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            let gone = io::Error::other("the engine that reads has ended");
            if let Some(waker) = slot.set(Err(gone)) {
                waker.wake();
            }
        }
    }
}

impl Slot {
    fn set(&self, outcome: io::Result<Bytes>) -> Option<Waker> {
        match std::mem::replace(&mut *self.0.lock(), State::Done(outcome)) {
            State::Waiting(waker) => waker,
            State::Done(_) | State::Taken => None,
        }
    }
}

/// Reads once into the spare room. Says how many bytes: at least one.
pub(super) fn once(file: &File, buffer: &mut AlignedBuf, at: u64) -> io::Result<u64> {
    loop {
        let read = match rustix::io::pread(file, buffer.spare(), at) {
            Ok((read, _)) => read.len(),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if read == 0 {
            return Err(ended());
        }
        #[expect(unsafe_code, reason = "pread tells how much it has initialised")]
        // SAFETY: the first `read` bytes of the spare room were returned as initialised.
        unsafe {
            buffer.filled(read);
        }
        return Ok(read as u64);
    }
}

/// What was asked for. Of a buffer that is mostly something else it is copied out, lest it hold the rest as well for as
/// long as it lives.
fn cut(buffer: AlignedBuf, wanted: Range<usize>) -> Bytes {
    if wanted.len() < buffer.capacity() / 2 {
        return Bytes::copy_from_slice(&buffer[wanted]);
    }
    Bytes::from_owner(buffer).slice(wanted)
}

/// Less is there than the region's size says: somebody has cut the file.
fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends within the region")
}
