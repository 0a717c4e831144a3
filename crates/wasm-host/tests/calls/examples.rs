//! The examples' own handlers, where they are built.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use holm_model::manifest::HandlerSpec;
use holm_model::units::ByteSize;
use holm_wasm_host::{FaultReason, GuestBodyError, HandlerModule, Host, empty, full};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;

use crate::support::{Answering, Recorder, call, example, get, host, read, spec};

const HELLO: &str = "hello/target/wasm32-wasip2/release/hello.wasm";
const SHOP: &str = "shop/api/target/wasm32-wasip2/release/api.wasm";

/// The shop's handler with time enough for a busy machine.
fn shop(host: &Host) -> Option<HandlerModule> {
    let limits = HandlerSpec { memory: ByteSize::mib(32), cpu: Duration::from_secs(1), ..spec() };
    example(SHOP).map(|component| host.load("shop", "api", &limits, &component).expect("the shop loads"))
}

#[tokio::test]
async fn hello() {
    let host = host();
    let Some(component) = example(HELLO) else { return };
    let module = host.load("hello", "hello", &spec(), &component).expect("hello loads");
    let response = call(&module, "/some/path?q").await.expect("a response");
    assert_eq!(response.headers()["x-handler"], "hello");
    let (data, _, error) = read(response.into_body()).await;
    assert_eq!((&*data, error.is_none()), (&b"Hello from Holm! You asked for /some/path.\n"[..], true));
}

#[tokio::test]
async fn an_offer_joins_two_fetches_from_its_own_host() {
    let host = host();
    let Some(module) = shop(&host) else { return };
    let outbound = Answering::new(|request| {
        assert!(request.body().is_end_stream(), "a GET bears no body");
        let said = if request.uri().path() == "/origin/price" { "12.50" } else { "plenty" };
        Response::builder().header("cache-status", "holm-edge; hit").body(full(said)).expect("a response")
    });
    let response = module.call(get("/api/offer"), outbound.clone()).await.expect("a response");
    let (data, _, _) = read(response.into_body()).await;
    let text = String::from_utf8_lossy(&data);
    let part = |said: &str| format!(r#"{{"status":200,"cache":"holm-edge; hit","said":{said}}}"#);
    let expected = format!(r#"{{"currency":"EUR","price":{},"stock":{}}}"#, part("12.5"), part(r#""plenty""#));
    assert_eq!(text, expected);
    let mut asked = outbound.asked.lock().clone();
    asked.sort();
    assert_eq!(asked, ["http://shop.example/origin/price", "http://shop.example/origin/stock"]);
}

#[tokio::test]
async fn an_echo_streams_both_ways() {
    let host = host();
    let Some(module) = shop(&host) else { return };
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, GuestBodyError>>(1);
    let receiver = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let request = Request::post("http://shop.example/api/echo").body(StreamBody::new(receiver).boxed_unsync());
    let call = tokio::spawn(module.call(request.expect("a request"), Arc::new(Recorder::default())));
    let mut body = call.await.expect("no panic").expect("a response").into_body();
    // Each piece comes back before the next is sent: nothing waits for the end.
    for piece in ["one", "two", "three"] {
        sender.send(Ok(Frame::data(piece.into()))).await.expect("the guest reads");
        let frame = body.frame().await.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().ok().as_deref(), Some(piece.as_bytes()));
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "3".parse().expect("a value"));
    sender.send(Ok(Frame::trailers(trailers.clone()))).await.expect("the guest reads");
    drop(sender);
    assert_eq!(read(body).await.1, Some(trailers));
}

#[tokio::test]
async fn an_echo_holds_back_a_sender_that_is_too_fast() {
    let host = host();
    let Some(module) = shop(&host) else { return };
    let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let pieces = stream::repeat_with(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Frame::data(Bytes::from_static(&[7; 64 << 10])))
    });
    let request = Request::post("http://shop.example/api/echo");
    let request = request.body(StreamBody::new(pieces.take(1600)).boxed_unsync()).expect("a request");
    let response = module.call(request, Arc::new(Recorder::default())).await.expect("a response");
    let mut body = response.into_body();
    let mut bytes = 0;
    while bytes < 5 << 20 {
        bytes += body.frame().await.expect("more").expect("no error").into_data().map_or(0, |data| data.len());
    }
    let ahead = taken.load(std::sync::atomic::Ordering::Relaxed) * (64 << 10) - bytes;
    assert!(ahead <= 1 << 20, "{ahead} bytes are held");
}

#[tokio::test]
async fn broken_handlers() {
    let host = host();
    let Some(module) = shop(&host) else { return };
    let check = async |path: &str, reason: FaultReason, words: &str| {
        let fault = call(&module, path).await.expect_err("a fault");
        assert_eq!(fault.reason, reason, "{path}: {fault}");
        assert!(fault.message.contains(words), "{path}: {fault}");
    };
    check("/api/trap", FaultReason::Trap, "panicking").await;
    check("/api/spin", FaultReason::CpuLimit, "wasm backtrace").await;
    check("/api/hoard", FaultReason::MemoryLimit, "").await;
    let end = async |path: &str| {
        let request = Request::get(format!("http://shop.example{path}")).body(empty()).expect("a request");
        let response = module.call(request, Arc::new(Recorder::default())).await.expect("a response");
        read(response.into_body()).await.2
    };
    assert!(matches!(end("/api/cut").await, Some(GuestBodyError::Fault(_))));
    assert!(matches!(end("/api/short").await, Some(GuestBodyError::Length { declared: 100 })));
    assert_eq!(call(&module, "/api/none").await.expect("a response").status(), 404);
}
