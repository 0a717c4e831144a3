//! Opening a region: created, large enough, and ours alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags, fallocate, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::buffer::{ALIGN, AlignedBuf};
use super::read;

/// How a region is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Who reads.
    pub(crate) engine: Engine,
    /// Past the page cache, where the file system can.
    pub(crate) direct: bool,
}

impl Default for How {
    fn default() -> Self {
        Self { engine: Engine::Best, direct: true }
    }
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// io_uring where the kernel allows it (containers often forbid it), else threads.
    Best,
    /// io_uring.
    Ring,
    /// Threads that block.
    Threads,
}

/// The file, locked and sized.
pub(super) fn region(path: &Path, offset: u64, size: u64, direct: bool) -> io::Result<File> {
    let end = offset.checked_add(size).ok_or_else(|| super::invalid("past the end of any file"))?;
    let is_device = path.metadata().is_ok_and(|found| found.file_type().is_block_device());
    if is_device {
        refuse_mounted(path)?;
    }
    let file = open(path, direct, !is_device)?;
    lock(&file, offset, size)?;
    if is_device {
        let found = (&file).seek(SeekFrom::End(0))?;
        if found < end {
            return Err(io::Error::other(format!("the device has {found} bytes, fewer than {end}")));
        }
    } else {
        grow(&file, end)?;
    }
    if direct && !takes_direct_reads(&file, offset) {
        fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::DIRECT))?;
    }
    Ok(file)
}

fn open(path: &Path, direct: bool, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false).mode(0o600);
    if direct {
        match options.clone().custom_flags(libc::O_DIRECT).open(path) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            opened => return opened,
        }
    }
    options.open(path)
}

/// A device that is mounted, or part of a volume, must not be written to: the kernel knows.
fn refuse_mounted(path: &Path) -> io::Result<()> {
    // Two of ours that ask at once are in each other's way for a moment.
    for _ in 0..ATTEMPTS {
        match OpenOptions::new().read(true).custom_flags(libc::O_EXCL).open(path) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(PAUSE),
            opened => return opened.map(drop),
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "the device is mounted or otherwise in use"))
}

/// Makes a file exactly that large, with all blocks allocated: what is full should be known now, not at some write.
fn grow(file: &File, size: u64) -> io::Result<()> {
    let before = file.metadata()?.len();
    if before > size {
        file.set_len(size)?;
    }
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(size),
        Err(error) => {
            // It may have got some way.
            let _ = file.set_len(before.min(size));
            let error = io::Error::from(error);
            let why = if error.kind() == io::ErrorKind::StorageFull { "no room" } else { "cannot be allocated" };
            Err(io::Error::new(error.kind(), format!("{why} for a file of {size} bytes: {error}")))
        }
    }
}

/// Some file systems take the flag and refuse the reads, or want larger blocks than ours.
fn takes_direct_reads(file: &File, offset: u64) -> bool {
    let mut block = AlignedBuf::with_capacity(ALIGN);
    !matches!(read::once(file, &mut block, offset), Err(error) if error.raw_os_error() == Some(libc::EINVAL))
}

/// Takes the region, for as long as the file is open. A lock of the open file, unlike one of the process, also keeps
/// out others of the same process, and unlike flock(2) leaves the rest of a device to others.
fn lock(file: &File, offset: u64, size: u64) -> io::Result<()> {
    set_lock(file, libc::F_WRLCK, offset, size).map_err(|error| match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => {
            io::Error::new(io::ErrorKind::ResourceBusy, "another process has it in use: it holds the lock")
        }
        _ => error,
    })
}

/// Lets the region go.
pub(super) fn unlock(file: &File, offset: u64, size: u64) {
    let _ = set_lock(file, libc::F_UNLCK, offset, size);
}

#[expect(unsafe_code, reason = "rustix has no locks of ranges")]
fn set_lock(file: &File, kind: libc::c_int, offset: u64, size: u64) -> io::Result<()> {
    let too_far = |_| super::invalid("past the end of any file");
    // SAFETY: all of its fields are integers, for which zero is a value.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::c_short::try_from(kind).map_err(too_far)?;
    range.l_whence = libc::c_short::try_from(libc::SEEK_SET).map_err(too_far)?;
    range.l_start = offset.try_into().map_err(too_far)?;
    range.l_len = size.try_into().map_err(too_far)?;
    // SAFETY: the descriptor is open, and `range` outlives the call, which only reads it.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) };
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const ATTEMPTS: u32 = 5;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
