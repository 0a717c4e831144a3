//! The scanner before hyper: it follows the framing of an HTTP/1 connection and refuses heads that hyper would repair
//! in silence, or that mean one thing to us and another to the next server (RFC 9112 §6.3, §11.2).

mod guard;
mod refusal;
mod scan;

pub(crate) use self::guard::Guard;
pub(crate) use self::refusal::Refusal;
pub(crate) use self::scan::lists;
pub use self::scan::{head_end, is_valid_host};

#[cfg(test)]
mod tests;
