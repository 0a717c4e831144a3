//! The store of cached objects: a memory tier and the purge marks. Knows no HTTP: an object's metadata is opaque.

mod marks;
mod memory;
mod object;
mod scope;

pub use self::marks::{Changed, FillGuard, Local, Marks, Standing};
pub use self::memory::{Memory, MemoryStats, Refused};
pub use self::object::{Meta, Object};
pub use self::scope::{ANY_HOST, Scope};
