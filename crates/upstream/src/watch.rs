//! Watched bodies: a response's body that may not fall silent, and a request's body whose progress the wait for the response
//! knows of.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use holm_model::manifest::Timeouts;
use holm_transport::body::{Body, BodyError, BodyErrorKind, Side};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::idle::Lease;

/// Bounds the silence between two pieces of `body`; at its clean end the connection, if leased, goes back.
pub(crate) fn watched(body: Body, idle: Option<Duration>, lease: Option<Lease>) -> Body {
    if body.is_end_stream() {
        if let Some(lease) = lease {
            lease.give_back();
        }
        return Body::empty();
    }
    Body::stream(Watched { body, idle, sleep: None, armed: false, lease })
}

struct Watched {
    body: Body,
    idle: Option<Duration>,
    /// Made only once there is something to wait for.
    sleep: Option<Pin<Box<Sleep>>>,
    armed: bool,
    lease: Option<Lease>,
}

impl Watched {
    fn silent_for_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(idle) = self.idle else { return false };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        if !self.armed {
            sleep.as_mut().reset(Instant::now() + idle);
            self.armed = true;
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => {
                self.lease = None;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(frame) => {
                self.armed = false;
                if (frame.is_none() || self.body.is_end_stream())
                    && let Some(lease) = self.lease.take()
                {
                    lease.give_back();
                }
                Poll::Ready(frame)
            }
            Poll::Pending if self.silent_for_too_long(cx) => {
                self.lease = None;
                self.body = Body::empty();
                Poll::Ready(Some(Err(BodyError::new(BodyErrorKind::Timeout, Side::Upstream))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is known of a request's body on its way.
#[derive(Debug, Clone)]
pub(crate) struct Upload(Arc<Progress>);

#[derive(Debug)]
struct Progress {
    started: Instant,
    /// Milliseconds from `started` to the last piece.
    last: AtomicU64,
    ended: AtomicBool,
    failed: AtomicBool,
}

impl Upload {
    /// Watches a request's body; `None` if it has none.
    pub(crate) fn watch(body: Body) -> (Body, Option<Self>) {
        if body.is_end_stream() {
            return (body, None);
        }
        let progress = Progress {
            started: Instant::now(),
            last: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        };
        let upload = Self(Arc::new(progress));
        (Body::stream(Uploading { body, upload: upload.clone() }), Some(upload))
    }

    /// Did the body itself fail?
    pub(crate) fn failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// Until when the response's head may take: from the body's end on, `first_byte`; while it is still being sent, as long
    /// as pieces may be apart.
    pub(crate) fn deadline(&self, timeouts: &Timeouts) -> Instant {
        let last = self.0.started + Duration::from_millis(self.0.last.load(Ordering::Acquire));
        let ended = self.0.ended.load(Ordering::Acquire);
        last + if ended { timeouts.first_byte } else { timeouts.first_byte.max(timeouts.idle) }
    }

    fn progressed(&self) {
        let elapsed = self.0.started.elapsed().as_millis();
        self.0.last.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Release);
    }
}

struct Uploading {
    body: Body,
    upload: Upload,
}

impl HttpBody for Uploading {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.upload.progressed();
        let progress = &self.upload.0;
        progress.failed.fetch_or(matches!(frame, Some(Err(_))), Ordering::AcqRel);
        progress.ended.fetch_or(frame.is_none() || self.body.is_end_stream(), Ordering::AcqRel);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
