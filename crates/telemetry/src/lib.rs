//! Numbers and logs: every metric declared once, counted per worker, read as Prometheus text or as a report.

mod logging;
mod metrics;
mod registry;
mod report;
mod throttle;
mod traffic;

pub use self::logging::{LogFormat, init_logging};
pub use self::metrics::{Kind, METRICS, Metric, names};
pub use self::registry::Registry;
pub use self::report::{Latency, StatsReport, TierReport};
pub use self::throttle::Throttle;
pub use self::traffic::{Class, RequestRecord, Shard, Telemetry, Tier};
