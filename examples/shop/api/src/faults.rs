//! What a broken handler does. Each costs its own request, and no other.

use std::convert::Infallible;
use std::hint::black_box;

use futures_lite::stream::unfold;
use wstd::http::body::Bytes;
use wstd::http::{Body, Error, Response};

type Answer = Result<Response<Body>, Error>;

/// Panics: the client gets a 500, the log the backtrace.
pub fn trap() -> Answer {
    panic!("asked to panic");
}

/// Never ends: stopped when its `cpu` is used up.
pub fn spin() -> Answer {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes memory until it gets no more: its `memory` is the most.
pub fn hoard() -> Answer {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Panics in the middle of its body: the client sees a broken transfer, never a short page that looks whole.
pub fn cut() -> Answer {
    let body = unfold(0, |piece| async move {
        if piece == 3 {
            panic!("asked to panic in mid-body");
        }
        Some((Ok::<_, Infallible>(Bytes::from_static(b"a piece of the body\n")), piece + 1))
    });
    Ok(Response::new(Body::from_try_stream(body)))
}

/// Declares more bytes than it writes: that is a broken transfer too.
pub fn short() -> Answer {
    let body = unfold(0, |piece| async move {
        (piece == 0).then(|| (Ok::<_, Infallible>(Bytes::from_static(b"too short")), 1))
    });
    Ok(Response::builder().header("content-length", "100").body(Body::from_try_stream(body))?)
}

/// Waits for longer than any handler may: a 504 when its `wall` is over.
pub async fn silent() -> Answer {
    wstd::task::sleep(wstd::time::Duration::from_secs(3600)).await;
    Ok(Response::new(Body::empty()))
}
