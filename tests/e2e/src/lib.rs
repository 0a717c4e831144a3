//! End-to-end tests through real sockets.
