//! RFC 9111 and friends as decisions over headers.
