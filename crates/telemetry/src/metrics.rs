//! The metrics: each declared once, with its unit and what it means. The exposition and the reference page come from here.

/// What kind of number a metric is, as Prometheus calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Quantiles with a sum and a count.
    Summary,
}

impl Kind {
    /// The word in the exposition format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
        }
    }
}

/// One metric's declaration.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name with its unit, as Prometheus wants it.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// What it counts, for people.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident $kind:ident $name:literal $help:literal;)*) => {
        /// The names, so that nobody writes one twice.
        pub mod names {
            $(#[doc = $help] pub const $id: &str = $name;)*
        }

        /// Every metric.
        pub const METRICS: &[Metric] =
            &[$(Metric { name: $name, kind: Kind::$kind, help: $help },)*];
    };
}

metrics! {
    REQUESTS Counter "holm_requests_total" "Requests answered, by site, route, tier, cache outcome and status.";
    REQUEST_SECONDS Summary "holm_request_seconds" "Seconds from a request's head to its response's head, by site, tier and class (hit, miss, handler).";
    BYTES Counter "holm_bytes_total" "Bytes of bodies sent, by site, tier, direction and cache outcome.";
    CACHE_OBJECTS Gauge "holm_cache_objects" "Objects held, by node, tier and store (memory, disk).";
    CACHE_BYTES Gauge "holm_cache_bytes" "Bytes that the held objects weigh, by node, tier and store.";
    CACHE_EVICTIONS Counter "holm_cache_evictions_total" "Objects that made room for others, by node, tier, store and reason.";
    DISK_CAPACITY Gauge "holm_disk_capacity_bytes" "Bytes that the healthy places of the disk tier have, by node and tier.";
    DISK_INDEX_BYTES Gauge "holm_disk_index_bytes" "Bytes of memory that the disk tier's index takes, by node and tier.";
    DISK_HEALTHY Gauge "holm_disk_healthy" "1 for a place of the disk tier that is in use, 0 for one that was taken out after a failure, by node, tier and path.";
    DISK_WRITTEN Counter "holm_disk_written_bytes_total" "Bytes written to the disk tier, by node and tier.";
    DISK_REINSERTED Counter "holm_disk_reinserted_total" "Objects that were written again when their place was reclaimed, because they had been read, by node and tier.";
    DISK_REFUSED Counter "holm_disk_refused_total" "Objects that were not written because the disk tier could not keep up, by node and tier.";
    DISK_GIVEN_UP Counter "holm_disk_given_up_total" "Waits for the disk tier that were given up after 2 s, by node and tier.";
    DISK_READ_ERRORS Counter "holm_disk_read_errors_total" "Reads from the disk tier that failed or found damage, each of them a miss, by node and tier.";
    FILLS Counter "holm_fills_total" "Fetches that others may share, by node, tier and how they ended (stored, resumed, refreshed, released, too-large, abandoned, broken, failed).";
    FILL_WAITERS Gauge "holm_fill_waiters" "Requests that wait for the head of a fetch which another one began, by node and tier.";
    FILL_BYTES Gauge "holm_fill_bytes" "Bytes of bodies under way that are held in memory, by node and tier.";
    PURGE_MARKS Gauge "holm_purge_marks" "Purge marks kept because older content may still be held, by node.";
    UPSTREAM_REQUESTS Counter "holm_upstream_requests_total" "Requests sent to an origin's endpoint, by site, pool, endpoint and outcome (a status class or the reason of the failure).";
    HANDLER_SECONDS Counter "holm_handler_seconds_total" "Seconds that calls of a handler took to their response's head, by handler.";
    HANDLER_CPU_SECONDS Counter "holm_handler_cpu_seconds_total" "Seconds on a CPU that calls of a handler took, by handler.";
    HANDLER_MEMORY Gauge "holm_handler_memory_bytes" "The most linear memory that a call of a handler has used, in bytes.";
    HANDLER_OUTCOMES Counter "holm_handler_outcomes_total" "Calls of a handler, by how they ended.";
    PURGE_APPLIED_SEQ Gauge "holm_purge_applied_seq" "The position in the purge log up to which a node has applied it.";
    RELEASE_ACTIVE Gauge "holm_release_active" "1 for the release of a site that a node serves.";
    CONNECTIONS Gauge "holm_connections" "Open client connections.";
}
