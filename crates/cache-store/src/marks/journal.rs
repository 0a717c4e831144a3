//! The journal: what the marks know, in a file beside the disk tier.
//!
//! Every change is written (not yet synced) before the call that makes it returns: a killed process loses none. A thread
//! syncs within 100 ms. If the power goes before, `applied` goes back by as much, and the control plane's log tells it again;
//! local invalidations of that moment are lost, and what they concern may be served until it is stale.
//!
//! The file grows until what was added outweighs the marks; then the thread writes a fresh one beside it, syncs it, and renames
//! it over the old one.
//!
//! A journal that can't be written any more is erased, so that no restart believes it: then the disk's content is dropped.
//! The running process goes on, since its marks are in memory, and the thread tries to write a fresh journal now and then.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use super::inner::Inner;

pub(super) mod format;

/// Whom a failing journal tells. Called with the marks locked: it must not touch them.
pub type OnAlert = Arc<dyn Fn(JournalAlert) + Send + Sync>;

/// The journal has failed. Until it recovers a restart drops what the disk holds.
#[derive(Debug, thiserror::Error)]
#[error("can't {action} the purge journal {}: {source}; what is on disk will not outlive this process", path.display())]
pub struct JournalAlert {
    /// What could not be done.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
    /// Is the file gone, so that a restart knows? Where it is not, a restart would serve what was invalidated since: the
    /// caller drops the disk's content now, or stops using it.
    pub erased: bool,
}

/// The journal can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk fails, or the rights are missing.
    #[error("can't {action} {}: {source}; make sure that the folder can be written, or name another one", path.display())]
    File {
        /// What could not be done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{} is in use by another process; give each its own folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// A journal that is open. Dropping it syncs it.
#[derive(Debug)]
pub(super) struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Keeps other processes out.
    _lock: File,
}

/// The right to change the marks and tell the journal, until it is dropped.
pub(super) struct Turn<'a> {
    writer: MutexGuard<'a, Writer>,
    shared: &'a Shared,
}

struct Shared {
    folder: PathBuf,
    inner: Arc<RwLock<Inner>>,
    /// Locked before `inner`, never after.
    writer: Mutex<Writer>,
    wake: Condvar,
    alert: OnAlert,
    /// The file is not all, and could not be erased: a restart would believe it.
    astray: AtomicBool,
}

#[derive(Debug, Default)]
struct Writer {
    /// `None`: it has failed.
    file: Option<Arc<File>>,
    /// Bytes added since the last fresh file.
    added: usize,
    /// Something was written that is not synced.
    dirty: bool,
    closing: bool,
    /// What is written while a fresh file is being made.
    meanwhile: Option<Vec<u8>>,
}

impl Journal {
    /// Opens it, with what it says; and whether that can be believed.
    pub(super) fn open(folder: &Path, alert: OnAlert) -> Result<(Self, Arc<RwLock<Inner>>, bool), JournalError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::File { action, path, source }
        };
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        let lock = lock(folder)?;
        let bytes = read(&folder.join(FILE)).map_err(failed("read", &folder.join(FILE)))?;
        let mut inner = format::recover(&bytes).unwrap_or_default();
        // A lost end must not make counts come again that something on disk bears.
        inner.local.restore_counts(inner.local.count() + GAP, inner.local.dropped());
        let known = inner.scalars.vouched;
        let inner = Arc::new(RwLock::new(inner));
        let writer = Mutex::new(Writer::default());
        let (folder_name, wake, astray) = (folder.to_owned(), Condvar::new(), AtomicBool::new(false));
        let shared = Shared { folder: folder_name, inner: Arc::clone(&inner), writer, wake, alert, astray };
        let shared = Arc::new(shared);
        shared.renew().map_err(failed("write", &folder.join(FILE)))?;
        let thread = std::thread::Builder::new().name("holm-marks".to_owned());
        let running = Arc::clone(&shared);
        let thread = thread.spawn(move || running.run()).map_err(failed("start the thread that writes", folder))?;
        Ok((Self { shared, thread: Some(thread), _lock: lock }, inner, known))
    }

    pub(super) fn turn(&self) -> Turn<'_> {
        Turn { writer: self.shared.writer.lock(), shared: &self.shared }
    }

    #[cfg(test)]
    pub(super) fn go_astray(&self) {
        self.shared.astray.store(true, Ordering::SeqCst);
    }

    /// Would a restart believe it though it is not all?
    pub(super) fn is_astray(&self) -> bool {
        self.shared.astray.load(Ordering::SeqCst)
    }

    /// Is everything on the device when this returns?
    pub(super) fn flush(&self) -> bool {
        let file = self.shared.writer.lock().file.clone();
        file.is_some_and(|file| self.shared.sync(&file))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.writer.lock().closing = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Turn<'_> {
    /// Writes what `encode` adds.
    pub(super) fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::with_capacity(128);
        encode(&mut bytes);
        let writer = &mut *self.writer;
        writer.added += bytes.len();
        if let Some(meanwhile) = &mut writer.meanwhile {
            meanwhile.extend_from_slice(&bytes);
        }
        let Some(file) = &writer.file else { return };
        if let Err(error) = (&**file).write_all(&bytes) {
            return self.shared.fail(writer, "write to", error);
        }
        if !std::mem::replace(&mut writer.dirty, true) {
            self.shared.wake.notify_all();
        }
    }
}

impl Shared {
    /// Syncs, and writes the file anew, until the journal is closed.
    fn run(&self) {
        let mut writer = self.writer.lock();
        loop {
            if writer.file.is_some() {
                let is_idle = |writer: &mut Writer| writer.file.is_some() && !writer.dirty && !writer.closing;
                self.wake.wait_while(&mut writer, is_idle);
                self.wake.wait_while_for(&mut writer, |writer| !writer.closing, SYNC_WITHIN);
            } else {
                self.wake.wait_while_for(&mut writer, |writer| !writer.closing, RETRY);
            }
            let (closing, file, added) = (writer.closing, writer.file.clone(), writer.added);
            writer.dirty = false;
            drop(writer);
            if let Some(file) = &file {
                self.sync(file);
            }
            if closing {
                return;
            }
            let renewed = file.is_some() && added <= self.may_grow_by() || self.renew().is_ok();
            writer = self.writer.lock();
            if !renewed {
                // The old file, where there is one, says all: when it has grown as much again a fresh one is tried again.
                writer.added = 0;
            }
        }
    }

    fn may_grow_by(&self) -> usize {
        MIN_GROWTH.max(format::weight(&self.inner.read()))
    }

    fn sync(&self, file: &Arc<File>) -> bool {
        let Err(error) = file.sync_data() else { return true };
        let mut writer = self.writer.lock();
        // Of a file that was replaced meanwhile nothing matters any more.
        if writer.file.as_ref().is_some_and(|current| Arc::ptr_eq(current, file)) {
            self.fail(&mut writer, "sync", error);
        }
        false
    }

    /// Writes everything into a fresh file that takes the place of the old one.
    fn renew(&self) -> io::Result<()> {
        let (fresh, path) = (self.folder.join(FRESH), self.folder.join(FILE));
        let snapshot = {
            let mut writer = self.writer.lock();
            writer.meanwhile = Some(Vec::new());
            format::snapshot(&self.inner.read())
        };
        let written = write_synced(&fresh, &snapshot);
        let mut writer = self.writer.lock();
        let meanwhile = writer.meanwhile.take().unwrap_or_default();
        let file = written?;
        (&file).write_all(&meanwhile)?;
        fs::rename(&fresh, &path)?;
        writer.added = meanwhile.len();
        writer.file = Some(Arc::new(file));
        writer.dirty |= !meanwhile.is_empty();
        drop(writer);
        File::open(&self.folder)?.sync_all()?;
        // Unless that one has failed meanwhile.
        if self.writer.lock().file.is_some() {
            self.astray.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Gives the journal up, so that no restart believes what is no longer all.
    fn fail(&self, writer: &mut Writer, action: &'static str, source: io::Error) {
        let path = self.folder.join(FILE);
        let before = writer.file.take();
        let emptied = before.is_some_and(|file| file.set_len(0).is_ok());
        let erased = fs::remove_file(&path).is_ok() || emptied;
        self.astray.store(!erased, Ordering::SeqCst);
        // The thread makes a new one.
        self.wake.notify_all();
        (self.alert)(JournalAlert { action, path, source, erased });
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let failed = |source| JournalError::File { action: "lock", path: path.clone(), source };
    let file = opened.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// What is there; nothing where nothing is, or too much.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_FILE + 1).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(if bytes.len() as u64 > MAX_FILE { Vec::new() } else { bytes })
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<File> {
    // Left behind by a process that was killed: it may belong to no one any more.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().create_new(true).append(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

/// The journal.
const FILE: &str = "purges.journal";
/// One that is not complete yet.
const FRESH: &str = "purges.journal.new";
const LOCK: &str = "purges.lock";

/// How far the count of local invalidations jumps at each start: further than a lost end can have counted.
const GAP: u64 = 1 << 32;

/// How long a change waits to be synced, at most.
const SYNC_WITHIN: Duration = Duration::from_millis(100);

/// How often a failed journal is tried again.
const RETRY: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(10) };

/// How far a journal may grow though there are few marks, in bytes.
const MIN_GROWTH: usize = if cfg!(test) { 4 << 10 } else { 256 << 10 };

/// A larger one is not ours, in bytes: 7 million marks.
const MAX_FILE: u64 = 256 << 20;

#[cfg(test)]
mod tests;
