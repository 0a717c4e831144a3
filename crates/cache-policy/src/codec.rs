//! The form in which what the policy remembers outlives the process: postcard's.

use serde::Serialize;

/// Adds a value.
pub(crate) fn put(value: &impl Serialize, out: &mut Vec<u8>) {
    let bytes = postcard::to_allocvec(value).expect("invariant: plain data always has a form");
    out.extend_from_slice(&bytes);
}
