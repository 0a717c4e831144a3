//! Cutting: a body's bytes, as they come, made into slices.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use holm_transport::body::{Body, BodyError};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::key::{Nonce, SLICE_BYTES, slice_of, slice_range};
use crate::fill::Charge;
use crate::node::Node;
use crate::storing::{Storable, Storing};

/// Cuts the bytes of a body that come one after another into slices. What comes before the first place where a slice
/// begins is of none.
#[derive(Debug)]
pub(crate) struct Cutter {
    /// The place of the next byte.
    next: u64,
    /// The body's length.
    length: u64,
    /// What is here of the slice that the next byte is of. Bytes of its own: what came may be a piece of something larger.
    begun: BytesMut,
}

impl Cutter {
    /// For the bytes from `first` on of a body of this length.
    pub(crate) fn new(first: u64, length: u64) -> Self {
        Self { next: first, length, begun: BytesMut::new() }
    }

    /// Takes what `data` has, up to the end of a slice: that slice is given, by its number, and the rest of `data` is to be
    /// taken next.
    pub(crate) fn take(&mut self, data: &mut Bytes) -> Option<(u64, Bytes)> {
        while !data.is_empty() && self.next < self.length {
            let index = slice_of(self.next);
            let slice = slice_range(index, self.length);
            let left = slice.last + 1 - self.next;
            let taken = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
            let piece = data.split_to(taken);
            if self.next == slice.first {
                self.begun = BytesMut::with_capacity(usize::try_from(slice.len()).unwrap_or_default());
            }
            let whole = self.next - slice.first == self.begun.len() as u64;
            self.next += taken as u64;
            if whole {
                self.begun.extend_from_slice(&piece);
                if self.next > slice.last {
                    return Some((index, std::mem::take(&mut self.begun).freeze()));
                }
            }
        }
        data.advance(data.len());
        None
    }

    /// The place of the next byte.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }
}

/// A part of a response that goes to its client, and leaves the slices that lie wholly in it in the store.
pub(crate) fn leaving_slices(
    node: &Arc<Node>,
    body: Body,
    (storing, storable): (Storing, Storable),
    (first, length): (u64, u64),
) -> Body {
    let charge = Charge::new(&node.budget);
    let leaving = Leaving { cutter: Cutter::new(first, length), charge, storing, storable, nonce: None };
    Body::stream(Passing { body, leaving: Some(leaving) })
}

struct Passing {
    body: Body,
    /// `None` once there was no room.
    leaving: Option<Leaving>,
}

struct Leaving {
    cutter: Cutter,
    /// For the slice that is being made.
    charge: Charge,
    storing: Storing,
    storable: Storable,
    /// There once a slice is: what breaks off before leaves nothing.
    nonce: Option<Nonce>,
}

impl Leaving {
    /// `false` where there is no room to go on.
    fn take(&mut self, mut data: Bytes) -> bool {
        if self.charge.held() == 0 && !self.charge.add(SLICE_BYTES) {
            return false;
        }
        while let Some((index, slice)) = self.cutter.take(&mut data) {
            let (storing, storable) = (&self.storing, &self.storable);
            let length = self.cutter.length;
            let nonce = *self.nonce.get_or_insert_with(|| storing.store_sliced_part(storable, length));
            storing.store_slice(storable, nonce, index, slice);
        }
        true
    }
}

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && self.leaving.as_mut().is_some_and(|leaving| !leaving.take(data.clone()))
        {
            self.leaving = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_what_comes_in_any_pieces() {
        const S: usize = SLICE_BYTES as usize;
        let check = |first: usize, length: usize, step: usize, expected: &[u64]| {
            let body: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).expect("small")).collect();
            let mut cutter = Cutter::new(first as u64, length as u64);
            let mut found = Vec::new();
            for piece in body[first..].chunks(step) {
                let mut piece = Bytes::copy_from_slice(piece);
                while let Some((index, slice)) = cutter.take(&mut piece) {
                    let range = slice_range(index, length as u64);
                    let range = usize::try_from(range.first).unwrap()..=usize::try_from(range.last).unwrap();
                    assert!(slice == body[range], "slice {index} of {length} from {first} in {step}s");
                    found.push(index);
                }
            }
            assert_eq!(found, expected, "{length} from {first} in {step}s");
            assert_eq!(cutter.next(), length as u64);
        };
        check(0, 2 * S, 1000, &[0, 1]);
        check(0, 2 * S + 1, 5 * S, &[0, 1, 2]);
        check(1, 2 * S + 1, S, &[1, 2]);
        check(S, 2 * S + 7, 7, &[1, 2]);
        check(2 * S + 1, 2 * S + 7, 3, &[]);
        check(0, 5, 1, &[0]);
    }
}
