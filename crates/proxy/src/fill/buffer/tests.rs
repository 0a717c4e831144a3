//! The fill buffer: readers, limits, endings; and any order of events against the bytes that were pushed.

mod interleaved;

use std::pin::Pin;
use std::task::Context;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::task::noop_waker;
use http_body::Body as _;
use http_body_util::BodyExt;

use super::*;

const MIB: usize = 1 << 20;

/// Reads a whole reader: the bytes, and whether it ended cleanly.
async fn drain(mut reader: FillReader) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    while let Some(frame) = reader.frame().await {
        match frame {
            Ok(frame) => all.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => return (all, false),
        }
    }
    (all, true)
}

fn buffer(budget: u64) -> (FillWriter, FillSource) {
    fill_buffer(&FillBudget::new(budget), None)
}

async fn push(writer: &FillWriter, bytes: &'static [u8]) {
    writer.push(Bytes::from_static(bytes)).await.expect("fits");
}

/// How a body is written.
#[derive(Debug, Clone, Copy)]
enum End {
    Finished,
    Failed,
    Dropped,
}

#[tokio::test]
async fn every_reader_gets_every_byte_wherever_it_joins() {
    let check = async |end: End, clean: bool| {
        let (writer, source) = buffer(1 << 20);
        let early = source.reader().expect("whole");
        push(&writer, b"abc").await;
        let middle = source.reader().expect("whole");
        push(&writer, b"def").await;
        let mut readers = vec![early, middle, source.reader().expect("whole")];
        match end {
            End::Finished => writer.finish(None),
            End::Failed => writer.fail(BodyError::incomplete_upstream()),
            End::Dropped => drop(writer),
        }
        let late = source.reader();
        // Whoever has not begun to read what broke off had better ask again.
        assert_eq!(late.is_some(), clean, "{end:?}");
        readers.extend(late);
        for reader in readers {
            assert_eq!(drain(reader).await, (b"abcdef".to_vec(), clean), "{end:?}");
        }
    };
    check(End::Finished, true).await;
    check(End::Failed, false).await;
    check(End::Dropped, false).await;
}

#[tokio::test]
async fn the_budget_bounds_whole_buffers_and_is_returned() {
    let budget = FillBudget::new(2 * Window::cost(8) - 1);
    let (writer, source) = fill_buffer(&budget, None);
    push(&writer, b"12345678").await;
    assert_eq!(writer.push(Bytes::from_static(b"12345678")).await, Err(PushError::NoBudget));
    assert_eq!(budget.used(), Window::cost(8));
    drop((writer, source));
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn windows_and_slices_wait_for_room_in_the_budget() {
    const CHUNK: &[u8] = b"12345678";
    let budget = FillBudget::new(2 * Window::cost(8));
    let ((one, from_one), (other, from_other)) = (fill_buffer(&budget, None), fill_buffer(&budget, None));
    let (mut reader, mut other_reader) = (from_one.reader().unwrap(), from_other.reader().unwrap());
    one.slide();
    other.slide();
    push(&one, CHUNK).await;
    push(&other, CHUNK).await;
    let mut waiting = pushing(&one, CHUNK);
    assert!(waiting.as_mut().now_or_never().is_none(), "there is no room");
    assert_eq!(budget.used(), 2 * Window::cost(8));
    drain_now(&mut other_reader);
    assert_eq!(waiting.as_mut().now_or_never(), Some(Ok(())), "the other one's reader has made some");
    // One that holds nothing gets on.
    push(&other, CHUNK).await;
    assert_eq!(budget.used(), 3 * Window::cost(8));
    drop(waiting);
    let mut waiting = pushing(&one, CHUNK);
    assert!(waiting.as_mut().now_or_never().is_none(), "there is no room");
    drain_now(&mut reader);
    assert_eq!(waiting.as_mut().now_or_never(), Some(Ok(())), "its own reader has");
    drop(waiting);
    let (spilling, _source) = fill_buffer(&budget, None);
    spilling.spill(Arc::new(|_| Box::pin(std::future::ready(None))));
    push(&spilling, CHUNK).await;
    assert_eq!(spilling.push(Bytes::from_static(CHUNK)).await, Err(PushError::NoBudget), "nobody gives any back");
}

fn pushing<'a>(
    writer: &'a FillWriter,
    bytes: &'static [u8],
) -> Pin<Box<dyn Future<Output = Result<(), PushError>> + 'a>> {
    Box::pin(writer.push(Bytes::from_static(bytes)))
}

#[tokio::test]
async fn what_is_complete_goes_as_its_last_readers_pass() {
    let budget = FillBudget::new(1 << 20);
    let (writer, source) = fill_buffer(&budget, None);
    let mut reader = source.reader().expect("whole");
    let left = source.reader().expect("whole");
    push(&writer, b"abc").await;
    push(&writer, b"def").await;
    writer.finish(None);
    reader.frame().await.expect("a frame").expect("no error");
    assert_eq!(budget.used(), 2 * Window::cost(3), "one more may come");
    drop((source, left));
    assert_eq!(budget.used(), Window::cost(3), "nobody else comes");
    reader.frame().await.expect("a frame").expect("no error");
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn joined_chunks_are_one_piece_for_all() {
    let (writer, source) = buffer(1 << 20);
    let mut middle = source.reader().expect("whole");
    push(&writer, b"abc").await;
    push(&writer, b"def").await;
    middle.frame().await.expect("a frame").expect("no error");
    push(&writer, b"ghi").await;
    assert_eq!(writer.joined(0, 6), "abcdef");
    assert_eq!(drain_now(&mut middle), ["def", "ghi"]);
    assert_eq!(drain_now(&mut source.reader().expect("whole")), ["abcdef", "ghi"]);
}

/// The frames that are there.
fn drain_now(reader: &mut FillReader) -> Vec<String> {
    let mut context = Context::from_waker(Waker::noop());
    let mut frames = Vec::new();
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut *reader).poll_frame(&mut context) {
        let data = frame.into_data().expect("data");
        frames.push(String::from_utf8(data.to_vec()).expect("text"));
    }
    frames
}

#[tokio::test]
async fn a_sliding_buffer_holds_a_window_and_waits_for_its_slowest_reader() {
    const CHUNK: usize = 256 * 1024;
    let budget = FillBudget::new(1 << 20);
    let (writer, source) = fill_buffer(&budget, None);
    let mut reader = source.reader().expect("whole");
    writer.slide();
    let writing = tokio::spawn(async move {
        for _ in 0..64 {
            writer.push(Bytes::from(vec![7; CHUNK])).await.expect("there is a reader");
        }
        writer.finish(None);
    });
    let mut total = 0;
    while let Some(frame) = reader.frame().await {
        total += frame.expect("no error").into_data().expect("data").len();
        assert!(budget.used() <= WINDOW_BYTES + Window::cost(CHUNK), "{}", budget.used());
    }
    writing.await.expect("the writer ends");
    assert_eq!((total, budget.used()), (64 * CHUNK, 0));
    assert!(source.reader().is_none(), "the first bytes are gone");
}

#[tokio::test]
async fn a_sliding_buffer_without_readers_is_abandoned() {
    let (writer, source) = buffer(1 << 20);
    let reader = source.reader().expect("whole");
    writer.slide();
    drop(reader);
    assert_eq!(writer.push(Bytes::from_static(b"x")).await, Err(PushError::Abandoned));
}

#[tokio::test]
async fn spilled_bytes_that_are_gone_are_an_error_at_their_place() {
    let (writer, source) = buffer(64 << 20);
    writer.spill(Arc::new(|at| std::future::ready((at == 0).then(|| Bytes::from(vec![1; MIB]))).boxed()));
    let reader = source.reader().expect("whole");
    for _ in 0..8 {
        writer.push(Bytes::from(vec![1; MIB])).await.expect("fits");
    }
    writer.stored(8 << 20);
    writer.finish(None);
    let (bytes, clean) = drain(reader).await;
    assert_eq!((bytes.len(), clean), (MIB, false));
}

#[tokio::test]
async fn trailers_come_once_after_the_last_chunk() {
    let (writer, source) = buffer(1 << 20);
    push(&writer, b"x").await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().expect("a value"));
    writer.finish(Some(trailers.clone()));
    let collected = source.reader().expect("whole").collect().await.expect("complete");
    assert_eq!(collected.trailers(), Some(&trailers));
}

#[tokio::test]
async fn ten_thousand_readers_cost_what_each_of_them_costs() {
    const READERS: usize = 10_000;
    const CHUNKS: usize = 20;
    let began = Instant::now();
    let (writer, source) = buffer(64 << 20);
    let reading: Vec<_> = (0..READERS).map(|_| tokio::spawn(drain_length(source.reader().expect("whole")))).collect();
    for _ in 0..CHUNKS {
        writer.push(Bytes::from_static(&[7; 1024])).await.expect("fits");
        tokio::task::yield_now().await;
    }
    writer.finish(None);
    for reader in reading {
        assert_eq!(reader.await.expect("no panic"), CHUNKS * 1024);
    }
    let took = began.elapsed();
    println!("{READERS} readers of {CHUNKS} chunks: {took:?}");
    assert!(took.as_secs() < 10, "{took:?}");
}

async fn drain_length(mut reader: FillReader) -> usize {
    let mut length = 0;
    while let Some(frame) = reader.frame().await {
        length += frame.expect("no error").into_data().expect("data").len();
    }
    length
}

#[test]
fn readers_that_come_and_go_leave_nothing_behind() {
    let (writer, source) = buffer(1 << 20);
    let waker = noop_waker();
    for _ in 0..10_000 {
        let mut reader = source.reader().expect("whole");
        assert!(Pin::new(&mut reader).poll_frame(&mut Context::from_waker(&waker)).is_pending());
    }
    let woken = writer.0.state.lock().wakers.take();
    assert!(woken.is_empty(), "{} of those who left", woken.len());
}
