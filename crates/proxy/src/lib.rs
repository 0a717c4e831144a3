//! One request's way through: the shell around policy, store and upstream.
