//! An HTTP/1.1 connection: guard below, hyper in the middle, the service above.

use std::sync::Arc;

use holm_model::limits::MAX_HEAD_BYTES;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::accept::{Listener, Place};
use super::drive::{End, Notice, drive};
use super::exchange::Exchange;
use super::gate::Gate;
use super::upgrade::Upgraded;
use crate::head::Guard;
use crate::service::{ConnInfo, Service};

/// A connection's bytes, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// The socket below.
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Serves one connection to its end, or until it leaves HTTP.
pub(super) async fn serve<S: Service>(stream: impl Stream, info: ConnInfo, listener: &Listener<S>, place: Place) {
    let gate = Arc::new(Gate::default());
    let peer = info.peer;
    let exchange = Exchange::new(listener, info, &gate);
    let guard = Guard::new(stream, Arc::clone(&gate));
    let service = service_fn(move |request| exchange.http1(request));
    let mut connection = builder().serve_connection(TokioIo::new(guard), service);
    let notice = (&listener.shutdown, Notice::BetweenRequests);
    let end =
        drive(&mut connection, |connection| connection.graceful_shutdown(), &gate, &listener.limits, notice).await;
    let parts = connection.into_parts();
    let mut guard = parts.io.into_inner();
    match end {
        End::Closed => {
            if let Some(waiting) = gate.take_granted_upgrade() {
                guard.unread(&parts.read_buf);
                // Where nobody waits any more, the connection closes.
                let _ = waiting.send(Box::pin(Upgraded { io: guard, _place: place }));
                return;
            }
            close(guard, listener).await;
        }
        End::Failed(error) if !breaks_response(&error) => {
            tracing::debug!(%peer, %error, "h1 connection failed");
            close(guard, listener).await;
        }
        end => {
            // A FIN could pass for the end of a response whose end the connection's end is.
            let _ = guard.get_ref().tcp().set_zero_linger();
            tracing::debug!(%peer, ?end, "h1 connection reset");
        }
    }
}

/// Ends a connection such that the last response arrives.
async fn close<S: Service>(mut guard: Guard<impl Stream>, listener: &Listener<S>) {
    let closing = async {
        // A second time does nothing.
        if guard.shutdown().await.is_ok() && guard.is_cut_short() {
            guard.discard_rest().await;
        }
    };
    let _ = tokio::time::timeout(listener.limits.linger, closing).await;
}

fn breaks_response(error: &hyper::Error) -> bool {
    error.is_user() || error.is_body_write_aborted()
}

/// `max_headers` stays as it is (and is the guard's limit too): set, it would cost an allocation for each request; and
/// `pipeline_flush` off: on, every body would be copied to stand beside its head, which `writev` does without.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        // A client that ends its side has left.
        .half_close(false)
        .max_buf_size(2 * MAX_HEAD_BYTES)
        // The guard and the driver watch the time.
        .header_read_timeout(None);
    builder
}
