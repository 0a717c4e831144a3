//! What a node gives to its handlers, and the limits of one call that no manifest changes.

use std::num::NonZeroUsize;
use std::time::Duration;

use holm_model::units::ByteSize;

/// What a node gives to its handlers.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Threads that run handlers, and nothing else. Default: one per CPU.
    pub threads: usize,
    /// The nice value of these threads: above 0, the threads that serve cached content go first. Default: 5.
    pub nice: i32,
    /// Instances at once, each with a slot of the pool. Each reserves some 8 GiB of address space (not memory), twice [`HostConfig::max_memory`].
    /// Default: 256.
    pub instances: u32,
    /// Calls that wait for an instance or a thread; one more is a fault `queue-full`. Default: 1024.
    pub queue: usize,
    /// Calls of one handler under way or waiting; one more is a fault `too-many-calls`, so that one handler never fills
    /// the queue for all. Default: 960, three quarters of queue and instances.
    pub calls_per_handler: usize,
    /// The most linear memory that a manifest may give to an instance. Default: 4 GiB, all that a 32-bit guest has.
    pub max_memory: ByteSize,
    /// The time between two epochs: how long a busy guest holds its thread, and how exact the CPU limit is.
    /// Default: 2 ms.
    pub tick: Duration,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            nice: 5,
            instances: 256,
            queue: 1024,
            calls_per_handler: 960,
            max_memory: ByteSize::mib(4096),
            tick: Duration::from_millis(2),
        }
    }
}

/// The most requests that one call may send.
pub const MAX_OUTBOUND: u32 = 64;

/// The most resources (bodies, streams, header maps, pollables) that a call may hold at once. A fetch under way takes
/// some eight.
pub const MAX_RESOURCES: usize = 1024;

/// The most bytes that a guest passes to the host in one host call.
pub const MAX_HOST_CALL_BYTES: usize = 2 << 20;

/// The most memory of one header map, wasmtime's overhead included.
pub const MAX_FIELDS_BYTES: usize = 128 << 10;

/// The most random bytes that a guest gets in one host call.
pub const MAX_RANDOM_BYTES: u64 = 1 << 20;

/// The largest piece of a body that a guest writes at once; the host holds at most two for each body.
pub const MAX_BODY_CHUNK: usize = 64 << 10;

/// The longest line of a guest's output; longer ones are split.
pub const MAX_LOG_LINE: usize = 4 << 10;

/// The most output of one call that reaches the log.
pub const MAX_LOG_BYTES: usize = 64 << 10;

/// After so many outgoing bodies, those that a call makes hold small pieces only: it could otherwise make the host hold
/// two pieces for each of [`MAX_RESOURCES`].
pub(crate) const MANY_BODIES: usize = MAX_OUTBOUND as usize + 1;

/// The largest piece of such a body.
pub(crate) const SMALL_BODY_CHUNK: usize = 4 << 10;

/// The most elements of one table of a guest: language runtimes with thousands of functions fit.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 64 << 10;

/// Core instances in one component: a language's module, its adapters, and what was composed with it.
pub(crate) const MAX_CORE_INSTANCES: u32 = 32;

/// Linear memories in one component.
pub(crate) const MAX_MEMORIES: u32 = 2;

/// Tables in one component.
pub(crate) const MAX_TABLES: u32 = 8;
