//! Threads that read: where the kernel refuses an io_uring.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::read::Request;

/// Some threads, started as they are needed. They end with this, once the reads under way are done.
#[derive(Debug)]
pub(super) struct Threads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Work>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    queue: VecDeque<Request>,
    /// Threads there are.
    threads: usize,
    /// Of them, those that wait for work.
    idle: usize,
    closed: bool,
}

impl Threads {
    pub(super) fn start() -> Self {
        Self(Arc::default())
    }

    /// Never waits.
    pub(super) fn submit(&self, request: Request) {
        let mut work = self.0.work.lock();
        work.queue.push_back(request);
        if work.idle >= work.queue.len() || work.threads >= MOST {
            drop(work);
            self.0.came.notify_one();
            return;
        }
        let shared = Arc::clone(&self.0);
        let started = std::thread::Builder::new().name("disk-read".to_owned()).spawn(move || shared.serve());
        match started {
            Ok(_) => work.threads += 1,
            // Those that there are will do it.
            Err(_) if work.threads > 0 => {}
            Err(error) => {
                let request = work.queue.pop_back();
                drop(work);
                if let Some(waker) = request.and_then(|request| request.fail(error)) {
                    waker.wake();
                }
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.work.lock().closed = true;
        self.0.came.notify_all();
    }
}

impl Shared {
    fn serve(&self) {
        let mut work = self.work.lock();
        loop {
            if let Some(request) = work.queue.pop_front() {
                drop(work);
                if let Some(waker) = request.is_wanted().then(|| request.read_blocking()).flatten() {
                    waker.wake();
                }
                work = self.work.lock();
            } else if work.closed {
                return;
            } else {
                work.idle += 1;
                self.came.wait(&mut work);
                work.idle -= 1;
            }
        }
    }
}

/// Threads at most, hence reads at once.
const MOST: usize = 32;
