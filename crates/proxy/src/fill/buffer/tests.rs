//! The fill buffer: readers, limits, endings.

use http_body_util::BodyExt;

use super::*;

/// Reads a whole reader: the bytes, and whether it ended cleanly.
async fn drain(reader: FillReader) -> (Vec<u8>, bool) {
    match reader.collect().await {
        Ok(all) => (all.to_bytes().to_vec(), true),
        Err(_) => (Vec::new(), false),
    }
}

#[tokio::test]
async fn every_reader_gets_every_byte_wherever_it_joins() {
    let (writer, source) = fill_buffer(&FillBudget::new(1 << 20), Some(6));
    let early = source.reader().expect("the buffer is whole");
    writer.push(Bytes::from_static(b"abc")).await.expect("fits");
    let middle = source.reader().expect("the buffer is whole");
    writer.push(Bytes::from_static(b"def")).await.expect("fits");
    writer.finish(None);
    let late = source.reader().expect("the buffer is whole");
    for reader in [early, middle, late] {
        assert_eq!(drain(reader).await, (b"abcdef".to_vec(), true));
    }
}

#[tokio::test]
async fn a_writer_that_vanishes_is_an_error_never_a_clean_end() {
    let (writer, source) = fill_buffer(&FillBudget::new(1 << 20), None);
    let reader = source.reader().expect("the buffer is whole");
    writer.push(Bytes::from_static(b"abc")).await.expect("fits");
    drop(writer);
    assert!(!drain(reader).await.1);
}

#[tokio::test]
async fn the_budget_bounds_whole_buffers_and_is_returned() {
    let budget = FillBudget::new(10);
    let (writer, source) = fill_buffer(&budget, None);
    writer.push(Bytes::from(vec![0; 8])).await.expect("fits");
    assert_eq!(writer.push(Bytes::from(vec![0; 8])).await, Err(PushError::NoBudget));
    drop((writer, source));
    let (writer, _source) = fill_buffer(&budget, None);
    writer.push(Bytes::from(vec![0; 10])).await.expect("the first buffer's bytes came back");
}

#[tokio::test]
async fn a_sliding_buffer_holds_a_window_and_waits_for_its_slowest_reader() {
    const CHUNK: usize = 256 * 1024;
    let (writer, source) = fill_buffer(&FillBudget::new(1 << 20), None);
    let reader = source.reader().expect("the buffer is whole");
    writer.slide();
    let shared = Arc::clone(&reader.shared);
    let writing = tokio::spawn(async move {
        for _ in 0..64 {
            writer.push(Bytes::from(vec![7; CHUNK])).await.expect("there is a reader");
        }
        writer.finish(None);
    });
    let mut reader = reader;
    let mut total = 0;
    while let Some(frame) = reader.frame().await {
        total += frame.expect("no error").into_data().expect("data").len();
        assert!(shared.state.lock().held <= WINDOW_BYTES + CHUNK as u64);
    }
    writing.await.expect("the writer ends");
    assert_eq!(total, 64 * CHUNK);
    assert!(source.reader().is_none(), "the first bytes are gone");
}

#[tokio::test]
async fn a_sliding_buffer_without_readers_is_abandoned() {
    let (writer, source) = fill_buffer(&FillBudget::new(1 << 20), None);
    let reader = source.reader().expect("the buffer is whole");
    writer.slide();
    drop(reader);
    assert_eq!(writer.push(Bytes::from_static(b"x")).await, Err(PushError::Abandoned));
}

#[tokio::test]
async fn trailers_come_once_after_the_last_chunk() {
    let (writer, source) = fill_buffer(&FillBudget::new(1 << 20), None);
    writer.push(Bytes::from_static(b"x")).await.expect("fits");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().expect("a value"));
    writer.finish(Some(trailers.clone()));
    let collected = source.reader().expect("whole").collect().await.expect("complete");
    assert_eq!(collected.trailers(), Some(&trailers));
}
