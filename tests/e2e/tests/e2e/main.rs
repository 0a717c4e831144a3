//! End to end: `holm` between clients and origins that we did not write.

mod caching;
mod chain;
mod fields;
mod files;
mod fills;
mod handlers;
mod streams;
mod uploads;
mod websockets;
