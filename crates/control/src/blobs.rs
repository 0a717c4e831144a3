//! Blobs: components and files of releases, each in a file named by its BLAKE3 digest.
//!
//! A blob is written to `uploads/` first and renamed into `blobs/` once it is whole, checked and on disk: whatever bears a
//! digest's name was right when it was put there.

mod upload;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use holm_model::ids::Digest;
use holm_model::limits::MAX_BLOB;
use parking_lot::Mutex;

use self::upload::Claims;
pub use self::upload::Upload;
use crate::error::{BlobError, OpenError, StoreError};

/// The folder of blobs.
pub(crate) struct Blobs {
    blobs: PathBuf,
    uploads: PathBuf,
    claims: Arc<Claims>,
    /// Blobs whose bytes were checked since the start, with the length and the time of change that they had then.
    checked: Mutex<HashMap<Digest, (u64, SystemTime)>>,
}

impl Blobs {
    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        let blobs = dir.join("blobs");
        let uploads = dir.join("uploads");
        for path in [&blobs, &uploads] {
            let failed = |source| OpenError::File { action: "make", path: path.clone(), source };
            fs::create_dir_all(path).map_err(failed)?;
        }
        upload::sweep(&uploads, SystemTime::now());
        Ok(Self { blobs, uploads, claims: Arc::default(), checked: Mutex::default() })
    }

    /// The blob's length, if it is there.
    pub(crate) fn len(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { action: "look at", path, source }),
        }
    }

    /// The whole blob in memory, checked.
    pub(crate) fn read(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(bytes) if Digest::of(&bytes) == *digest => Ok(Some(bytes.into())),
            Ok(_) => Err(self.set_aside(digest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { action: "read", path, source }),
        }
    }

    /// The blob's file at its beginning. Its bytes are checked the first time, and again if the file has changed.
    pub(crate) fn file(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let path = self.path(digest);
        let failed = |source| StoreError::File { action: "read", path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let metadata = file.metadata().map_err(failed)?;
        let seen = (metadata.len(), metadata.modified().map_err(failed)?);
        if self.checked.lock().get(digest) != Some(&seen) {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(&file).map_err(failed)?;
            if Digest::from_bytes(*hasher.finalize().as_bytes()) != *digest {
                return Err(self.set_aside(digest));
            }
            io::Seek::rewind(&mut &file).map_err(failed)?;
            self.checked.lock().insert(*digest, seen);
        }
        Ok(Some(file))
    }

    /// Stores what `source` yields, if that has this digest. Returns its length.
    pub(crate) fn put(&self, digest: &Digest, source: &mut dyn Read) -> Result<u64, BlobError> {
        if let Some(length) = self.len(digest)? {
            return Ok(length);
        }
        let failed = |source| StoreError::File { action: "write in", path: self.uploads.clone(), source };
        let mut temp = tempfile::Builder::new().prefix(upload::TEMP).tempfile_in(&self.uploads).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; BUFFER];
        let mut length = 0_u64;
        loop {
            let read = source.read(&mut buffer).map_err(BlobError::Source)?;
            if read == 0 {
                break;
            }
            length += read as u64;
            if length > MAX_BLOB.get() {
                return Err(BlobError::TooLarge);
            }
            hasher.update(&buffer[..read]);
            io::Write::write_all(&mut temp, &buffer[..read]).map_err(failed)?;
        }
        upload::check(&hasher, digest)?;
        temp.as_file().sync_all().map_err(failed)?;
        temp.persist(self.path(digest)).map_err(|error| failed(error.error))?;
        Ok(length)
    }

    /// Makes the names of all blobs durable: their bytes are since they were put.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::File { action: "sync", path: self.blobs.clone(), source };
        File::open(&self.blobs).and_then(|dir| dir.sync_all()).map_err(failed)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.to_string())
    }

    /// Takes a damaged blob out of the way, so that it counts as missing and can be uploaded again.
    fn set_aside(&self, digest: &Digest) -> StoreError {
        let path = self.path(digest);
        tracing::error!(%digest, "a blob is damaged on disk");
        let _ = fs::rename(&path, path.with_extension("damaged"));
        self.checked.lock().remove(digest);
        StoreError::CorruptBlob(*digest)
    }
}

/// Bytes read at a time: large enough that a system call's cost does not show.
const BUFFER: usize = 256 << 10;

#[cfg(test)]
mod tests;
