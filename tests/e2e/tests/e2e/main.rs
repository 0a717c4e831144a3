//! End to end: `holm` between clients and origins that we did not write.

mod chain;
mod fields;
mod streams;
mod uploads;
mod websockets;
