//! An HTTP/2 connection: hyper below, the service above.

use std::sync::Arc;

use holm_model::limits::MAX_HEAD_BYTES;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::accept::Listener;
use super::drive::{End, Notice, drive};
use super::exchange::Exchange;
use super::gate::Gate;
use super::limits::ServerLimits;
use crate::service::{ConnInfo, Service};

/// Serves one connection to its end.
pub(super) async fn serve<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    info: ConnInfo,
    listener: &Listener<S>,
) {
    let gate = Arc::new(Gate::default());
    let peer = info.peer;
    let exchange = Exchange::new(listener, info, &gate);
    let service = service_fn(move |request| exchange.http2(request));
    let mut connection = builder(&listener.limits).serve_connection(TokioIo::new(stream), service);
    let notice = (&listener.shutdown, Notice::AtOnce);
    match drive(&mut connection, |connection| connection.graceful_shutdown(), &gate, &listener.limits, notice).await {
        End::Closed => {}
        end => tracing::debug!(%peer, ?end, "h2 connection ended"),
    }
}

fn builder(limits: &ServerLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .adaptive_window(false)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_concurrent_streams(limits.streams)
        .max_send_buf_size(limits.send_buffer)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(limits.local_resets)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    builder
}
