//! Pools of origins: connections, probes, retries.
