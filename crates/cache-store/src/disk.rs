//! The disk tier. (A placeholder so that `io` compiles.)

#[cfg_attr(not(test), expect(dead_code, reason = "used by the segment log"))]
mod io;
