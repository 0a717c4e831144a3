//! The store of cached objects: a memory tier, a disk tier and the purge marks. Knows no HTTP: an object's metadata is opaque.

mod disk;
mod marks;
mod memory;
mod object;
mod scope;
mod stamp;
mod store;

pub use self::disk::{
    Disk, DiskAlert, DiskConfig, DiskError, DiskStats, Dropped, MAX_RECORD_BODY, MAX_RECORD_META, MAX_RECORD_SCOPE,
    PlaceStats, Reading, Record, SweepEntry, Writing,
};
pub use self::marks::{
    AT_ONCE, Changed, DISK_SWEEP_MARKS, FillGuard, Followed, JournalAlert, JournalError, Local, Marks, Moment, OnAlert,
    Opened, Standing, SweepFloor, SweepNeed,
};
pub use self::memory::{Memory, MemoryStats, Refused};
pub use self::object::{Meta, Object, allocated};
pub use self::scope::{ANY_HOST, Scope};
pub use self::stamp::Stamp;
pub use self::store::{Store, StoreAlert, StoreError, StoreStats};
