//! The targets, by the noun that they parse.

mod conditional;
mod directives;
mod groups;
#[cfg(feature = "head")]
mod head;
mod key;
mod list;
mod manifest;
mod partial;
mod path;
mod range;
mod search;
mod storing;
mod tags;
mod vary;

pub use self::list::{TARGETS, Target, target};
