//! End to end: `holm` between clients and origins that we did not write.

mod caching;
mod chain;
mod control;
mod disk;
mod fields;
mod files;
mod fills;
mod handlers;
mod interim;
mod life;
mod memory;
mod origins;
mod poisoning;
mod ranges;
mod refusals;
mod semantics;
mod slices;
mod streams;
mod tls;
mod uploads;
mod websockets;
