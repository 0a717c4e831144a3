//! The store of cached objects: a memory tier, a disk tier and the purge marks. Knows no HTTP: an object's metadata is opaque.
//!
//! `unsafe` is for the disk's I/O alone (`disk/io`): io_uring, buffers that the kernel fills, locks of a device's ranges.

mod disk;
mod fields;
mod marks;
mod memory;
mod object;
mod scope;
mod stamp;
mod store;

pub use self::disk::{
    Disk, DiskAlert, DiskConfig, DiskError, DiskStats, Dropped, PlaceStats, Reading, Record, SweepEntry, Writing,
};
pub use self::marks::{
    AT_ONCE, Changed, FillGuard, Followed, JournalAlert, JournalError, Local, Marks, Moment, OnAlert, Opened, Standing,
    SweepNeed,
};
pub use self::memory::{Memory, MemoryStats, Refused};
pub use self::object::{Meta, Object, allocated};
pub use self::scope::{ANY_HOST, Scope};
pub use self::stamp::Stamp;
pub use self::store::{Store, StoreAlert, StoreError, StoreStats};
