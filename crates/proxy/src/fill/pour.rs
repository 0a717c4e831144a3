//! Pouring: a body goes from the next hop to all who wait for it and into the store, a slice at a time where it is large.

use std::sync::Arc;

use bytes::Bytes;
use holm_cache_policy::NoStoreReason;
use holm_transport::body::{Body, BodyError, BodyErrorKind, Side};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use tracing::debug;

use super::buffer::{FillWriter, PushError};
use super::fetch::Fetch;
use super::outcome::Outcome;
use super::resume::{Arrived, MAX_RESUMES, validator};
use crate::hop::HopError;
use crate::node::{Node, now};
use crate::slices::{Nonce, SLICE_BYTES, slice_key, slice_of};
use crate::storing::Storable;

/// A body on its way.
pub(super) struct Pour {
    fetch: Fetch,
    storable: Storable,
    writer: FillWriter,
    /// The body's length, if that is known.
    length: Option<u64>,
    keeping: Keeping,
    /// What its slices' keys are made of.
    nonce: Nonce,
    /// Slices that are complete, from the first.
    sealed: u64,
    /// How often the rest was asked for.
    resumes: u32,
}

/// What becomes of the bytes beside being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// They stay in memory until the end, and are stored then.
    Whole,
    /// Each slice is stored once it is complete.
    Spilling,
    /// They are passed on and forgotten.
    Nothing,
}

/// Why no more bytes are read.
enum Stop {
    /// The next hop broke off.
    Broken(BodyError),
    /// Nobody wants them.
    Abandoned,
}

impl Pour {
    pub(super) fn new(fetch: Fetch, storable: Storable, writer: FillWriter, length: Option<u64>) -> Self {
        let declared = || storable.head.fields.get(&CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        let length = length.or_else(declared);
        let keeping = if fetch.node.spills(fetch.storing.disk()) { Keeping::Spilling } else { Keeping::Whole };
        Self { fetch, storable, writer, length, keeping, nonce: Nonce::new(), sealed: 0, resumes: 0 }
    }

    /// Reads the body to its end, however its sources fare.
    pub(super) async fn run(mut self, mut body: Body) {
        loop {
            match self.read(&mut body).await {
                Ok(trailers) => return self.complete(trailers).await,
                Err(Stop::Abandoned) => return self.fetch.ticket.leave(Outcome::Abandoned),
                Err(Stop::Broken(error)) => {
                    debug!(%error, "a fill's source broke off");
                    match self.resume().await {
                        Some(rest) => body = rest,
                        None => return self.break_off(error).await,
                    }
                }
            }
        }
    }

    async fn read(&mut self, body: &mut Body) -> Result<Option<HeaderMap>, Stop> {
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            match frame.map_err(Stop::Broken)?.into_data() {
                Ok(data) => self.take(data).await?,
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        match self.length {
            Some(length) if length != self.writer.total() => Err(Stop::Broken(BodyError::incomplete_upstream())),
            _ => Ok(trailers),
        }
    }

    async fn take(&mut self, mut data: Bytes) -> Result<(), Stop> {
        while !data.is_empty() {
            let total = self.writer.total();
            // A body of one slice's length is no body in slices: that there are two is known when the second begins.
            if total > 0 && total.is_multiple_of(SLICE_BYTES) {
                self.seal(slice_of(total - 1)).await;
            }
            let room = usize::try_from(SLICE_BYTES - total % SLICE_BYTES).unwrap_or(usize::MAX);
            let piece = data.split_to(room.min(data.len()));
            let end = total + piece.len() as u64;
            if self.length.is_some_and(|length| end > length) {
                return Err(Stop::Broken(BodyError::new(BodyErrorKind::TooLong, Side::Upstream)));
            }
            if end > self.fetch.node.max_object {
                self.give_up_storing(Some(NoStoreReason::TooLarge));
            }
            self.push(piece).await?;
        }
        Ok(())
    }

    /// Adds a chunk; a body that outgrows the budget goes on as a window.
    async fn push(&mut self, data: Bytes) -> Result<(), Stop> {
        let mut pushed = self.writer.push(data.clone()).await;
        if pushed == Err(PushError::NoBudget) {
            // With a disk it may be otherwise the next time: what fills hold is spilled, and then free.
            let lasting = (!self.fetch.node.spills(self.fetch.storing.disk())).then_some(NoStoreReason::TooLarge);
            self.give_up_storing(lasting);
            pushed = self.writer.push(data).await;
        }
        pushed.map_err(|_| Stop::Abandoned)
    }

    /// The slice is complete: it becomes one piece, and is stored where there is a disk.
    async fn seal(&mut self, index: u64) {
        if self.keeping == Keeping::Nothing || index < self.sealed {
            return;
        }
        let from = index * SLICE_BYTES;
        let bytes = self.writer.joined(from, self.writer.total().min(from + SLICE_BYTES));
        let end = from + bytes.len() as u64;
        if self.keeping == Keeping::Spilling {
            let key = slice_key(self.nonce, index);
            let (_, kept) = self.fetch.storing.spill_slice(&self.storable.slices(), key, bytes).await;
            match (kept, index) {
                (true, 0) => {
                    let (node, nonce) = (Arc::clone(&self.fetch.node), self.nonce);
                    self.writer.spill(Arc::new(move |at| Box::pin(Arc::clone(&node).spilled(nonce, at))));
                }
                (true, _) => {}
                // Nothing is gone from memory yet.
                (false, 0) => self.keeping = Keeping::Whole,
                (false, _) => return self.give_up_storing(None),
            }
        }
        self.sealed = index + 1;
        if self.keeping == Keeping::Spilling {
            self.writer.stored(end);
        }
    }

    /// The body will not be stored. `known` is a reason that holds for the next request too.
    fn give_up_storing(&mut self, known: Option<NoStoreReason>) {
        if self.keeping == Keeping::Nothing {
            return;
        }
        self.keeping = Keeping::Nothing;
        self.fetch.ticket.leave_table();
        self.writer.slide();
        if let Some(reason) = known {
            self.fetch.storing.remember_unstorable(reason.as_str(), now());
        }
    }

    /// The clean end.
    async fn complete(mut self, trailers: Option<HeaderMap>) {
        let length = self.writer.total();
        if length > SLICE_BYTES {
            self.seal(slice_of(length - 1)).await;
        }
        let stored = self.keeping != Keeping::Nothing;
        if stored && length > SLICE_BYTES {
            self.store_slices(length);
        } else if stored {
            self.fetch.storing.store_waiting(self.storable, self.writer.joined(0, length)).await;
        }
        self.fetch.ticket.leave(match (stored, self.resumes) {
            (true, 0) => Outcome::Stored,
            (true, _) => Outcome::Resumed,
            (false, _) => Outcome::TooLarge,
        });
        self.writer.finish(trailers);
    }

    /// No more will come: everyone is told at this byte. What is whole of it stays where the rest can be asked for.
    async fn break_off(mut self, error: BodyError) {
        let total = self.writer.total();
        if total > 0 && total.is_multiple_of(SLICE_BYTES) && self.length.is_some_and(|length| length > total) {
            self.seal(slice_of(total - 1)).await;
        }
        let resumable = self.keeping != Keeping::Nothing && validator(&self.storable.head).is_some();
        match self.length {
            Some(length) if resumable && self.sealed > 0 => self.store_slices(length),
            _ => self.fetch.storing.forget_parts(&self.storable),
        }
        self.fetch.ticket.leave(Outcome::Broken);
        self.writer.fail(error);
    }

    /// Stores the head of a body in slices, after those that are complete.
    fn store_slices(&self, length: u64) {
        let storing = &self.fetch.storing;
        if self.keeping == Keeping::Whole {
            for index in 0..self.sealed {
                let from = index * SLICE_BYTES;
                let bytes = self.writer.joined(from, length.min(from + SLICE_BYTES));
                storing.store_slice(&self.storable, self.nonce, index, bytes);
            }
        }
        storing.forget_parts(&self.storable);
        match self.keeping {
            Keeping::Spilling => storing.store_spilled(self.storable.clone(), self.nonce, length),
            _ => storing.store_sliced(self.storable.clone(), self.nonce, length, storing.disk()),
        }
    }

    /// Asks for the rest, if there is one that is sure to be of the same representation.
    async fn resume(&mut self) -> Option<Body> {
        let Storable { head, as_of, .. } = &self.storable;
        let (got, length) = (self.writer.total(), self.length);
        let arrived = Arrived { etag: validator(head)?, as_of: *as_of, got, length };
        let request = arrived.request(&self.fetch.head)?;
        while self.resumes < MAX_RESUMES {
            self.resumes += 1;
            let sent = self.fetch.hop.send(request.clone().into_request(), self.fetch.way.clone()).await;
            match sent {
                Ok(answer) if answer.response.status().is_server_error() => {}
                Ok(answer) => {
                    let (rest, complete) = arrived.rest(answer)?;
                    self.length = Some(complete);
                    return Some(rest);
                }
                Err(HopError { reason, .. }) => debug!(reason, "the rest of a body did not come"),
            }
        }
        None
    }
}

impl Node {
    /// The bytes of a fill from this place on to the end of their slice, for those who began to read it while it came. What
    /// was purged since is still theirs, as it is for those who kept up.
    async fn spilled(self: Arc<Self>, nonce: Nonce, at: u64) -> Option<Bytes> {
        let object = self.find(slice_key(nonce, slice_of(at))).await?;
        let within = usize::try_from(at % SLICE_BYTES).ok()?;
        let body = object.body();
        (within < body.len()).then(|| body.slice(within..))
    }
}
