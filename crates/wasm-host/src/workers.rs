//! The threads that run handlers: each with a runtime of its own, below the priority of those that serve cached content.
//!
//! A call goes to the thread with the fewest calls and stays there: guests yield at each epoch, so the calls of a
//! thread share it fairly, and no thread waits for another's queue. What bounds the queue is one count of all calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use tokio::sync::{Semaphore, mpsc};

use crate::call::Job;
use crate::config::HostConfig;
use crate::engine::Ticker;
use crate::fault::FaultReason;

/// A node's handler threads and its count of calls.
pub(crate) struct Workers {
    threads: Vec<Worker>,
    /// Calls that wait or run.
    calls: Arc<AtomicUsize>,
    most_calls: usize,
    /// Where the next search for a free thread begins.
    turn: AtomicUsize,
}

struct Worker {
    jobs: mpsc::UnboundedSender<Job>,
    load: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts the threads. They end when the last handle goes; calls under way end then too.
    pub(crate) fn start(config: &HostConfig, ticker: Ticker) -> std::io::Result<Self> {
        let slots = Arc::new(Semaphore::new(config.instances as usize));
        let ticker = Arc::new(ticker);
        let threads = (0..config.threads.max(1))
            .map(|index| Worker::start(index, config.nice, Arc::clone(&slots), Arc::clone(&ticker)))
            .collect::<Result<_, _>>()?;
        let most_calls = config.queue.saturating_add(config.instances as usize);
        Ok(Self { threads, calls: Arc::default(), most_calls, turn: AtomicUsize::new(0) })
    }

    /// A place among the node's calls.
    pub(crate) fn admit(&self) -> Result<Counted, FaultReason> {
        Counted::new(&self.calls, self.most_calls).ok_or(FaultReason::QueueFull)
    }

    /// Hands the job to the thread with the fewest calls.
    pub(crate) fn submit(&self, job: Job) -> Result<(), FaultReason> {
        let from = self.turn.fetch_add(1, Relaxed);
        let order = (0..self.threads.len()).map(|step| &self.threads[from.wrapping_add(step) % self.threads.len()]);
        let worker = order.min_by_key(|worker| worker.load.load(Relaxed)).ok_or(FaultReason::Stopping)?;
        worker.load.fetch_add(1, Relaxed);
        worker.jobs.send(job).map_err(|_| FaultReason::Stopping)
    }
}

impl Worker {
    fn start(index: usize, nice: i32, slots: Arc<Semaphore>, ticker: Arc<Ticker>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            // A busy guest holds the thread for a tick at a time: look for other calls each time, for timers often.
            .global_queue_interval(1)
            .event_interval(8)
            .build()?;
        let (jobs, queue) = mpsc::unbounded_channel();
        let load = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&load);
        let run = move || {
            lower_priority(nice);
            runtime.block_on(take_jobs(queue, counted, slots, ticker));
        };
        thread::Builder::new().name(format!("holm-handler-{index}")).spawn(run)?;
        Ok(Self { jobs, load })
    }
}

/// Runs each job as a task of its own, as soon as there is an instance for it.
async fn take_jobs(
    mut queue: mpsc::UnboundedReceiver<Job>,
    load: Arc<AtomicUsize>,
    slots: Arc<Semaphore>,
    ticker: Arc<Ticker>,
) {
    while let Some(job) = queue.recv().await {
        let running = Running { load: Arc::clone(&load), ticker: Arc::clone(&ticker) };
        running.ticker.begin();
        let slots = Arc::clone(&slots);
        tokio::spawn(async move {
            let _running = running;
            if let Ok(_slot) = slots.acquire().await {
                job.run().await;
            }
        });
    }
}

/// One job of a thread.
struct Running {
    load: Arc<AtomicUsize>,
    ticker: Arc<Ticker>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Relaxed);
        self.ticker.end();
    }
}

/// One of a bounded number; given back when it is dropped.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// One more, unless there are `most` already.
    pub(crate) fn new(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let counted = Self(Arc::clone(count));
        let before = count.fetch_add(1, Relaxed);
        // Dropping gives it back.
        (before < most).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// On Linux a nice value belongs to a thread. Where it may not be changed, handlers compete as equals.
fn lower_priority(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice) {
        tracing::warn!("handler threads keep their priority: {error}");
    }
}
