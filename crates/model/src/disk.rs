//! Disk places: what `--disk` asks for, and where a role keeps its part of the disk tier. Pure.

use std::path::PathBuf;
use std::str::FromStr;

use crate::limits::MIN_DISK;
use crate::units::ByteSize;

/// One `--disk` of the command line: `10GiB`, or `/mnt/a=100GiB`. A total for the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// A folder that is there, or a block device; the data folder otherwise.
    pub place: Option<PathBuf>,
    /// What all roles may take of it.
    pub size: ByteSize,
}

/// Where a role keeps content on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskPlace {
    /// A file, made and sized when it is opened; or a block device.
    pub path: PathBuf,
    /// Where the role's part of it begins: not 0 where two roles share a block device.
    pub offset: u64,
    /// The length of that part.
    pub size: ByteSize,
}

/// Why a text is not a [`DiskSpec`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDisk {
    /// What should be a size is none.
    #[error("`{0}` is not a size; write it like 10GiB, or /mnt/a=100GiB for a folder or a device")]
    Size(String),
    /// Nothing stands before the `=`.
    #[error("there is no folder before the `=`; write it like 10GiB or /mnt/a=100GiB")]
    NoPlace,
    /// The size leaves a role too little.
    #[error("{0} is too little for a disk tier: {MIN_DISK} is the least")]
    TooSmall(ByteSize),
}

impl FromStr for DiskSpec {
    type Err = InvalidDisk;

    fn from_str(text: &str) -> Result<Self, InvalidDisk> {
        // A folder's name may have a `=` of its own; a size has none.
        let (place, size) = match text.rsplit_once('=') {
            Some(("", _)) => return Err(InvalidDisk::NoPlace),
            Some((place, size)) => (Some(PathBuf::from(place)), size),
            None => (None, text),
        };
        let size: ByteSize = size.parse().map_err(|_| InvalidDisk::Size(size.to_owned()))?;
        if size < MIN_DISK {
            return Err(InvalidDisk::TooSmall(size));
        }
        Ok(Self { place, size })
    }
}

impl DiskPlace {
    /// Two roles' parts of a device, one after the other: the first gets all but one part in `parts`, in whole MiB.
    #[must_use]
    pub fn share(path: PathBuf, size: ByteSize, parts: u64) -> (Self, Self) {
        let (all, second) = (whole(size.get()), whole(size.get() / parts));
        let first = all - second;
        let second = Self { path: path.clone(), offset: first, size: ByteSize::bytes(second) };
        (Self { path, offset: 0, size: ByteSize::bytes(first) }, second)
    }
}

const fn whole(bytes: u64) -> u64 {
    bytes - bytes % ByteSize::mib(1).get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_ones() {
        let check = |text: &str, place: Option<&str>, size: ByteSize| {
            let expected = DiskSpec { place: place.map(PathBuf::from), size };
            assert_eq!(text.parse::<DiskSpec>(), Ok(expected), "{text}");
        };
        check("10GiB", None, ByteSize::mib(10 << 10));
        check("/mnt/a=100GiB", Some("/mnt/a"), ByteSize::mib(100 << 10));
        check("/dev/nvme1n1=1TB", Some("/dev/nvme1n1"), ByteSize::bytes(1_000_000_000_000));
        check("a=b/c=1GiB", Some("a=b/c"), ByteSize::mib(1 << 10));
    }

    #[test]
    fn wrong_ones() {
        let check = |text: &str, words: &str| {
            let said = text.parse::<DiskSpec>().expect_err(text).to_string();
            assert!(said.contains(words), "`{words}` is missing in: {said}");
        };
        check("lots", "`lots` is not a size; write it like 10GiB");
        check("", "`` is not a size");
        check("/mnt/a", "`/mnt/a` is not a size; write it like 10GiB, or /mnt/a=100GiB");
        check("/mnt/a=", "`` is not a size");
        check("/mnt/a=-1", "`-1` is not a size");
        check("=1GiB", "no folder before the `=`");
        check("0", "0B is too little for a disk tier: 128MiB is the least");
        check("/mnt/a=127MiB", "127MiB is too little");
    }

    #[test]
    fn shares_lie_side_by_side() {
        let check = |size: ByteSize, first: u64, second: u64| {
            let (edge, shield) = DiskPlace::share("d".into(), size, 5);
            assert_eq!((edge.offset, edge.size), (0, ByteSize::mib(first)), "{size}");
            assert_eq!((shield.offset, shield.size), (ByteSize::mib(first).get(), ByteSize::mib(second)), "{size}");
        };
        check(ByteSize::mib(500), 400, 100);
        check(ByteSize::mib(128), 103, 25);
        check(ByteSize::bytes(ByteSize::mib(129).get() - 1), 103, 25);
    }
}
