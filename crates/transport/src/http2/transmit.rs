//! Transmitting: a body on its way into an HTTP/2 stream, as fast as the peer takes it.

use std::error::Error;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::poll_fn;
use h2::SendStream;
use http_body::{Body as HttpBody, Frame};

/// Why a body could not be sent whole; the stream is then to be reset.
#[derive(Debug)]
pub(crate) enum SendFailure<E> {
    /// The peer wants no more, or the connection is gone.
    Peer(h2::Error),
    /// The body failed.
    Body(E),
}

/// Sends a body and ends the stream.
pub(crate) async fn send_body<B>(stream: &mut SendStream<Bytes>, body: B) -> Result<(), SendFailure<B::Error>>
where
    B: HttpBody<Data = Bytes, Error: Error>,
{
    let mut body = pin!(body);
    loop {
        let frame = poll_fn(|cx| poll_frame(stream, body.as_mut(), cx)).await?;
        let Some(frame) = frame else { return stream.send_data(Bytes::new(), true).map_err(SendFailure::Peer) };
        match frame.into_data() {
            Ok(data) => {
                let is_last = body.is_end_stream();
                if !data.is_empty() {
                    // One byte's worth, once there is a byte: a claim on the connection's window that may not be used
                    // would hold up other streams (hyper #4003). h2 raises it to what is sent.
                    stream.reserve_capacity(1);
                    poll_fn(|cx| poll_capacity(stream, cx)).await.map_err(SendFailure::Peer)?;
                }
                stream.send_data(data, is_last).map_err(SendFailure::Peer)?;
                if is_last {
                    return Ok(());
                }
            }
            Err(frame) => {
                let Ok(trailers) = frame.into_trailers() else { continue };
                stream.reserve_capacity(0);
                return stream.send_trailers(trailers).map_err(SendFailure::Peer);
            }
        }
    }
}

type Polled<E> = Poll<Result<Option<Frame<Bytes>>, SendFailure<E>>>;

/// The body's next frame, unless the peer resets the stream before.
fn poll_frame<B>(stream: &mut SendStream<Bytes>, body: Pin<&mut B>, cx: &mut Context<'_>) -> Polled<B::Error>
where
    B: HttpBody<Data = Bytes>,
{
    if let Poll::Ready(reset) = poll_reset(stream, cx) {
        return Poll::Ready(Err(SendFailure::Peer(reset)));
    }
    body.poll_frame(cx).map(|frame| frame.transpose().map_err(SendFailure::Body))
}

fn poll_capacity(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
    if let Poll::Ready(reset) = poll_reset(stream, cx) {
        return Poll::Ready(Err(reset));
    }
    while stream.capacity() == 0 {
        match stream.poll_capacity(cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            // The stream is no longer one that anything is sent on.
            Poll::Ready(None) => return Poll::Ready(Err(h2::Reason::CANCEL.into())),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(()))
}

fn poll_reset(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<h2::Error> {
    stream.poll_reset(cx).map(|reset| match reset {
        Ok(reason) => reason.into(),
        Err(error) => error,
    })
}
