//! The block device: what it has read, and the page cache before it, which is kept empty.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::bench::rate::LOAD_CORE;
use crate::command;

/// A device's counters.
pub(super) struct Device(PathBuf);

/// What it has read since the machine started.
#[derive(Clone, Copy)]
pub(super) struct Reads {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

impl Device {
    /// The one that a folder is on.
    pub(super) fn of(dir: &Path) -> Result<Self> {
        let dev = fs::metadata(dir)?.dev();
        // As in makedev(3).
        let (major, minor) = ((dev >> 8 & 0xfff) | (dev >> 32 & !0xfff), (dev & 0xff) | (dev >> 12 & !0xff));
        let device = Self(PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat")));
        let shown = dir.display();
        device
            .reads()
            .with_context(|| format!("{shown} is on no block device: CARGO_TARGET_DIR must name one that is"))?;
        Ok(device)
    }

    pub(super) fn reads(&self) -> Result<Reads> {
        let text = fs::read_to_string(&self.0).with_context(|| format!("cannot read {}", self.0.display()))?;
        let field = |at: usize| text.split_whitespace().nth(at).and_then(|field| field.parse::<u64>().ok());
        let (count, sectors) = field(0).zip(field(2)).with_context(|| format!("not understood: {text}"))?;
        Ok(Reads { count, bytes: sectors * SECTOR })
    }
}

/// While it lives, nothing stays in the page cache for longer than a moment: for every server alike.
pub(super) struct Cold {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Cold {
    /// # Errors
    /// We may not.
    pub(super) fn keep() -> Result<Self> {
        let core = LOAD_CORE.parse()?;
        // What is not written yet would stay.
        command::run(&mut command::program("sync"))?;
        // Every known file is looked at each time: those of others, such as of the last build, are forgotten first.
        fs::write(DROP, "3").with_context(|| format!("cannot empty the page cache through {DROP}: root may"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut cores = CpuSet::new();
            cores.set(core);
            let _ = sched_setaffinity(None, &cores);
            while !told.load(Ordering::Relaxed) {
                let _ = fs::write(DROP, "1");
                thread::sleep(PAUSE);
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Cold {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

const DROP: &str = "/proc/sys/vm/drop_caches";
/// At 10,000 objects a second, 200 of 20,000 at most; at 2,500 of 1 MiB, 50 of 512. What it takes of the load generator is little.
const PAUSE: Duration = Duration::from_millis(20);
/// The unit of the counters, whatever the device's.
const SECTOR: u64 = 512;
