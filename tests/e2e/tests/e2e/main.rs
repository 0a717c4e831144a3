//! End to end: `holm` between clients and origins that we did not write.

mod caching;
mod chain;
mod fields;
mod fills;
mod streams;
mod uploads;
mod websockets;
