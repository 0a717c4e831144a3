//! Block files: a region of a file or of a block device, read without blocking the reader and written in whole blocks.
//!
//! Reads go through an io_uring of the file's own, or through threads where the kernel refuses one. The kernel writes to
//! our buffers meanwhile: hence the `unsafe` in here, the crate's only.

mod buffer;
#[cfg(test)]
mod faults;
mod open;
mod read;
mod ring;
mod threads;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::buffer::{ALIGN, AlignedBuf};
#[cfg(test)]
pub(crate) use self::faults::Faults;
pub(crate) use self::open::{Engine, How};
pub(crate) use self::read::ReadAt;
use self::read::Request;
use self::ring::Ring;
use self::threads::Threads;

/// An open region, which no other process has. Positions are within it.
#[derive(Debug)]
pub(crate) struct BlockFile {
    /// Shared with the reads under way. The lock goes with it.
    file: Arc<File>,
    /// Where the region is in the file.
    offset: u64,
    size: u64,
    reads: Reads,
    #[cfg(test)]
    faults: Faults,
}

/// Who reads.
#[derive(Debug)]
enum Reads {
    /// io_uring.
    Ring(Ring),
    /// Threads that block.
    Threads(Threads),
}

impl BlockFile {
    /// Opens `size` bytes from `offset` on. A regular file is created, and made as large as that, with all its blocks
    /// allocated; `path` may name a block device instead. Blocks.
    ///
    /// # Errors
    /// It can't be opened, is too small, has not enough room, or another holds it.
    pub(crate) fn open(path: &Path, offset: u64, size: u64) -> io::Result<Arc<Self>> {
        Self::open_as(path, offset, size, How::default())
    }

    /// Opens it in a certain way.
    ///
    /// # Errors
    /// As [`BlockFile::open`], and where the kernel has no such engine.
    pub(crate) fn open_as(path: &Path, offset: u64, size: u64, how: How) -> io::Result<Arc<Self>> {
        if !is_aligned(offset) || !is_aligned(size) {
            return Err(invalid("the region does not begin and end at whole blocks"));
        }
        let file = Arc::new(open::region(path, offset, size, how.direct)?);
        let reads = match how.engine {
            Engine::Best => Ring::start(&file).map_or_else(|_| Reads::Threads(Threads::start()), Reads::Ring),
            Engine::Ring => Reads::Ring(Ring::start(&file)?),
            Engine::Threads => Reads::Threads(Threads::start()),
        };
        Ok(Arc::new(Self {
            file,
            offset,
            size,
            reads,
            #[cfg(test)]
            faults: Faults::default(),
        }))
    }

    /// How its reads are done: for statistics.
    pub(crate) fn engine(&self) -> Engine {
        match self.reads {
            Reads::Ring(_) => Engine::Ring,
            Reads::Threads(_) => Engine::Threads,
        }
    }

    /// Reads. Begins at once, whether or not the future is polled, and never blocks; dropping the future is harmless.
    /// `at` and `len` may be any within the region.
    pub(crate) fn read(&self, at: u64, len: usize) -> ReadAt {
        match self.place(at, len) {
            Ok(_) if len == 0 => ReadAt::done(Ok(Bytes::new())),
            Ok(at) => self.begin(at, len),
            Err(error) => ReadAt::done(Err(error)),
        }
    }

    fn begin(&self, at: u64, len: usize) -> ReadAt {
        #[cfg(test)]
        if let Some(error) = self.faults.reading() {
            return ReadAt::done(Err(error));
        }
        let (request, read) = Request::new(Arc::clone(&self.file), at, len);
        match &self.reads {
            Reads::Ring(ring) => ring.submit(request),
            Reads::Threads(threads) => threads.submit(request),
        }
        read
    }

    /// Reads whole blocks. Blocks.
    ///
    /// # Errors
    /// Of the device; and for what is not whole blocks of the region.
    pub(crate) fn read_blocking(&self, at: u64, len: usize) -> io::Result<AlignedBuf> {
        let mut at = self.place_blocks(at, len)?;
        #[cfg(test)]
        if let Some(error) = self.faults.reading() {
            return Err(error);
        }
        let mut buffer = AlignedBuf::with_capacity(len);
        while buffer.len() < len {
            at += read::once(&self.file, &mut buffer, at)?;
        }
        Ok(buffer)
    }

    /// Writes whole blocks that begin at a block in memory too, as those of an [`AlignedBuf`] do. Blocks.
    ///
    /// # Errors
    /// Of the device; and for what is not whole blocks of the region.
    pub(crate) fn write_at(&self, blocks: &[u8], at: u64) -> io::Result<()> {
        let place = self.place_blocks(at, blocks.len())?;
        if !(blocks.as_ptr() as usize).is_multiple_of(ALIGN) {
            return Err(invalid("the buffer does not begin at a block"));
        }
        #[cfg(test)]
        if let Some(error) = self.faults.writing(&self.file, blocks, place) {
            return Err(error);
        }
        // What is written short ends at a block, for it ends at a sector that the device has.
        self.file.write_all_at(blocks, place)
    }

    /// Waits until all that is written is on the device. Blocks.
    ///
    /// # Errors
    /// Of the device.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// What goes wrong in tests.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Where in the file this is. Never past the region: another's may follow.
    fn place(&self, at: u64, len: usize) -> io::Result<u64> {
        let end = u64::try_from(len).ok().and_then(|len| at.checked_add(len));
        match end {
            Some(end) if end <= self.size => Ok(self.offset + at),
            _ => Err(invalid("past the end of the region")),
        }
    }

    fn place_blocks(&self, at: u64, len: usize) -> io::Result<u64> {
        if !is_aligned(at) || !len.is_multiple_of(ALIGN) {
            return Err(invalid("not whole blocks"));
        }
        self.place(at, len)
    }
}

impl Drop for BlockFile {
    /// Others may have the region at once, though reads of ours may be under way still.
    fn drop(&mut self) {
        open::unlock(&self.file, self.offset, self.size);
    }
}

fn is_aligned(at: u64) -> bool {
    at.is_multiple_of(ALIGN as u64)
}

/// The whole blocks around it.
fn around(at: u64, len: usize) -> (u64, Range<usize>) {
    let from = at - at % ALIGN as u64;
    let skip = usize::try_from(at - from).unwrap_or(0);
    (from, skip..skip + len)
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests;
