//! The meter of one call: time on a CPU, linear memory, and what was refused.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::ResourceLimiter;

use crate::config::MAX_TABLE_ELEMENTS;

/// What a call has used of its limits. Its time runs only while the guest is polled, on the clock of the thread that
/// polls it: neither waiting nor the threads that run in between count.
#[derive(Debug)]
pub(crate) struct Meter {
    cpu_limit: Duration,
    /// Nanoseconds of the polls before this one.
    used: AtomicU64,
    /// The thread's clock when this poll began.
    poll_began: AtomicU64,
    memory_limit: u64,
    memory: AtomicU64,
    peak_memory: AtomicU64,
    memory_refused: AtomicBool,
}

/// The call has used up its time on a CPU.
#[derive(Debug, thiserror::Error)]
#[error("the call has used up its {0:?} on a CPU")]
pub(crate) struct CpuExhausted(Duration);

impl Meter {
    pub(crate) fn new(cpu_limit: Duration, memory_limit: u64) -> Self {
        Self {
            cpu_limit,
            used: AtomicU64::new(0),
            poll_began: AtomicU64::new(0),
            memory_limit,
            memory: AtomicU64::new(0),
            peak_memory: AtomicU64::new(0),
            memory_refused: AtomicBool::new(false),
        }
    }

    /// Polls `guest` under this meter. Whoever runs the guest's code calls [`Meter::check`] at each epoch, which knows
    /// where the guest is; what no epoch sees, a host call that took too long, is found here when the poll returns.
    pub(crate) async fn run<F: Future>(&self, guest: F) -> Result<F::Output, CpuExhausted> {
        let mut guest = pin!(guest);
        poll_fn(|cx| {
            self.poll_began.store(thread_clock(), Relaxed);
            let polled = guest.as_mut().poll(cx);
            self.used.store(self.used_in_poll(), Relaxed);
            match polled {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending => match self.within(self.cpu().saturating_sub(GRACE)) {
                    Ok(()) => Poll::Pending,
                    Err(exhausted) => Poll::Ready(Err(exhausted)),
                },
            }
        })
        .await
    }

    /// Within a poll: is there time left?
    pub(crate) fn check(&self) -> Result<(), CpuExhausted> {
        self.within(Duration::from_nanos(self.used_in_poll()))
    }

    /// Time on a CPU of the polls so far.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed))
    }

    /// The most linear memory so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak_memory.load(Relaxed)
    }

    /// Was the guest ever refused more memory?
    pub(crate) fn memory_refused(&self) -> bool {
        self.memory_refused.load(Relaxed)
    }

    fn used_in_poll(&self) -> u64 {
        self.used.load(Relaxed) + thread_clock().saturating_sub(self.poll_began.load(Relaxed))
    }

    fn within(&self, used: Duration) -> Result<(), CpuExhausted> {
        if used < self.cpu_limit { Ok(()) } else { Err(CpuExhausted(self.cpu_limit)) }
    }

    /// May memory grow from `current` to `desired` bytes? All memories of the instance count together.
    fn grow(&self, current: usize, desired: usize) -> bool {
        let total = self.memory.load(Relaxed).saturating_add(desired.saturating_sub(current) as u64);
        if total > self.memory_limit {
            self.memory_refused.store(true, Relaxed);
            return false;
        }
        self.memory.store(total, Relaxed);
        self.peak_memory.fetch_max(total, Relaxed);
        true
    }
}

/// What the store asks before memory or a table grows. A refused guest sees its allocation fail, as the standard says.
pub(crate) struct Limiter(pub(crate) std::sync::Arc<Meter>);

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.0.grow(current, desired))
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}

/// How far beyond its limit a guest may be between two polls: the next epoch ends it, with its backtrace.
const GRACE: Duration = Duration::from_millis(10);

fn thread_clock() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = |value: i64| u64::try_from(value).unwrap_or(0);
    nanos(now.tv_sec).saturating_mul(1_000_000_000).saturating_add(nanos(now.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_count_together() {
        let meter = Meter::new(Duration::from_secs(1), 100);
        assert!(meter.grow(0, 40));
        assert!(meter.grow(0, 30), "a second memory");
        assert!(meter.grow(40, 70));
        assert!(!meter.memory_refused());
        assert!(!meter.grow(70, 71));
        assert!(meter.memory_refused());
        assert_eq!(meter.peak_memory(), 100);
    }

    #[tokio::test]
    async fn waiting_costs_nothing_and_spinning_does() {
        let meter = Meter::new(Duration::from_millis(5), 0);
        meter.run(tokio::time::sleep(Duration::from_millis(20))).await.expect("waiting is free");
        let spin = async {
            loop {
                tokio::task::yield_now().await;
            }
        };
        assert!(meter.run(spin).await.is_err(), "a spinning guest runs out of time");
        assert!(meter.cpu() >= Duration::from_millis(5));
    }
}
