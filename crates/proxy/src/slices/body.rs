//! Bodies that are read from slices: each from the store, from a fetch under way, or else fetched.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, Stream as _};
use holm_cache_policy::ByteRange;
use holm_cache_store::Standing;
use holm_transport::body::{Body, BodyError};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::fetch::{Asking, Run};
use super::key::{SLICE_BYTES, slice_key, slice_of, slice_range};
use super::table::{Entered, SliceError};
use crate::fill::Charge;
use crate::node::{CachedObject, Node};
use crate::pieces::{self, Piece};
use crate::stored::StoredSliced;

/// A sliced response, and how what is missing of it is asked for.
pub(crate) struct Located {
    pub(super) node: Arc<Node>,
    pub(super) object: CachedObject,
    pub(super) sliced: Arc<StoredSliced>,
    asking: Asking,
}

impl Located {
    pub(crate) fn new(
        node: &Arc<Node>,
        (object, sliced): (&CachedObject, &Arc<StoredSliced>),
        asking: Asking,
    ) -> Arc<Self> {
        let (object, sliced) = (Arc::clone(object), Arc::clone(sliced));
        Arc::new(Self { node: Arc::clone(node), object, sliced, asking })
    }

    pub(super) const fn asking(&self) -> &Asking {
        &self.asking
    }

    pub(super) fn key_of(&self, index: u64) -> u128 {
        slice_key(self.sliced.nonce, index)
    }

    /// Can slices be asked for one by one? Not without a strong validator: they might be of another representation.
    pub(super) fn is_extensible(&self) -> bool {
        self.sliced.head.strong_etag().is_some() && self.asking.subject.is_get()
    }

    /// The origin has another representation: the next request begins anew.
    pub(super) fn forget(&self) {
        self.node.forget_sliced(&self.sliced);
    }

    /// A slice. Where it has to be fetched, those that follow it up to `last` come with it, as far as they are missing too.
    pub(super) async fn slice(self: Arc<Self>, index: u64, last: u64) -> Result<Bytes, SliceError> {
        let mut failed = SliceError::Abandoned;
        for _ in 0..MAX_ATTEMPTS {
            if let Some(bytes) = self.held(index).await {
                return Ok(bytes);
            }
            if !self.is_extensible() {
                return Err(SliceError::Lost);
            }
            let fill = match self.node.slices.enter(self.key_of(index)) {
                Entered::Joined(fill) => fill,
                Entered::Leader(ticket) => {
                    // Whoever fetched it until now has stored it.
                    if let Some(bytes) = self.held(index).await {
                        return Ok(bytes);
                    }
                    let fill = Arc::clone(&ticket.fill);
                    tokio::spawn(Run::new(&self, (index, last), ticket).run());
                    fill
                }
            };
            match fill.outcome().await {
                // What was purged on its way is not what was asked for.
                Ok(fetched) if self.node.marks.standing_of(&fetched.object) != Standing::Hard => {
                    return Ok(fetched.object.body());
                }
                Ok(_) => failed = SliceError::Abandoned,
                Err(error) if error.is_final() => return Err(error),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn held(&self, index: u64) -> Option<Bytes> {
        let admission = self.asking.subject.disk();
        let bytes = self.node.stored_slice(self.sliced.nonce, index, admission).await?;
        (bytes.len() as u64 == slice_range(index, self.sliced.length).len()).then_some(bytes)
    }
}

/// The content of a sliced response, for one answer.
pub(crate) struct Sliced {
    located: Arc<Located>,
    /// A slice that is here already.
    first: Option<(u64, Bytes)>,
}

impl Sliced {
    pub(crate) const fn new(located: Arc<Located>) -> Self {
        Self { located, first: None }
    }

    /// The body's length.
    pub(crate) fn length(&self) -> u64 {
        self.located.sliced.length
    }

    /// Waits for the slice in which these bytes begin: what is wrong with it can then still be said by a status.
    pub(super) async fn begin(&mut self, bytes: ByteRange) -> Result<(), SliceError> {
        let (index, last) = (slice_of(bytes.first), slice_of(bytes.last));
        self.first = Some((index, Arc::clone(&self.located).slice(index, last).await?));
        Ok(())
    }

    /// A body of these pieces.
    pub(crate) fn body(self, pieces: impl IntoIterator<Item = Piece>) -> Body {
        let pieces: VecDeque<Piece> = pieces.into_iter().collect();
        let left = pieces.iter().map(Piece::length).sum();
        let Self { located, first } = self;
        Body::stream(SlicedBody { located, first, pieces, ahead: FuturesOrdered::new(), left })
    }
}

/// What is sent next, and what it takes of the budget.
type Bit = (Bytes, Charge);

struct SlicedBody {
    located: Arc<Located>,
    first: Option<(u64, Bytes)>,
    /// What nobody has begun to read.
    pieces: VecDeque<Piece>,
    /// What is sent next, and what is read ahead of it.
    ahead: FuturesOrdered<BoxFuture<'static, Result<Bit, SliceError>>>,
    /// Bytes to be sent.
    left: u64,
}

impl SlicedBody {
    /// Reads ahead: at least what is sent next, more while there is room.
    fn read_ahead(&mut self) {
        while self.ahead.len() <= READ_AHEAD && !self.pieces.is_empty() {
            let mut charge = Charge::new(&self.located.node.budget);
            if !self.ahead.is_empty() && !charge.add_ahead(SLICE_BYTES) {
                return;
            }
            let Some(next) = self.next(charge) else { return };
            self.ahead.push_back(next);
        }
    }

    /// The next piece, no more of it than one slice holds.
    fn next(&mut self, charge: Charge) -> Option<BoxFuture<'static, Result<Bit, SliceError>>> {
        let range = match self.pieces.pop_front()? {
            Piece::Held(bytes) => return Some(Box::pin(async move { Ok((bytes, charge)) })),
            Piece::Of(range) => range,
        };
        let (index, last) = (slice_of(range.first), slice_of(range.last));
        let slice = slice_range(index, self.located.sliced.length);
        if range.last > slice.last {
            self.pieces.push_front(Piece::Of(ByteRange { first: slice.last + 1, ..range }));
        }
        let wanted = ByteRange { first: range.first - slice.first, last: range.last.min(slice.last) - slice.first };
        let first = self.first.take_if(|(known, _)| *known == index);
        let located = Arc::clone(&self.located);
        Some(Box::pin(async move {
            let bytes = match first {
                Some((_, bytes)) => bytes,
                None => located.slice(index, last).await?,
            };
            Ok((pieces::slice(&bytes, wanted), charge))
        }))
    }
}

impl HttpBody for SlicedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.read_ahead();
        let next = ready!(Pin::new(&mut self.ahead).poll_next(cx));
        let error = match next {
            Some(Ok((bytes, _))) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Some(Err(error)) => error,
            None if self.left == 0 => return Poll::Ready(None),
            None => SliceError::Abandoned,
        };
        self.pieces.clear();
        self.ahead = FuturesOrdered::new();
        Poll::Ready(Some(Err(error.into_body_error())))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Slices that are read before they are sent.
const READ_AHEAD: usize = 2;

/// How often a slice is asked for on behalf of one reader, where the answer breaks off.
const MAX_ATTEMPTS: usize = 3;
