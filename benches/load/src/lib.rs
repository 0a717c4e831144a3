//! What the measurements side by side with peers ask with: HTTP/1.1 clients that keep the time of each answer.

mod burst;
mod connection;
mod fill;
mod rate;
mod times;

pub use self::burst::burst;
pub use self::fill::{Fill, fill};
pub use self::rate::{Rate, rate};
