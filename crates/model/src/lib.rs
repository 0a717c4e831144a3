//! Ids, units, limits, purges, releases and the site manifest: what every other crate speaks of. Pure.

pub mod disk;
pub mod fields;
pub mod ids;
pub mod limits;
pub mod manifest;
pub mod path;
pub mod purge;
pub mod release;
pub mod units;
