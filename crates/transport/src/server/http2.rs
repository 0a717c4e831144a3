//! An HTTP/2 connection: h2 below, the service above, a task for each request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use h2::server::{Builder, Handshake, SendResponse};
use holm_model::limits::MAX_HEAD_BYTES;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};

use super::accept::Listener;
use super::drive::{End, Notice, drive};
use super::exchange::Exchange;
use super::gate::Gate;
use super::http2_stream::{Written, serve_request};
use super::limits::ServerLimits;
use crate::body::{Body, Side};
use crate::fields;
use crate::http2::{self, Heard, Listening, Moves, Pings, Silent, Stall};
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
    let mut connection = Connection::new(stream, exchange, listener.limits.clone());
    let notice = (&listener.shutdown, Notice::AtOnce);
    let wind_down = |connection: Pin<&mut Connection<_, _>>| connection.get_mut().wind_down();
    match drive(&mut connection, wind_down, &gate, &listener.limits, notice).await {
        End::Closed => {}
        end => tracing::debug!(%peer, ?end, "h2 connection ended"),
    }
}

/// A connection, from its preface to its end.
struct Connection<T, S> {
    state: State<T>,
    heard: Arc<Heard>,
    exchange: Arc<Exchange<S>>,
    limits: ServerLimits,
    moves: Moves,
    winding_down: bool,
}

enum State<T> {
    /// The client's preface is waited for.
    Beginning(Handshake<Listening<T>, Written>),
    /// Requests are taken.
    Open(h2::server::Connection<Listening<T>, Written>, Option<Pings>),
}

/// What ends a connection before its time.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Protocol(#[from] h2::Error),
    #[error("the client is silent: {0}")]
    Silent(#[from] Silent),
}

impl<T: AsyncRead + AsyncWrite + Unpin, S: Service> Connection<T, S> {
    fn new(io: T, exchange: Arc<Exchange<S>>, limits: ServerLimits) -> Self {
        let (io, heard) = Listening::new(io);
        let state = State::Beginning(builder(&limits).handshake(io));
        let moves = Moves::new(limits.stall);
        Self { state, heard, exchange, limits, moves, winding_down: false }
    }

    /// Ends as soon as the requests under way, and those that are on their way, are answered.
    fn wind_down(&mut self) {
        self.winding_down = true;
        if let State::Open(connection, _) = &mut self.state {
            connection.graceful_shutdown();
        }
    }

    fn open(&mut self, mut connection: h2::server::Connection<Listening<T>, Written>) {
        let (interval, timeout) = (self.limits.ping_interval, self.limits.ping_timeout);
        let pings = connection.ping_pong().map(|pings| Pings::new(pings, Arc::clone(&self.heard), interval, timeout));
        if self.winding_down {
            connection.graceful_shutdown();
        }
        self.state = State::Open(connection, pings);
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin, S: Service> Future for Connection<T, S> {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Beginning(handshake) => {
                    let connection = ready!(Pin::new(handshake).poll(cx))?;
                    this.open(connection);
                }
                State::Open(connection, pings) => {
                    match connection.poll_accept(cx) {
                        Poll::Ready(Some(accepted)) => {
                            let (request, respond) = accepted?;
                            spawn(&this.exchange, &this.moves, request, respond);
                        }
                        Poll::Ready(None) => return Poll::Ready(Ok(())),
                        // After what has arrived is read: a sign of life may be among it.
                        Poll::Pending => {
                            let Some(pings) = pings else { return Poll::Pending };
                            return pings.poll(cx, false).map(|silent| Err(silent.into()));
                        }
                    }
                }
            }
        }
    }
}

fn spawn<S: Service>(
    exchange: &Arc<Exchange<S>>,
    moves: &Moves,
    request: Request<h2::RecvStream>,
    respond: SendResponse<Written>,
) {
    // A head whose length is malformed is refused before the body is asked for.
    let length = fields::content_length(request.headers()).ok().flatten();
    let request: Request<Body> = request
        .map(|stream| http2::received_body(stream, length, Side::Client, http2::Hold::default(), Stall::on(moves)));
    tokio::spawn(serve_request(Arc::clone(exchange), request, respond, Stall::on(moves)));
}

fn builder(limits: &ServerLimits) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_concurrent_streams(limits.streams)
        .max_send_buffer_size(limits.send_buffer)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(Some(limits.local_resets));
    builder
}
