//! Servers over real sockets.
