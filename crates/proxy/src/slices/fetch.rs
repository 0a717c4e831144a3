//! Fetching slices that are missing: one request for a run of them, detached from whoever wants them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holm_cache_policy::{ByteRange, ContentRange, may_combine};
use holm_cache_store::Standing;
use holm_transport::body::Body;
use http::header::{HeaderValue, IF_RANGE, RANGE};
use http::{Request, StatusCode};
use tracing::debug;

use super::body::Located;
use super::cut::Cutter;
use super::key::{SLICE_BYTES, slice_range};
use super::table::{BROKE_OFF, Fetched, SliceError, Ticket};
use crate::fill::{Charge, filling_head};
use crate::hop::{Answer, Head, HopError, NextHop, Way};
use crate::node::{Node, Target, now};
use crate::storing::{Received, Slices, Storing, Subject};

/// How slices that are missing are asked for: by the request of someone who wants them, whatever part it is for.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) subject: Subject,
    pub(crate) hop: Arc<dyn NextHop>,
    pub(crate) head: Head,
    pub(crate) way: Way,
}

impl Asking {
    pub(crate) fn of(node: &Arc<Node>, target: &Target<'_>, request: &Request<Body>) -> Self {
        Self {
            subject: Subject::of(target, request),
            hop: Arc::clone(node.hop_for(target.content)),
            head: filling_head(request),
            way: target.way(node.marks.moment(), request.version()),
        }
    }
}

/// Slices that follow one another and that nobody has: one request brings them.
pub(crate) struct Run {
    located: Arc<Located>,
    /// The first one's number.
    first: u64,
    tickets: VecDeque<Ticket>,
}

impl Run {
    /// From the slice of `ticket` on, up to `last`, as far as slices are missing and a fetch goes.
    pub(crate) fn new(located: &Arc<Located>, (first, last): (u64, u64), ticket: Ticket) -> Self {
        let node = &located.node;
        let end = last.saturating_add(1).min(first + node.slices_a_fetch(located.asking().subject.disk()));
        let others = (first + 1..end).map_while(|index| {
            let key = located.key_of(index);
            let missing = !node.store.contains(key);
            missing.then(|| node.slices.begin(key)).flatten()
        });
        let tickets = std::iter::once(ticket).chain(others).collect();
        Self { located: Arc::clone(located), first, tickets }
    }

    /// Runs to the end: no client's leaving ends it.
    pub(crate) async fn run(mut self) {
        let Err(error) = self.fetch().await else { return };
        debug!(?error, first = self.first, left = self.tickets.len(), "slices were not fetched");
        if matches!(error, SliceError::Changed) {
            self.located.forget();
        }
        for ticket in self.tickets {
            ticket.settle(Err(error.clone()));
        }
    }

    async fn fetch(&mut self) -> Result<(), SliceError> {
        let located = Arc::clone(&self.located);
        let node = &located.node;
        let charge = room(node).await?;
        let asking = located.asking();
        let storing = asking.subject.clone().storing(node);
        let way = Way { begun: storing.begun(), ..asking.way.clone() };
        let last = slice_range(self.first + self.tickets.len() as u64 - 1, located.sliced.length).last;
        let asked = ByteRange { first: slice_range(self.first, located.sliced.length).first, last };
        let requested = now();
        let answer = asking.hop.send(located.request(asked)?, way).await.map_err(SliceError::Failed)?;
        let times = answer.times(requested, now());
        let Answer { response, as_of, .. } = answer;
        let given = located.given(asked, &response)?;
        let (parts, body) = response.into_parts();
        let received = Received::of(&parts, &body, times, as_of);
        let slices = storing.accept_slices(received, &located.object).map_err(SliceError::Unshared)?;
        self.receive((&storing, &slices), body, given, charge).await
    }

    /// Stores, and hands out, slice by slice. Those that the answer leaves out are given up: who wants them asks again.
    async fn receive(
        &mut self,
        (storing, slices): (&Storing, &Slices),
        mut body: Body,
        given: ByteRange,
        charge: Charge,
    ) -> Result<(), SliceError> {
        let mut cutter = Cutter::new(given.first, self.located.sliced.length);
        let mut charge = Some(charge);
        while let Some(frame) = body.frame().await {
            let broken = |error| HopError::new(StatusCode::BAD_GATEWAY, BROKE_OFF, format!("{error}"));
            let frame = frame.map_err(|error| SliceError::Failed(broken(error)))?;
            let Ok(mut data) = frame.into_data() else { continue };
            while !data.is_empty() && cutter.next() <= given.last {
                if charge.is_none() {
                    charge = Some(room(&self.located.node).await?);
                }
                if let Some((_, bytes)) = cutter.take(&mut data) {
                    self.deliver((storing, slices), bytes, charge.take()).await;
                }
                if self.tickets.is_empty() {
                    return Ok(());
                }
            }
        }
        Err(SliceError::Abandoned)
    }

    /// A slice has come: into the store, if there is room and its response can still be found there, and to those who wait.
    async fn deliver(&mut self, (storing, slices): (&Storing, &Slices), bytes: Bytes, charge: Option<Charge>) {
        let Some(ticket) = self.tickets.pop_front() else { return };
        let node = &self.located.node;
        let object = match node.marks.standing_of(&self.located.object) {
            Standing::Hard => storing.unstored_slice(slices, bytes),
            _ => storing.spill_slice(slices, ticket.key, bytes).await.0,
        };
        ticket.settle(Ok(Arc::new(Fetched { object, _charge: charge })));
    }
}

impl Located {
    fn request(&self, asked: ByteRange) -> Result<Request<Body>, SliceError> {
        let mut head = self.asking().head.clone();
        let range = HeaderValue::from_str(&format!("bytes={}-{}", asked.first, asked.last)).ok();
        let (Some(range), Some(etag)) = (range, self.sliced.head.strong_etag()) else {
            return Err(SliceError::Lost);
        };
        head.headers.insert(RANGE, range);
        head.headers.insert(IF_RANGE, etag);
        Ok(head.into_request())
    }

    /// Which bytes an answer brings: of this very representation, from the first one asked for on.
    fn given(&self, asked: ByteRange, response: &http::Response<Body>) -> Result<ByteRange, SliceError> {
        let status = response.status();
        let passing = status.is_server_error() || PASSING.contains(&status);
        if passing {
            return Err(SliceError::Failed(HopError::of_origin(status)));
        }
        let headers = response.headers();
        let range = ContentRange::parse(headers).filter(|_| status == StatusCode::PARTIAL_CONTENT);
        let range = range.filter(|_| may_combine(&self.sliced.head.headers(), headers)).ok_or(SliceError::Changed)?;
        let ContentRange { bytes, complete } = range;
        let same = complete.is_none_or(|complete| complete == self.sliced.length);
        if !same || bytes.first != asked.first || bytes.last > asked.last {
            return Err(SliceError::Changed);
        }
        Ok(bytes)
    }
}

/// Room for a slice that is about to come.
async fn room(node: &Node) -> Result<Charge, SliceError> {
    let mut charge = Charge::new(&node.budget);
    if charge.wait(SLICE_BYTES, ROOM_WAIT).await {
        return Ok(charge);
    }
    let error = HopError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "no room for what is fetched");
    Err(SliceError::Failed(error))
}

/// Answers that say nothing of the representation: it may be there at the next try.
const PASSING: [StatusCode; 2] = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];

/// How long a fetch waits for room in the node's memory for fills.
const ROOM_WAIT: Duration = Duration::from_secs(10);
