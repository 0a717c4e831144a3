//! The targets, by the noun that they parse.

mod conditional;
mod directives;
#[cfg(feature = "head")]
mod head;
mod key;
mod list;
mod manifest;
mod path;
mod range;
mod storing;
mod tags;
mod vary;

pub use self::list::{TARGETS, Target, target};
