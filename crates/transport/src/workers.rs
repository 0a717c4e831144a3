//! Worker threads: one runtime on each, so that a connection lives on one core from its first byte to its last.

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Running worker threads. Where one fails, all end; dropping this leaves them running.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    fate: Arc<Fate>,
}

/// Things made beforehand, one for each worker to take.
#[derive(Debug)]
pub struct Shared<T>(Mutex<Vec<Option<T>>>);

#[derive(Debug, Default)]
struct Fate {
    /// All are to end.
    stop: CancellationToken,
    /// What went wrong first.
    failure: Mutex<Option<io::Error>>,
}

impl Workers {
    /// Starts `count` threads (at least one), named `name-0` and so on, each with a current-thread runtime of its own that
    /// runs `run(index)`, and everything that it spawns, until it completes.
    ///
    /// # Errors
    /// The system gives no further thread, or no event queue.
    pub fn start<F, Fut>(count: usize, name: &str, run: F) -> io::Result<Self>
    where
        F: Fn(usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<()>> + 'static,
    {
        let (run, fate) = (Arc::new(run), Arc::new(Fate::default()));
        let mut workers = Self { threads: Vec::new(), fate };
        for index in 0..count.max(1) {
            let started = workers.start_one(format!("{name}-{index}"), index, &run);
            if let Err(error) = started {
                workers.stop();
                return Err(error);
            }
        }
        Ok(workers)
    }

    /// Hands things out to workers: see [`Shared::take`].
    #[must_use]
    pub fn share<T>(things: Vec<T>) -> Shared<T> {
        Shared(Mutex::new(things.into_iter().map(Some).collect()))
    }

    /// Ends all of them at once, with whatever they are about.
    pub fn stop(&self) {
        self.fate.stop.cancel();
    }

    /// Completes once one has failed, or [`Workers::stop`] was called.
    pub async fn stopped(&self) {
        self.fate.stop.cancelled().await;
    }

    /// Waits until all have ended. It blocks: not for a runtime's thread.
    ///
    /// # Errors
    /// What the first one to fail returned, or the words of its panic.
    pub fn join(self) -> io::Result<()> {
        for thread in self.threads {
            if thread.join().is_err() {
                self.fate.fail(io::Error::other("a worker's thread panicked outside of its work"));
            }
        }
        match self.fate.failure.lock().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn start_one<F, Fut>(&mut self, name: String, index: usize, run: &Arc<F>) -> io::Result<()>
    where
        F: Fn(usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<()>> + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (run, fate) = (Arc::clone(run), Arc::clone(&self.fate));
        let work = move || {
            let worked = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async {
                    tokio::select! {
                        result = run(index) => result,
                        () = fate.stop.cancelled() => Ok(()),
                    }
                })
            }));
            match worked {
                Ok(Ok(())) => {}
                Ok(Err(error)) => fate.fail(error),
                Err(panic) => fate.fail(io::Error::other(format!("worker {index} panicked: {}", words(&*panic)))),
            }
        };
        self.threads.push(std::thread::Builder::new().name(name).spawn(work)?);
        Ok(())
    }
}

impl<T> Shared<T> {
    /// The thing of this worker; `None` if there is none for it, or it was taken.
    pub fn take(&self, index: usize) -> Option<T> {
        self.0.lock().get_mut(index)?.take()
    }
}

impl Fate {
    fn fail(&self, error: io::Error) {
        tracing::error!(%error, "a worker failed");
        self.failure.lock().get_or_insert(error);
        self.stop.cancel();
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runs_its_share() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let shares = Workers::share(vec!["one", "two"]);
        let workers = Workers::start(3, "test", move |index| {
            let (share, sender) = (shares.take(index), sender.clone());
            let name = std::thread::current().name().map(str::to_owned);
            async move {
                let _ = sender.send((index, name, share));
                Ok(())
            }
        });
        workers.unwrap().join().unwrap();
        let mut seen: Vec<_> = receiver.iter().collect();
        seen.sort();
        let named = |index: usize, share| (index, Some(format!("test-{index}")), share);
        assert_eq!(seen, [named(0, Some("one")), named(1, Some("two")), named(2, None)]);
    }

    #[test]
    fn one_that_fails_ends_all() {
        let check = |fail: fn() -> io::Result<()>, expected: &str| {
            let workers = Workers::start(2, "test", move |index| async move {
                if index == 1 { fail() } else { std::future::pending().await }
            });
            assert_eq!(workers.unwrap().join().unwrap_err().to_string(), expected);
        };
        check(|| Err(io::Error::other("no socket")), "no socket");
        check(|| panic!("a bug"), "worker 1 panicked: a bug");
    }

    #[test]
    fn they_stop_when_told() {
        let workers = Workers::start(2, "test", |_| std::future::pending()).unwrap();
        workers.stop();
        workers.join().unwrap();
    }
}
