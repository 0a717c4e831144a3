//! Limits and faults: what one call may use, and that a call which is ended costs no other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holm_telemetry::{Registry, names};
use holm_wasm_host::FaultReason;
use http::StatusCode;

use crate::support::{Recorder, call, get, guest, host, host_with, load, read, spec, until};

const SPIN: &str = "(loop $l (br $l))";
const HELLO: &str = "(call $answer (local.get $out) (i32.const 200) (i32.const 0)) (call $hello) (call $end)";
/// Grows its memory until it is refused, then traps as an allocator does.
const HOARD: &str = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
/// Waits for an answer that never comes: it writes a body that nobody reads.
const STALL: &str = "(call $upload) (loop $l (call $hello) (br $l))";

#[tokio::test]
async fn faults_have_names() {
    let host = host();
    let check = async |body: &str, reason: FaultReason, status: StatusCode, words: &str| {
        let fault = call(&load(&host, body), "/").await.err().unwrap_or_else(|| panic!("{body}: a response"));
        assert_eq!((fault.reason, fault.status()), (reason, status), "{fault}");
        assert!(fault.message.contains(words), "{fault}");
    };
    let internal = StatusCode::INTERNAL_SERVER_ERROR;
    check("unreachable", FaultReason::Trap, internal, "unreachable").await;
    check("", FaultReason::NoResponse, internal, "without a response").await;
    check(HOARD, FaultReason::MemoryLimit, internal, "unreachable").await;
    check(SPIN, FaultReason::CpuLimit, internal, "100ms").await;
    let interim = "(call $answer (local.get $out) (i32.const 103) (i32.const 0))";
    check(interim, FaultReason::BadResponse, internal, "103").await;
}

#[tokio::test]
async fn a_call_after_a_fault_is_fine() {
    let host = host();
    let bad = load(&host, "unreachable");
    let good = load(&host, HELLO);
    // More often than there are instances: each slot is given back.
    for _ in 0..20 {
        assert_eq!(call(&bad, "/").await.err().map(|fault| fault.reason), Some(FaultReason::Trap));
        let response = call(&good, "/").await.expect("a response");
        assert_eq!(read(response.into_body()).await.0, "hello");
    }
}

#[tokio::test]
async fn a_busy_guest_does_not_hold_its_thread() {
    let host = host_with(|config| config.threads = 1);
    let good = load(&host, HELLO);
    let mut limits = spec();
    limits.cpu = Duration::from_millis(500);
    let busy = host.load("site", "busy", &limits, &guest(SPIN)).expect("the guest loads");
    let began = Instant::now();
    let busy = tokio::spawn(busy.call(get("/"), Arc::new(Recorder::default())));
    // All of these run on the one thread while the busy guest still has time left.
    for _ in 0..10 {
        assert!(call(&good, "/").await.is_ok());
    }
    assert!(!busy.is_finished(), "the others took {:?}", began.elapsed());
    let fault = busy.await.expect("no panic").expect_err("a fault");
    assert_eq!(fault.reason, FaultReason::CpuLimit);
}

#[tokio::test]
async fn a_guest_that_waits_too_long_is_ended() {
    let host = host();
    let mut limits = spec();
    limits.wall = Duration::from_millis(50);
    let module = host.load("site", "stall", &limits, &guest(STALL)).expect("the guest loads");
    let (uploads, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let fault = module.call(get("/"), Arc::new(Recorder { uploads: Some(uploads) })).await.expect_err("a fault");
    assert_eq!((fault.reason, fault.status()), (FaultReason::WallLimit, StatusCode::GATEWAY_TIMEOUT));
    // The guest's store has gone when its request's body ends, and that is an error.
    let (_, _, error) = read(seen.recv().await.expect("a request").body).await;
    assert!(error.is_some());
}

#[tokio::test]
async fn a_caller_that_leaves_ends_its_call() {
    let host = host_with(|config| config.instances = 1);
    let stalled = load(&host, STALL);
    let good = load(&host, HELLO);
    let (uploads, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let waiting = tokio::spawn(stalled.call(get("/"), Arc::new(Recorder { uploads: Some(uploads) })));
    let upload = seen.recv().await.expect("the guest runs");
    waiting.abort();
    // There is one instance only: this call gets it when the other has ended.
    assert!(call(&good, "/").await.is_ok());
    assert!(read(upload.body).await.2.is_some());
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let host = host_with(|config| {
        config.instances = 1;
        config.queue = 1;
        config.calls_per_handler = 2;
    });
    let (uploads, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let outbound = Arc::new(Recorder { uploads: Some(uploads) });
    let stalled = load(&host, STALL);
    let mut waiting = vec![tokio::spawn(stalled.call(get("/"), outbound.clone()))];
    let _running = seen.recv().await.expect("the first runs");
    waiting.push(tokio::spawn(stalled.call(get("/"), outbound.clone())));
    tokio::task::yield_now().await;
    let same = call(&stalled, "/").await.expect_err("refused");
    assert_eq!((same.reason, same.status()), (FaultReason::TooManyCalls, StatusCode::SERVICE_UNAVAILABLE));
    let other = call(&load(&host, HELLO), "/").await.expect_err("refused");
    assert_eq!((other.reason, other.status()), (FaultReason::QueueFull, StatusCode::SERVICE_UNAVAILABLE));
    for call in waiting {
        call.abort();
    }
}

#[tokio::test]
async fn numbers_are_kept_by_outcome() {
    let host = host_with(|config| config.threads = 1);
    let (good, bad) = (load(&host, HELLO), load(&host, "unreachable"));
    for _ in 0..3 {
        let response = call(&good, "/").await.expect("a response");
        read(response.into_body()).await;
    }
    assert!(call(&bad, "/").await.is_err());
    let registry = Registry::default();
    // A call is counted after its caller has its answer.
    until("four calls are counted", || {
        host.collect(&registry);
        registry.sum(names::HANDLER_OUTCOMES) >= 4.0
    })
    .await;
    host.collect(&registry);
    assert_eq!(registry.sum(names::HANDLER_OUTCOMES), 4.0);
    assert!(registry.sum(names::HANDLER_SECONDS) > 0.0);
    assert!(registry.sum(names::HANDLER_CPU_SECONDS) > 0.0);
    assert_eq!(registry.sum(names::HANDLER_MEMORY), 65536.0);
}
