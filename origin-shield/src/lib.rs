//! The shield role: listener, cache, origin pools.
