//! Fuzz targets: each takes any bytes, hands them to a parser of ours and asserts what must hold of what comes out.
//!
//! The smoke test (tests/smoke.rs) runs each of them over its corpus and some seeded mutations of it, in every test run;
//! `cargo xtask fuzz TARGET` runs libFuzzer on one. A corpus is a folder of texts: corpus/TARGET/NAME.

pub mod input;
pub mod mutate;
mod subject;
pub mod targets;

pub use self::targets::{TARGETS, Target, target};
