//! An origin server to try a CDN with. It answers as the query of a request asks, and counts what it was asked, so that
//! one can see which requests a cache let through. HTTP/1.1 and, by prior knowledge, HTTP/2 on one port.

mod answer;
mod body;
mod counts;
mod wishes;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::answer::answer;
use crate::counts::Counts;

/// An origin server that answers as the query asks, and counts
///
/// `?size=N&cache-control=TEXT&tag=A,B&etag=TEXT&vary=FIELD&status=N&delay=MS` shape the response; a request with a body
/// gets it back. `/-/requests` tells how often each path was asked for, `/-/healthz` answers 200; neither is counted.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The name in the responses
    #[arg(long, default_value = "origin")]
    name: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("{}", serde_json::json!({ "url": url, "name": args.name }));
    let counts = Arc::new(Counts::new(args.name));
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = accept(listener, counts) => Ok(()),
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("no signals"),
    }
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&counts)));
            }
            // Out of descriptors, or a client that has gone: the next one may do better.
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Serves one connection. Its errors are the client's business.
async fn serve(stream: TcpStream, counts: Arc<Counts>) {
    let _ = stream.set_nodelay(true);
    let http2 = starts_http2(&stream).await;
    let service = service_fn(move |request| answer(Arc::clone(&counts), request));
    let io = TokioIo::new(stream);
    let _ = if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service).await
    };
}

/// Does the connection begin with HTTP/2's preface (RFC 9113 §3.4)? No HTTP/1.1 method begins like it.
async fn starts_http2(stream: &TcpStream) -> bool {
    let mut head = [0; PREFACE.len()];
    matches!(stream.peek(&mut head).await, Ok(length) if length > 0 && PREFACE.starts_with(&head[..length]))
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0";
