//! Faults: a real node is killed under load and its files are damaged, again and again. Whatever it serves after that must
//! be a version that the origin has served, whole, and not older than the last acknowledged change that matched it.

mod client;
mod content;
mod damage;
mod load;
mod origin;
mod rounds;

pub use self::rounds::{Report, Settings, run};
