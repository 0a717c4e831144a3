//! The edge role: listeners, route, handler, cache, shield.
