//! Block I/O through both engines: what is written is read, and what fails says so.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_executor::block_on as wait;
use io_uring::IoUring;
use tempfile::TempDir;

use super::*;

/// Runs a test with every engine, past the page cache and through it, on a file whose every byte tells its place.
fn check(test: impl Fn(&Opened)) {
    for engine in [Engine::Ring, Engine::Threads] {
        for direct in [true, false] {
            let how = How { engine, direct };
            let opened = Opened::new(how);
            eprintln!("{how:?}");
            test(&opened);
        }
    }
}

struct Opened {
    file: Arc<BlockFile>,
    path: PathBuf,
    how: How,
    _dir: TempDir,
}

impl Opened {
    fn new(how: How) -> Self {
        let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
        let path = dir.path().join("region");
        let file = BlockFile::open_as(&path, OFFSET, SIZE, how).unwrap();
        let mut buffer = AlignedBuf::zeroed(usize::try_from(SIZE).unwrap());
        buffer.iter_mut().enumerate().for_each(|(at, byte)| *byte = byte_at(at));
        file.write_at(&buffer, 0).unwrap();
        Self { file, path, how, _dir: dir }
    }

    fn open_again(&self) -> io::Result<Arc<BlockFile>> {
        BlockFile::open_as(&self.path, OFFSET, SIZE, self.how)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what is left over is meant")]
fn byte_at(at: usize) -> u8 {
    (at % 251) as u8 ^ (at / 4096) as u8
}

fn assert_read(at: u64, len: usize, outcome: io::Result<Bytes>) {
    let from = usize::try_from(at).unwrap();
    let expected: Vec<u8> = (from..from + len).map(byte_at).collect();
    assert!(outcome.unwrap_or_else(|error| panic!("{at} + {len}: {error}")) == expected, "{at} + {len}");
}

#[test]
fn reads_what_is_there() {
    check(|Opened { file, .. }| {
        let places =
            [(0, 0), (0, 1), (0, 4096), (1, 4095), (4095, 2), (5000, 16 << 10), (8192, 1 << 20), (SIZE - 1, 1)];
        for (at, len) in places.into_iter().chain([(0, 1 << 21), (SIZE, 0)]) {
            assert_read(at, len, wait(file.read(at, len)));
        }
    });
}

#[test]
fn never_reads_past_the_end() {
    check(|Opened { file, .. }| {
        for (at, len) in [(SIZE, 1), (SIZE - 4096, 4097), (u64::MAX, 1), (0, usize::MAX), (1, 1 << 21)] {
            let error = wait(file.read(at, len)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{at} + {len}");
        }
    });
}

#[test]
fn a_file_that_was_cut_gives_errors() {
    check(|Opened { file, path, .. }| {
        let cut = File::options().write(true).open(path).unwrap();
        cut.set_len(OFFSET + 8192 + 100).unwrap();
        for (at, len) in [(0, 16384), (8192, 4096), (8192, 101), (12288, 1), (1 << 20, 1)] {
            let error = wait(file.read(at, len)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{at} + {len}");
        }
        assert_read(100, 8092, wait(file.read(100, 8092)));
        assert!(file.read_blocking(0, 16384).is_err());
    });
}

#[test]
fn many_at_once() {
    check(|Opened { file, .. }| {
        let places: Vec<(u64, usize)> = (0..600_u64).map(|i| (i * 7919 % (SIZE - 20_000), 16_384)).collect();
        let reads: Vec<ReadAt> = places.iter().map(|(at, len)| file.read(*at, *len)).collect();
        for ((at, len), read) in places.into_iter().zip(reads) {
            assert_read(at, len, wait(read));
        }
    });
}

#[test]
fn many_threads_at_once() {
    check(|Opened { file, .. }| {
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                scope.spawn(move || {
                    (0..200)
                        .for_each(|i| assert_read(thread * 1000 + i, 5000, wait(file.read(thread * 1000 + i, 5000))))
                });
            }
        });
    });
}

#[test]
fn dropped_while_under_way() {
    check(|Opened { file, .. }| {
        for round in 0..500_u64 {
            let mut read = file.read(round * 512, 16_384);
            if round % 2 == 0 {
                // Its waker is registered, and must not be needed any more.
                let _ = Pin::new(&mut read).poll(&mut Context::from_waker(Waker::noop()));
            }
            drop(read);
        }
        assert_read(3, 70_000, wait(file.read(3, 70_000)));
    });
}

#[test]
fn the_last_waker_is_woken() {
    check(|Opened { file, .. }| {
        let mut read = file.read(0, 1 << 20);
        match Pin::new(&mut read).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => assert_read(0, 1 << 20, outcome),
            Poll::Pending => assert_read(0, 1 << 20, wait(read)),
        }
    });
}

#[test]
fn reads_outlive_the_file() {
    check(|opened| {
        let again = opened.open_again();
        assert!(again.is_err());
        let how = opened.how;
        let opened = Opened::new(how);
        let reads: Vec<ReadAt> = (0..300).map(|i| opened.file.read(i * 4096, 16_384)).collect();
        let Opened { file, path, _dir, .. } = opened;
        drop(file);
        // Nor do they keep others from it.
        let file = BlockFile::open_as(&path, OFFSET, SIZE, how).unwrap();
        for (i, read) in (0..).zip(reads) {
            assert_read(i * 4096, 16_384, wait(read));
        }
        assert_read(9, 9, wait(file.read(9, 9)));
    });
}

#[test]
fn threads_end_with_the_file() {
    check(|opened| {
        let weak = Arc::downgrade(&opened.file.file);
        let how = opened.how;
        let Opened { file, _dir, .. } = Opened::new(how);
        let (other, reads) = (Arc::downgrade(&file.file), [file.read(0, 16_384), file.read(4096, 1)]);
        drop(file);
        reads.into_iter().for_each(|read| drop(wait(read)));
        while other.strong_count() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(weak.strong_count(), 1);
    });
}

#[test]
fn only_whole_blocks_are_written() {
    check(|Opened { file, .. }| {
        let blocks = AlignedBuf::zeroed(8192);
        for (blocks, at) in
            [(&blocks[..100], 0), (&blocks[..4096], 10), (&blocks[1..4097], 0), (&blocks[..], SIZE - 4096)]
        {
            assert_eq!(file.write_at(blocks, at).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        file.write_at(&blocks[4096..], SIZE - 4096).unwrap();
        file.sync().unwrap();
        assert_eq!(wait(file.read(SIZE - 4096, 4096)).unwrap(), [0; 4096][..]);
        assert_eq!(file.read_blocking(SIZE - 8192, 8192).unwrap()[4096..], [0; 4096]);
        assert_read(SIZE - 8192, 4096, wait(file.read(SIZE - 8192, 4096)));
        assert!(file.read_blocking(1, 4096).is_err() && file.read_blocking(0, 4095).is_err());
    });
}

#[test]
fn faults_are_errors() {
    check(|Opened { file, .. }| {
        file.faults().fail_reads(Some(libc::EIO));
        assert_eq!(wait(file.read(0, 1)).unwrap_err().raw_os_error(), Some(libc::EIO));
        assert!(file.read_blocking(0, 4096).is_err());
        file.faults().fail_reads(None);
        assert_read(0, 1, wait(file.read(0, 1)));

        let blocks = AlignedBuf::zeroed(16_384);
        file.faults().fail_writes(Some(libc::ENOSPC));
        assert_eq!(file.write_at(&blocks, 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.faults().fail_writes(None);
        file.faults().tear_writes_after(16_384 + 5000);
        file.write_at(&blocks, 0).unwrap();
        assert!(file.write_at(&blocks, 16_384).is_err() && file.write_at(&blocks, 0).is_err());
        assert_eq!(wait(file.read(0, 20_480)).unwrap(), [0; 20_480][..]);
        assert_read(20_480, 4096, wait(file.read(20_480, 4096)));
    });
}

#[test]
fn one_holds_a_region() {
    check(|opened| {
        let error = opened.open_again().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}");
        // What is beside it is free.
        let _beside = BlockFile::open_as(&opened.path, OFFSET + SIZE, 8192, opened.how).unwrap();
        assert!(BlockFile::open_as(&opened.path, OFFSET, SIZE + 4096, opened.how).is_err());
    });
}

#[test]
fn files_get_their_size() {
    check(|Opened { path, how, .. }| {
        let path = path.with_file_name("other");
        for size in [1 << 20, 1 << 16] {
            let file = BlockFile::open_as(&path, 0, size, *how).unwrap();
            assert_eq!(path.metadata().unwrap().len(), size);
            assert_eq!(wait(file.read(size - 10, 10)).unwrap(), [0; 10][..]);
        }
        let error = BlockFile::open_as(&path, 0, 1 << 50, *how).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge), "{error:?}");
        assert_eq!(path.metadata().unwrap().len(), 1 << 16);
        assert!(BlockFile::open_as(&path, 1, 4096, *how).is_err());
        assert!(BlockFile::open_as(&path, 0, 4097, *how).is_err());
        assert!(BlockFile::open_as(&path.join("none"), 0, 4096, *how).is_err());
    });
}

#[test]
fn the_best_engine_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let file = BlockFile::open(&dir.path().join("region"), 0, 1 << 16).unwrap();
    let has_ring = IoUring::new(1).is_ok();
    assert_eq!(matches!(file.reads, Reads::Ring(_)), has_ring);
}

const OFFSET: u64 = 8192;
const SIZE: u64 = 2 << 20;
