//! bin holm.
fn main() {}
