//! Uploads: blobs that arrive in pieces, and go on after a break where they ended.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use holm_model::ids::Digest;
use holm_model::limits::MAX_BLOB;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Blobs;
use crate::error::{BlobError, StoreError};

/// A blob on its way in. What was written stays when this is dropped, and an upload can go on from there.
pub struct Upload {
    digest: Digest,
    path: PathBuf,
    target: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    length: u64,
    _claim: Claim,
}

impl Blobs {
    /// Begins an upload at 0, or goes on with one from the position that it has reached.
    pub(crate) fn upload(&self, digest: &Digest, offset: u64) -> Result<Upload, BlobError> {
        let claim = self.claims.take(*digest).ok_or(BlobError::Busy)?;
        let path = self.partial(digest);
        let failed = |source| StoreError::File { action: "write", path: path.clone(), source };
        if offset == 0 {
            self.make_room(&path);
        }
        let fresh = offset == 0;
        let opened = File::options().read(true).write(true).create(fresh).truncate(fresh).open(&path);
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BlobError::Offset { have: 0 }),
            Err(source) => return Err(failed(source).into()),
        };
        let have = file.metadata().map_err(failed)?.len();
        if have != offset {
            return Err(BlobError::Offset { have });
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&file).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let target = self.path(digest);
        Ok(Upload { digest: *digest, path, target, file, hasher, length: offset, _claim: claim })
    }

    /// How much of the blob a broken upload has left.
    pub(crate) fn uploaded(&self, digest: &Digest) -> u64 {
        fs::metadata(self.partial(digest)).map_or(0, |metadata| metadata.len())
    }

    /// Completes once some upload has ended.
    pub(crate) fn released(&self) -> tokio::sync::futures::Notified<'_> {
        self.claims.released.notified()
    }

    fn partial(&self, digest: &Digest) -> PathBuf {
        self.uploads.join(format!("{digest}.{PARTIAL}"))
    }

    /// Broken uploads may not fill the disk: the oldest go when there are too many.
    fn make_room(&self, keep: &Path) {
        let mut partials = partials(&self.uploads);
        partials.retain(|(path, _)| path != keep && !self.claims.has(path));
        partials.sort_by_key(|(_, changed)| *changed);
        let excess = partials.len().saturating_sub(MAX_PARTIALS - 1);
        for (path, _) in partials.drain(..excess) {
            let _ = fs::remove_file(path);
        }
    }
}

impl Upload {
    /// How many bytes are there.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes. Blocks.
    ///
    /// # Errors
    /// The blob gets too large, or the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        if self.length + bytes.len() as u64 > MAX_BLOB.get() {
            return Err(BlobError::TooLarge);
        }
        self.file.write_all(bytes).map_err(|source| self.failed("write", source))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Checks the whole and makes it a blob. Blocks. Returns its length.
    ///
    /// # Errors
    /// Its digest is another one (it is discarded then), or the disk fails.
    pub fn finish(self) -> Result<u64, BlobError> {
        if let Err(error) = check(&self.hasher, &self.digest) {
            let _ = fs::remove_file(&self.path);
            return Err(error);
        }
        self.file.sync_all().map_err(|source| self.failed("sync", source))?;
        fs::rename(&self.path, &self.target).map_err(|source| self.failed("rename", source))?;
        // The name too, not only the bytes: who uploaded is told that it is durable.
        let folder = self.target.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| self.failed("sync", source))?;
        Ok(self.length)
    }

    fn failed(&self, action: &'static str, source: io::Error) -> StoreError {
        StoreError::File { action, path: self.path.clone(), source }
    }
}

/// Which blobs are being uploaded.
#[derive(Default)]
pub(super) struct Claims {
    taken: Mutex<HashSet<Digest>>,
    released: Notify,
}

struct Claim {
    digest: Digest,
    claims: Arc<Claims>,
}

impl Claims {
    fn take(self: &Arc<Self>, digest: Digest) -> Option<Claim> {
        self.taken.lock().insert(digest).then(|| Claim { digest, claims: Arc::clone(self) })
    }

    fn has(&self, path: &Path) -> bool {
        let digest = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        digest.is_some_and(|digest: Digest| self.taken.lock().contains(&digest))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.taken.lock().remove(&self.digest);
        self.claims.released.notify_waiters();
    }
}

/// Have the bytes the digest that they are to have?
pub(super) fn check(hasher: &blake3::Hasher, expected: &Digest) -> Result<(), BlobError> {
    let found = Digest::from_bytes(*hasher.finalize().as_bytes());
    if found == *expected { Ok(()) } else { Err(BlobError::Mismatch { expected: *expected, found }) }
}

/// Removes what a process that ended badly left behind: files that were never whole, and uploads that nobody went on with
/// for long.
pub(super) fn sweep(uploads: &Path, now: SystemTime) {
    for entry in fs::read_dir(uploads).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMP) {
            let _ = fs::remove_file(entry.path());
        }
    }
    for (path, changed) in partials(uploads) {
        if now.duration_since(changed).is_ok_and(|age| age > PARTIAL_KEPT) {
            let _ = fs::remove_file(path);
        }
    }
}

fn partials(uploads: &Path) -> Vec<(PathBuf, SystemTime)> {
    let entries = fs::read_dir(uploads).into_iter().flatten().flatten();
    let partial = |path: &PathBuf| path.extension().is_some_and(|extension| extension == PARTIAL);
    let dated = |path: PathBuf| {
        let changed = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
        Some((path, changed))
    };
    entries.map(|entry| entry.path()).filter(partial).filter_map(dated).collect()
}

/// The beginning of the names of files that are written in one go.
pub(super) const TEMP: &str = "put-";

/// The ending of the names of uploads.
const PARTIAL: &str = "part";

/// How long a broken upload is kept for its client to go on.
const PARTIAL_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many broken uploads are kept, each up to the size of the largest blob.
const MAX_PARTIALS: usize = 64;
