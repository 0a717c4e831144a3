//! Calls of handlers through the crate's own surface: guests written by hand, and the examples' real ones.

mod bodies;
mod examples;
mod limits;
mod loading;
mod outbound;
mod support;
