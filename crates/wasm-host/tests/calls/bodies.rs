//! Response bodies: whole, or ended by an error; never cut short as if they were whole.

use std::sync::Arc;

use holm_wasm_host::{FaultReason, GuestBodyError, empty};
use http::Request;
use http_body::Body as _;

use crate::support::{Recorder, call, host, host_with, load, read};

/// What a body is expected to end in.
#[derive(Debug, PartialEq)]
enum End {
    Whole,
    Unfinished,
    Length,
    Fault(FaultReason),
}

#[tokio::test]
async fn a_body_ends_as_its_guest_ended_it() {
    let host = host();
    let check = async |body: &str, data: &str, end: End| {
        let response = call(&load(&host, body), "/").await.unwrap_or_else(|fault| panic!("{body}: {fault}"));
        let (read, _, error) = read(response.into_body()).await;
        let ended = match error {
            None => End::Whole,
            Some(GuestBodyError::Unfinished) => End::Unfinished,
            Some(GuestBodyError::Length { declared: 5 }) => End::Length,
            Some(GuestBodyError::Fault(fault)) => End::Fault(fault.reason),
            Some(error) => panic!("{body}: {error}"),
        };
        assert_eq!((&*read, ended), (data.as_bytes(), end), "{body}");
    };
    let with = |lengths: u32, rest: &str| {
        format!("(call $answer (local.get $out) (i32.const 200) (i32.const {lengths})) {rest}")
    };
    check(&with(0, "(call $hello) (call $end)"), "hello", End::Whole).await;
    check(&with(0, "(call $end)"), "", End::Whole).await;
    check(&with(1, "(call $hello) (call $end)"), "hello", End::Whole).await;
    check(&with(0, "(call $hello)"), "hello", End::Unfinished).await;
    check(&with(0, "(call $hello) unreachable"), "hello", End::Fault(FaultReason::Trap)).await;
    check(&with(0, "(call $hello) (loop $l (br $l))"), "hello", End::Fault(FaultReason::CpuLimit)).await;
    check(&with(1, "(call $end)"), "", End::Length).await;
    check(&with(1, ""), "", End::Length).await;
    check(&with(1, "(call $hello) (call $hello) (call $end)"), "hello", End::Length).await;
}

#[tokio::test]
async fn a_guest_can_not_declare_two_lengths() {
    let host = host();
    let twice = "(call $answer (local.get $out) (i32.const 200) (i32.const 2)) (call $hello) (call $end)";
    let response = call(&load(&host, twice), "/").await.expect("a response");
    assert_eq!(response.headers().get_all("content-length").iter().count(), 1);
    assert_eq!(response.body().size_hint().exact(), Some(5));
}

#[tokio::test]
async fn trailers_pass_without_framing_fields() {
    let host = host();
    let body = "(call $answer (local.get $out) (i32.const 200) (i32.const 0)) (call $hello) (call $end-with-trailers)";
    let response = call(&load(&host, body), "/").await.expect("a response");
    let (data, trailers, error) = read(response.into_body()).await;
    assert_eq!(data, "hello");
    assert!(error.is_none());
    let trailers = trailers.expect("trailers");
    assert_eq!(trailers.get("x-trailer").map(http::HeaderValue::as_bytes), Some(&b"5"[..]));
    assert_eq!(trailers.get("content-length"), None);
}

#[tokio::test]
async fn the_length_of_a_head_response_is_not_its_body_s() {
    let host = host();
    let module = load(
        &host,
        "(call $answer (local.get $out) (i32.const 200) (i32.const 1)) (call $drop-stream (global.get $stream))",
    );
    let request = Request::head("http://shop.example/").body(empty()).expect("a request");
    let response = module.call(request, Arc::new(Recorder::default())).await.expect("a response");
    assert_eq!(response.headers()["content-length"], "5");
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_call() {
    let host = host_with(|config| config.instances = 1);
    let endless =
        load(&host, "(call $answer (local.get $out) (i32.const 200) (i32.const 0)) (loop $l (call $hello) (br $l))");
    // There is one instance only: each call but the first needs the one before to be over.
    for _ in 0..5 {
        drop(call(&endless, "/").await.expect("a response"));
    }
}
