//! One fetch for a fill, from the request to the stored object. It runs on its own: no client's leaving ends it.

use std::sync::Arc;

use bytes::Bytes;
use holm_cache_policy::{
    CacheKey, ContentRange, FetchTimes, NoStoreReason, Pieces, may_combine, strong_etag, write_validators,
};
use holm_transport::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;
use tracing::debug;

use super::buffer::fill_buffer;
use super::outcome::Outcome;
use super::pour::Pour;
use super::table::{Phase, Streaming, Ticket};
use super::{Basis, Begun, Private, can_be_confirmed, filling_head};
use crate::answer;
use crate::hop::{Answer, Head, HopError, NextHop, Way};
use crate::node::{Node, Target, now};
use crate::pieces;
use crate::slices::Asking;
use crate::stored::StoredParts;
use crate::storing::{Received, Renewed, Storable, Storing, shadow};

/// A fetch that is about to begin.
pub(crate) struct Fetch {
    pub(super) node: Arc<Node>,
    pub(super) ticket: Ticket,
    pub(super) storing: Storing,
    pub(super) hop: Arc<dyn NextHop>,
    pub(super) head: Head,
    pub(super) way: Way,
    basis: Basis,
    /// What the next hop answered, where the response is made of more than that.
    completed: Option<StatusCode>,
}

impl Fetch {
    pub(crate) fn new(
        node: &Arc<Node>,
        target: &Target<'_>,
        request: &Request<Body>,
        ticket: Ticket,
        basis: Basis,
    ) -> Self {
        // Whatever asks for it, a fill fetches what a GET would: the answer to a HEAD could not be stored.
        let mut asked = shadow(request);
        if *asked.method() == Method::HEAD {
            *asked.method_mut() = Method::GET;
        }
        let storing = Storing::begin(node, target, &asked);
        Self {
            hop: Arc::clone(node.hop_for(target.content)),
            way: target.way(storing.begun(), request.version()),
            // What is purged from here on is newer than that.
            basis: basis.usable(node),
            completed: None,
            node: Arc::clone(node),
            ticket,
            storing,
            head: filling_head(request),
        }
    }

    /// Runs to the end. `beginner` takes what the one who began it is given.
    pub(crate) async fn run(mut self, beginner: Option<oneshot::Sender<Begun>>) {
        let (mut sent, mut times) = self.send().await;
        if let Basis::Parts(..) = self.basis {
            sent = self.complete(sent);
            if matches!(self.basis, Basis::Nothing) {
                // The rest did not fit: the whole, then.
                (sent, times) = self.send().await;
            }
        }
        let hints = self.ticket.fill.audience.close();
        match sent {
            Err(error) => self.ticket.end(Outcome::Failed, Phase::Failed(error)),
            Ok(answer) => {
                self.storing.settle_hints(hints, answer.response.status());
                self.answered(answer, times, beginner).await;
            }
        }
    }

    async fn send(&self) -> (Result<Answer, HopError>, FetchTimes) {
        let mut head = self.head.clone();
        match &self.basis {
            Basis::Stale((_, stale)) if can_be_confirmed(stale) => {
                write_validators(&mut head.headers, &stale.headers());
            }
            Basis::Parts(_, stored) => ask_for_rest(&mut head.headers, stored),
            Basis::Stale(_) | Basis::Nothing => {}
        }
        let requested = now();
        let mut request = head.into_request();
        self.ticket.fill.audience.attend(&mut request, self.node.role);
        let sent = self.hop.send(request, self.way.clone()).await;
        let received = now();
        let times = sent.as_ref().map(|answer| answer.times(requested, received));
        let times = times.unwrap_or(FetchTimes { requested, received });
        (sent, times)
    }

    /// RFC 9111 §3.4: the rest of a response whose first bytes are stored makes it whole. Where it is not the rest, the basis
    /// is dropped.
    fn complete(&mut self, sent: Result<Answer, HopError>) -> Result<Answer, HopError> {
        let Basis::Parts(_, stored) = &self.basis else { return sent };
        let (Ok(answer), Some(prefix)) = (sent, stored.parts.prefix()) else {
            self.basis = Basis::Nothing;
            return Err(HopError::of_origin(StatusCode::BAD_GATEWAY));
        };
        match answer.response.status() {
            StatusCode::PARTIAL_CONTENT => match completed(stored, &prefix, answer) {
                Some(answer) => {
                    self.completed = Some(StatusCode::PARTIAL_CONTENT);
                    // The next tier may know of purges that the first bytes have not been held against yet.
                    Ok(Answer { as_of: answer.as_of.min(self.way.begun.applied), ..answer })
                }
                None => {
                    self.basis = Basis::Nothing;
                    Err(HopError::of_origin(StatusCode::BAD_GATEWAY))
                }
            },
            // The representation is another one.
            StatusCode::OK => Ok(answer),
            status => {
                self.basis = Basis::Nothing;
                Err(HopError::of_origin(status))
            }
        }
    }

    /// How slices of what is stored are asked for.
    fn asking(&self) -> Asking {
        Asking {
            subject: self.storing.subject(),
            hop: Arc::clone(&self.hop),
            head: self.head.clone(),
            way: self.way.clone(),
        }
    }

    async fn answered(mut self, answer: Answer, times: FetchTimes, beginner: Option<oneshot::Sender<Begun>>) {
        self.storing.recall().await;
        let Answer { response, as_of, bridged, .. } = answer;
        let status = response.status();
        if let Basis::Stale(stale) = &self.basis {
            if let Some(error) = bridged.filter(|_| self.node.bridges_error(&self.head.headers, stale)) {
                return self.ticket.end(Outcome::Failed, Phase::Failed(error));
            }
            if status == StatusCode::NOT_MODIFIED && can_be_confirmed(&stale.1) {
                let key = CacheKey(self.ticket.key());
                match self.storing.renew(key, stale, response.headers(), as_of, times) {
                    Renewed::Shared(renewed) => return self.ticket.end(Outcome::Refreshed, Phase::Refreshed(renewed)),
                    Renewed::Private(head, reason) => {
                        let source = self.node.source_of(&stale.0, || self.asking());
                        let response = answer::whole(&Method::GET, &head, source, now());
                        let private = Private { response, as_of, reason: reason.as_str() };
                        return self.release(reason, private, beginner);
                    }
                }
            }
            if status.is_server_error() && self.node.bridges_error(&self.head.headers, stale) {
                let error = HopError::of_origin(status);
                return self.ticket.end(Outcome::Failed, Phase::Failed(error));
            }
        }
        let (headers, length) = (response.headers(), response.body().exact_len());
        let received = Received { status, headers, length, times, as_of };
        let accepted = match status {
            // Nobody asked for a part.
            StatusCode::PARTIAL_CONTENT => Err(NoStoreReason::Partial),
            _ => self.storing.accept(received),
        };
        match accepted {
            Ok(mut storable) => {
                if let Basis::Parts(object, _) = &self.basis {
                    storable.scope = storable.scope.united(object.scope());
                }
                self.stream(storable, response.into_body(), beginner).await;
            }
            Err(reason) => self.release(reason, Private { response, as_of, reason: reason.as_str() }, beginner),
        }
    }

    /// Streams the body to all who wait and into the store.
    async fn stream(self, storable: Storable, body: Body, beginner: Option<oneshot::Sender<Begun>>) {
        let length = body.exact_len();
        let (writer, source) = fill_buffer(&self.node.budget, length);
        let first = beginner.and_then(|beginner| Some((beginner, source.reader()?)));
        self.ticket.fill.set(Phase::Streaming(Arc::new(Streaming {
            head: Arc::clone(&storable.head),
            scope: storable.scope.clone(),
            as_of: storable.as_of,
            local: self.storing.begun().local,
            fwd_status: self.completed.unwrap_or(storable.head.status),
            source,
        })));
        if let Some((beginner, reader)) = first {
            // Fails where the client has left: then it wants no reader either.
            let _ = beginner.send(Begun::Shared(reader));
        }
        Box::pin(Pour::new(self, storable, writer, length).run(body)).await;
    }

    /// The response is for the beginner alone.
    fn release(self, reason: NoStoreReason, response: Private, beginner: Option<oneshot::Sender<Begun>>) {
        // What the request made unstorable says nothing of the next request.
        if !reason.is_of_request() && !response.response.status().is_server_error() {
            self.storing.remember_unstorable(reason.as_str(), now());
        }
        self.ticket.leave(Outcome::Released);
        if let Some(beginner) = beginner
            && beginner.send(Begun::Private(response)).is_err()
        {
            debug!("the client left before its response came");
        }
        self.ticket.fill.set(Phase::Released(reason.as_str()));
    }
}

/// Asks for what follows the stored first bytes, if it is still the same representation (RFC 9110 §13.1.5).
fn ask_for_rest(request: &mut HeaderMap, stored: &StoredParts) {
    let held: usize = stored.parts.prefix().iter().flatten().map(Bytes::len).sum();
    let range = HeaderValue::from_str(&format!("bytes={held}-")).ok();
    if let (Some(etag), Some(range)) = (strong_etag(&stored.head.headers()), range) {
        request.insert(RANGE, range);
        request.insert(IF_RANGE, etag.clone());
    }
}

/// The whole response that stored first bytes and a 206 with the rest make; `None` where they do not fit together.
fn completed(stored: &StoredParts, prefix: &Pieces, answer: Answer) -> Option<Answer> {
    let held: u64 = prefix.iter().map(|piece| piece.len() as u64).sum();
    let range = ContentRange::parse(answer.response.headers())?;
    let complete = range.complete?;
    let is_rest = range.bytes.first == held && range.bytes.last + 1 == complete;
    let same = stored.parts.complete().is_none_or(|known| known == complete);
    if !is_rest || !same || !may_combine(&stored.head.headers(), answer.response.headers()) {
        return None;
    }
    // §3.4: the fields of the latest, but for what tells of its being a part.
    let (mut head, rest) = answer.response.into_parts();
    if rest.exact_len().is_some_and(|length| length != complete - held) {
        return None;
    }
    head.status = StatusCode::OK;
    head.headers.remove(CONTENT_RANGE);
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(complete));
    let body = pieces::before(prefix.iter().cloned(), rest);
    Some(Answer { response: Response::from_parts(head, body), ..answer })
}
