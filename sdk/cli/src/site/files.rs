//! The files of a route: a folder walked, typed and hashed.

use std::fs::File;
use std::path::{Path, PathBuf};

use holm_model::ids::Digest;
use holm_model::limits::{MAX_BLOB, MAX_FILES};
use holm_model::release::{FileEntry, Files};
use holm_model::units::ByteSize;

use super::{Blob, content_type};
use crate::Failure;

/// A folder that was walked.
pub(super) struct Walked {
    /// Its files by path, with a leading slash.
    pub(super) entries: Files,
    /// Their content.
    pub(super) blobs: Vec<Blob>,
    /// What was left out.
    pub(super) note: Option<String>,
}

/// Walks the folder `root`. Hidden files stay at home, `.well-known` (RFC 8615) excepted.
pub(super) fn walk(root: &Path) -> Result<Walked, Failure> {
    let canonical = root
        .canonicalize()
        .map_err(|error| Failure::io("open", root, &error).help("`files` is a folder, relative to the manifest"))?;
    if !canonical.is_dir() {
        return Err(Failure::new(format!("{} is not a folder", root.display())).help("`files` is a folder"));
    }
    let mut walk = Walk { root: canonical.clone(), found: Vec::new(), hidden: 0 };
    walk.folder(&canonical, "")?;
    if walk.found.is_empty() {
        return Err(Failure::new(format!("{} holds no files", root.display())));
    }
    let mut walked = Walked { entries: Files::new(), blobs: Vec::with_capacity(walk.found.len()), note: None };
    for (path, file) in walk.found {
        let blob = hash(&file)?;
        let content_type = content_type::of(&path).to_owned();
        walked.entries.insert(path, FileEntry { digest: blob.digest, size: blob.size, content_type });
        walked.blobs.push(blob);
    }
    if walk.hidden > 0 {
        walked.note = Some(format!("left out {} hidden file(s) or folder(s) in {}", walk.hidden, root.display()));
    }
    Ok(walked)
}

/// The blob in the file `path`, hashed as a stream.
pub(super) fn hash(path: &Path) -> Result<Blob, Failure> {
    let failed = |error: std::io::Error| Failure::io("read", path, &error);
    let file = File::open(path).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&file).map_err(failed)?;
    let size = hasher.count();
    if size > MAX_BLOB.get() {
        let message = format!("{} has {}; the most is {MAX_BLOB}", path.display(), ByteSize::bytes(size));
        return Err(Failure::new(message));
    }
    Ok(Blob { path: path.to_owned(), size, digest: Digest::from_bytes(*hasher.finalize().as_bytes()) })
}

/// A walk under way.
struct Walk {
    root: PathBuf,
    found: Vec<(String, PathBuf)>,
    hidden: usize,
}

impl Walk {
    /// Adds all files below `dir`, whose path on the site is `prefix`.
    fn folder(&mut self, dir: &Path, prefix: &str) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::io("read", dir, &error);
        let mut entries = std::fs::read_dir(dir).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| {
                Failure::new(format!("the name of {} is not UTF-8: no URL leads to it", path.display()))
            })?;
            if name.starts_with('.') && name != ".well-known" {
                self.hidden += 1;
                continue;
            }
            self.entry(path, format!("{prefix}/{name}"))?;
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf, url_path: String) -> Result<(), Failure> {
        let kind = std::fs::symlink_metadata(&path).map_err(|error| Failure::io("read", &path, &error))?.file_type();
        if kind.is_dir() {
            return self.folder(&path, &url_path);
        }
        if kind.is_symlink() {
            self.check_link(&path)?;
        } else if !kind.is_file() {
            return Err(Failure::new(format!("{} is neither a file nor a folder", path.display())));
        }
        if self.found.len() >= MAX_FILES {
            return Err(Failure::new(format!("{} holds more than {MAX_FILES} files", self.root.display())));
        }
        self.found.push((url_path, path));
        Ok(())
    }

    /// A link may name a file of the same folder. One that leads out would publish what nobody meant to, and one to a
    /// folder may lead in a circle.
    fn check_link(&self, path: &Path) -> Result<(), Failure> {
        let target = path.canonicalize().map_err(|error| Failure::io("follow the link", path, &error))?;
        if !target.starts_with(&self.root) {
            let message = format!("{} is a link out of its folder, to {}", path.display(), target.display());
            return Err(Failure::new(message).help("copy what it names into the folder"));
        }
        if !target.is_file() {
            let message = format!("{} is a link to a folder, which is not followed", path.display());
            return Err(Failure::new(message).help("copy what it names into the folder"));
        }
        Ok(())
    }
}
