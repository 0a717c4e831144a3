//! One request of an HTTP/2 connection: the service is asked, interim responses and the final one are sent.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::poll_fn;
use h2::Reason;
use h2::server::SendResponse;
use http::header::DATE;
use http::{Request, Response};
use http_body::Body as _;

use super::date;
use super::exchange::{Answer, Exchange};
use super::outgoing::Busy;
use crate::body::Body;
use crate::http2::{Piece, SendFailure, Stall, send_body};
use crate::interim::Interims;
use crate::service::Service;

/// What h2 is given to write: while it holds some, the request is under way.
pub(super) type Written = Piece<Arc<Busy>>;

/// Serves one request to its end.
pub(super) async fn serve_request<S: Service>(
    exchange: Arc<Exchange<S>>,
    request: Request<Body>,
    mut respond: SendResponse<Written>,
    stall: Stall,
) {
    let Some(Answer { response, length, busy }) = answer(&exchange, request, &mut respond).await else { return };
    let (mut parts, body) = response.into_parts();
    // RFC 9110 §6.6.1.
    parts.headers.entry(DATE).or_insert_with(date::now);
    let is_whole = body.is_end_stream() && length.unwrap_or(0) == 0;
    let mut stream = match respond.send_response(Response::from_parts(parts, ()), is_whole) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "an h2 response could not be sent");
            return respond.send_reset(Reason::INTERNAL_ERROR);
        }
    };
    if is_whole {
        return;
    }
    match send_body(&mut stream, body, length, Arc::new(busy), stall).await {
        Ok(()) => {}
        Err(SendFailure::Peer(error)) => tracing::debug!(%error, "an h2 response was not wanted"),
        Err(SendFailure::Stalled) => {
            tracing::debug!("an h2 response was not taken");
            stream.send_reset(Reason::CANCEL);
        }
        Err(SendFailure::Body(error)) => {
            tracing::debug!(%error, "an h2 response broke off");
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// Asks the service, and sends interim responses until it answers; `None` once the client is gone.
async fn answer<S: Service>(
    exchange: &Exchange<S>,
    request: Request<Body>,
    respond: &mut SendResponse<Written>,
) -> Option<Answer> {
    let interims = Interims::new();
    let mut answer = pin!(exchange.http2(request, &interims));
    poll_fn(|cx| {
        let answered = answer.as_mut().poll(cx);
        if answered.is_pending() && respond.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        if answered.is_ready() {
            interims.close();
        }
        send_interims(&interims, respond, cx);
        answered.map(Some)
    })
    .await
}

/// h2 takes heads at once, whether or not the client does: [`Interims`] bounds how many.
fn send_interims(interims: &Interims, respond: &mut SendResponse<Written>, cx: &mut Context<'_>) {
    while let Poll::Ready(Some(heads)) = interims.poll_sent(cx) {
        for head in heads {
            // h2 itself does not look whether the stream is gone.
            if respond.poll_reset(cx).is_ready() {
                return;
            }
            if let Err(error) = respond.send_informational(head.into_response()) {
                tracing::debug!(%error, "an interim response was not sent");
            }
        }
    }
}
