//! Releases, purge log, tokens; the embedded store; API server and client.
