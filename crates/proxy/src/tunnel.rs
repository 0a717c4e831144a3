//! Tunnels: a connection that left HTTP (WebSocket) on one side, two bodies of a full-duplex exchange on the other.

use bytes::{Bytes, BytesMut};
use holm_transport::body::{Body, BodySender};
use holm_transport::service::{Upgrade, UpgradedIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tracing::debug;

/// Joins a client's connection and an upstream's, once both have left HTTP, until both directions are done.
pub(crate) fn join(client: Upgrade, upstream: Upgrade) {
    tokio::spawn(async move {
        let ends = async { Ok::<_, std::io::Error>((client.take().await?, upstream.take().await?)) };
        match ends.await {
            Ok((mut client, mut upstream)) => {
                if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
                    debug!(%error, "a tunnel broke");
                }
            }
            Err(error) => debug!(%error, "an upgrade did not come about"),
        }
    });
}

/// The upgraded connection that stands for an exchange of two bodies: what is written goes to `outgoing`, what
/// `incoming` yields is read.
pub(crate) fn io_over_bodies(incoming: Body, outgoing: BodySender) -> Upgrade {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let (from_near, to_near) = tokio::io::split(far);
    tokio::spawn(pump_out(from_near, outgoing));
    tokio::spawn(pump_in(incoming, to_near));
    Upgrade::new(async move { Ok(Box::pin(near) as UpgradedIo) })
}

/// The body that yields what `upgrade` reads, while `incoming` is written to it.
pub(crate) fn body_over_io(incoming: Body, upgrade: Upgrade) -> Body {
    let (sender, body) = Body::channel(PIPE_FRAMES);
    tokio::spawn(async move {
        match upgrade.take().await {
            Ok(io) => {
                let (from_io, to_io) = tokio::io::split(io);
                tokio::join!(pump_out(from_io, sender), pump_in(incoming, to_io));
            }
            // The sender is dropped, so the body ends with an error.
            Err(error) => debug!(%error, "an upgrade did not come about"),
        }
    });
    body
}

async fn pump_out<R: tokio::io::AsyncRead>(mut from: ReadHalf<R>, mut to: BodySender) {
    let mut buffer = BytesMut::with_capacity(PIPE_BYTES);
    loop {
        let read = tokio::select! {
            read = from.read_buf(&mut buffer) => read,
            () = to.closed() => return,
        };
        match read {
            Ok(0) => {
                let _ = to.finish().await;
                return;
            }
            Ok(_) => {
                if to.send_data(buffer.split().freeze()).await.is_err() {
                    return;
                }
                buffer.reserve(PIPE_BYTES);
            }
            Err(error) => {
                debug!(%error, "a tunnel's connection broke");
                return;
            }
        }
    }
}

async fn pump_in<W: tokio::io::AsyncWrite>(mut from: Body, mut to: WriteHalf<W>) {
    while let Some(frame) = from.frame().await {
        let data: Bytes = match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(_)) => continue,
            Err(error) => {
                debug!(%error, "a tunnel's body broke");
                break;
            }
        };
        if to.write_all(&data).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// How much a tunnel holds in each direction.
const PIPE_BYTES: usize = 64 << 10;
const PIPE_FRAMES: usize = 4;
