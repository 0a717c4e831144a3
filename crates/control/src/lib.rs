//! The control plane: releases, purge log, tokens; the embedded store; the API's server and client.

pub mod wire;
