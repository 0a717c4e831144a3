//! Tunnels: a connection that left HTTP (WebSocket) on one side, two bodies of a full-duplex exchange on the other.

use std::io;

use bytes::{Bytes, BytesMut};
use holm_transport::body::{Body, BodySender};
use holm_transport::service::{Upgrade, UpgradedIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tracing::debug;

/// Joins a client's connection and an upstream's, once both have left HTTP, until both directions are done.
pub(crate) fn join(client: Upgrade, upstream: Upgrade) {
    tokio::spawn(async move {
        let ends = async { Ok::<_, io::Error>((client.take().await?, upstream.take().await?)) };
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
    tokio::spawn(pump(from_near, outgoing, incoming, to_near));
    Upgrade::new(async move { Ok(Box::pin(near) as UpgradedIo) })
}

/// The body that yields what `upgrade` reads, while `incoming` is written to it.
pub(crate) fn body_over_io(incoming: Body, upgrade: Upgrade) -> Body {
    let (sender, body) = Body::channel(PIPE_FRAMES);
    tokio::spawn(async move {
        match upgrade.take().await {
            Ok(io) => {
                let (from_io, to_io) = tokio::io::split(io);
                pump(from_io, sender, incoming, to_io).await;
            }
            // The sender is dropped, so the body ends with an error.
            Err(error) => debug!(%error, "an upgrade did not come about"),
        }
    });
    body
}

/// Both directions until both are done, or until one breaks: then the other ends too, and neither as if all were said.
async fn pump<R, W>(from_io: ReadHalf<R>, outgoing: BodySender, incoming: Body, to_io: WriteHalf<W>)
where
    R: tokio::io::AsyncRead,
    W: tokio::io::AsyncWrite,
{
    if let Err(error) = tokio::try_join!(pump_out(from_io, outgoing), pump_in(incoming, to_io)) {
        debug!(%error, "a tunnel broke");
    }
}

async fn pump_out<R: tokio::io::AsyncRead>(mut from: ReadHalf<R>, mut to: BodySender) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(PIPE_BYTES);
    loop {
        let read = tokio::select! {
            read = from.read_buf(&mut buffer) => read?,
            () = to.closed() => return Err(io::Error::other("the body's reader is gone")),
        };
        if read == 0 {
            return to.finish().await.map_err(io::Error::other);
        }
        to.send_data(buffer.split().freeze()).await.map_err(io::Error::other)?;
        buffer.reserve(PIPE_BYTES);
    }
}

async fn pump_in<W: tokio::io::AsyncWrite>(mut from: Body, mut to: WriteHalf<W>) -> io::Result<()> {
    while let Some(frame) = from.frame().await {
        // Trailers mean nothing in a tunnel.
        let Ok(data): Result<Bytes, _> = frame.map_err(io::Error::other)?.into_data() else { continue };
        to.write_all(&data).await?;
        to.flush().await?;
    }
    to.shutdown().await
}

/// How much a tunnel holds in each direction.
const PIPE_BYTES: usize = 64 << 10;
const PIPE_FRAMES: usize = 4;
