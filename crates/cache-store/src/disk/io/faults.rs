//! Faults: what goes wrong with a device, at a test's bidding.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use parking_lot::Mutex;

use super::ALIGN;

/// None at first.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Set>);

#[derive(Debug, Default)]
struct Set {
    reads: Option<i32>,
    writes: Option<i32>,
    /// Bytes that are still written.
    room: Option<usize>,
}

impl Faults {
    /// Every read fails from now on, with this error of the system (`libc::EIO`); or none does.
    pub(crate) fn fail_reads(&self, errno: Option<i32>) {
        self.0.lock().reads = errno;
    }

    /// Every write fails from now on; or none does.
    pub(crate) fn fail_writes(&self, errno: Option<i32>) {
        self.0.lock().writes = errno;
    }

    /// After so many more bytes nothing is written any more, as if the power had gone: the write that reaches the limit
    /// is torn at the last whole block, and it and all that follow fail with `EIO`.
    pub(crate) fn tear_writes_after(&self, bytes: usize) {
        self.0.lock().room = Some(bytes);
    }

    pub(super) fn reading(&self) -> Option<io::Error> {
        self.0.lock().reads.map(io::Error::from_raw_os_error)
    }

    pub(super) fn writing(&self, file: &File, blocks: &[u8], at: u64) -> Option<io::Error> {
        let mut set = self.0.lock();
        if let Some(errno) = set.writes {
            return Some(io::Error::from_raw_os_error(errno));
        }
        let room = set.room.as_mut()?;
        if blocks.len() <= *room {
            *room -= blocks.len();
            return None;
        }
        let torn = *room - *room % ALIGN;
        *room = 0;
        let written = file.write_all_at(&blocks[..torn], at);
        Some(written.err().unwrap_or_else(|| io::Error::from_raw_os_error(libc::EIO)))
    }
}
