//! Requests that guests send: the public advisories of the runtime's own way out, against ours.

use std::sync::Arc;

use holm_wasm_host::{GuestBodyError, MAX_OUTBOUND};

use crate::support::{Answering, Recorder, call, get, host, load, read, until};

/// Answers 200 if the number on the stack is 0, 400 if it is not.
fn status_of(number: &str) -> String {
    format!(
        "(call $answer (local.get $out) (select (i32.const 400) (i32.const 200) {number}) (i32.const 0)) (call $end)"
    )
}

#[tokio::test]
async fn a_path_can_not_name_another_host() {
    // GHSA-5qpp-g3j2-8frx.
    let host = host();
    let check = async |path: &str, expected: u16| {
        let response = call(&load(&host, &status_of(path)), "/").await.expect("a response");
        assert_eq!(response.status(), expected, "{path}");
    };
    check("(call $path (i32.const 96) (i32.const 5))", 200).await;
    check("(call $path (i32.const 64) (i32.const 17))", 400).await;
}

#[tokio::test]
async fn a_long_path_is_refused() {
    // GHSA-w36r-2hch-9xp9: 65,535 bytes are the most that a URI has room for; zeros are no path either.
    let host = host();
    let fill = "(memory.fill (i32.const 2048) (i32.const 47) (i32.const 60000))";
    let send = "(local.set $i (call $new-request (call $fields (i32.const 0)))) \
                (drop (call $set-authority (local.get $i) (i32.const 1) (i32.const 48) (i32.const 9))) \
                (drop (call $set-path (local.get $i) (i32.const 1) (i32.const 2048) (i32.const 60000))) \
                (call $send (local.get $i) (i32.const 0) (i32.const 0) (i32.const 1024))";
    let answer = "(call $answer (local.get $out) (i32.const 200) (i32.const 0)) (call $hellos) (call $end)";
    let module = load(&host, &format!("{fill} {send} {answer}"));
    let outbound = Answering::new(|_| http::Response::new(holm_wasm_host::empty()));
    let response = module.call(get("/"), outbound.clone()).await.expect("a response");
    assert_eq!(read(response.into_body()).await.0, "hello".repeat(4));
    assert!(outbound.asked.lock().is_empty());
}

#[tokio::test]
async fn the_host_is_the_authority() {
    let host = host();
    let module = load(&host, "(call $upload) (loop $l (call $hello) (br $l))");
    let (uploads, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let waiting = tokio::spawn(module.call(get("/"), Arc::new(Recorder { uploads: Some(uploads) })));
    let upload = seen.recv().await.expect("a request");
    assert_eq!(upload.request.uri(), "https://a.example/path");
    let hosts: Vec<_> = upload.request.headers().get_all("host").iter().collect();
    assert_eq!(hosts, ["a.example"]);
    waiting.abort();
}

#[tokio::test]
async fn an_upload_that_is_cut_short_ends_in_an_error() {
    let host = host();
    let check = async |end: &str, whole: bool| {
        let (uploads, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let module = load(&host, &format!("(call $upload) {end}"));
        let waiting = tokio::spawn(module.call(get("/"), Arc::new(Recorder { uploads: Some(uploads) })));
        let (data, _, error) = read(seen.recv().await.expect("a request").body).await;
        assert!(waiting.await.expect("no panic").is_err());
        assert_eq!(data, "hello".repeat(4), "{end}");
        assert_eq!(error.is_none(), whole, "{end}: {error:?}");
        assert!(matches!(error, None | Some(GuestBodyError::Unfinished | GuestBodyError::Fault(_))), "{error:?}");
    };
    check("(call $end)", true).await;
    check("", false).await;
    check("unreachable", false).await;
    check("(loop $l (br $l))", false).await;
}

#[tokio::test]
async fn the_number_of_requests_is_limited() {
    let host = host();
    let more = MAX_OUTBOUND + 10;
    let ask = format!(
        "(local.set $i (i32.const {more})) \
         (loop $l (drop (call $get)) (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $l (local.get $i)))"
    );
    // The guest can't write the whole body before it is read, so it lives until all requests are out.
    let answer = "(call $answer (local.get $out) (i32.const 200) (i32.const 0)) (call $hellos) (call $end)";
    let module = load(&host, &format!("{ask} {answer}"));
    let outbound = Answering::new(|_| http::Response::new(holm_wasm_host::empty()));
    let response = module.call(get("/"), outbound.clone()).await.expect("a response");
    until("the requests are out", || outbound.asked.lock().len() >= MAX_OUTBOUND as usize).await;
    assert_eq!(read(response.into_body()).await.0, "hello".repeat(4));
    assert_eq!(outbound.asked.lock().len(), MAX_OUTBOUND as usize);
}

#[tokio::test]
async fn a_response_does_not_wait_for_the_upload_s_reader() {
    // A cache answers and drops the request's body: the guest's writing goes on, to nowhere.
    let host = host();
    let answer = "(call $end) (call $answer (local.get $out) (i32.const 200) (i32.const 0)) (call $hello) (call $end)";
    let module = load(&host, &format!("(call $upload) {answer}"));
    let outbound = Answering::new(|_| http::Response::new(holm_wasm_host::empty()));
    let response = module.call(get("/"), outbound).await.expect("a response");
    assert_eq!(read(response.into_body()).await.0, "hello");
}
