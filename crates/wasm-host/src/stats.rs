//! Numbers of one handler: counted with atomics on the way, moved into the registry before it is read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use holm_telemetry::{Registry, names};

use crate::fault::FaultReason;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With a response.
    Ok,
    /// Whoever waited for it left.
    Left,
    /// By a fault, before or after its response's head.
    Fault(FaultReason),
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Left => "client-left",
            Self::Fault(reason) => reason.as_str(),
        }
    }

    const ALL: [Self; 12] = [
        Self::Ok,
        Self::Left,
        Self::Fault(FaultReason::Trap),
        Self::Fault(FaultReason::CpuLimit),
        Self::Fault(FaultReason::WallLimit),
        Self::Fault(FaultReason::MemoryLimit),
        Self::Fault(FaultReason::NoResponse),
        Self::Fault(FaultReason::BadResponse),
        Self::Fault(FaultReason::TooManyCalls),
        Self::Fault(FaultReason::QueueFull),
        Self::Fault(FaultReason::Instantiate),
        Self::Fault(FaultReason::Stopping),
    ];
}

/// One handler's numbers since they were last moved.
#[derive(Debug, Default)]
pub(crate) struct HandlerStats {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    nanos: AtomicU64,
    cpu_nanos: AtomicU64,
    peak_memory: AtomicU64,
}

impl HandlerStats {
    /// A call that ran.
    pub(crate) fn record(&self, outcome: Outcome, to_head: Duration, cpu: Duration, peak_memory: u64) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.count(outcome);
        self.nanos.fetch_add(nanos(to_head), Relaxed);
        self.cpu_nanos.fetch_add(nanos(cpu), Relaxed);
        self.peak_memory.fetch_max(peak_memory, Relaxed);
    }

    /// A call that ended without a run.
    pub(crate) fn count(&self, outcome: Outcome) {
        if let Some(index) = Outcome::ALL.iter().position(|known| *known == outcome) {
            self.outcomes[index].fetch_add(1, Relaxed);
        }
    }

    /// Moves the numbers into the registry.
    pub(crate) fn collect(&self, registry: &Registry, site: &str, handler: &str) {
        let labels = [("site", site), ("handler", handler)];
        let add = |name, number: &AtomicU64| {
            let nanos = number.swap(0, Relaxed);
            if nanos > 0 {
                registry.add(name, &labels, Duration::from_nanos(nanos).as_secs_f64());
            }
        };
        add(names::HANDLER_SECONDS, &self.nanos);
        add(names::HANDLER_CPU_SECONDS, &self.cpu_nanos);
        #[expect(clippy::cast_precision_loss, reason = "counts and bytes, far below 2^53")]
        let float = |number: u64| number as f64;
        let peak = self.peak_memory.load(Relaxed);
        if peak > 0 {
            registry.raise(names::HANDLER_MEMORY, &labels, float(peak));
        }
        for (outcome, count) in Outcome::ALL.iter().zip(&self.outcomes) {
            let count = count.swap(0, Relaxed);
            if count > 0 {
                let labels = [("site", site), ("handler", handler), ("outcome", outcome.as_str())];
                registry.add(names::HANDLER_OUTCOMES, &labels, float(count));
            }
        }
    }
}
