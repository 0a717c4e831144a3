//! Stores: how the process's memory and disk are shared between its two roles, and where on disk each role's part is.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use holm_edge_node::StoreConfig;
use holm_model::disk::{DiskPlace, DiskSpec};
use holm_model::units::ByteSize;

use crate::Failure;

/// What each role's store is made of.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) edge: StoreConfig,
    pub(crate) shield: StoreConfig,
}

/// Where a `--disk` leads.
#[derive(Debug)]
enum Place {
    /// A folder, in which each role has a file.
    Folder(PathBuf),
    /// A block device, which the roles share.
    Device(PathBuf),
}

impl Stores {
    /// Shares `memory` and each of `disk` between the roles. What is kept beside content on disk is in the data folder, as
    /// is the content of a `--disk` that names no place of its own.
    pub(crate) fn plan(memory: ByteSize, disk: &[DiskSpec], data: &Path) -> Result<Self, Failure> {
        let shield = memory.get() / SHIELD_PART;
        let mut edge = StoreConfig::memory_only(ByteSize::bytes(memory.get() - shield));
        let mut shield = StoreConfig::memory_only(ByteSize::bytes(shield));
        if disk.is_empty() {
            return Ok(Self { edge, shield });
        }
        let own = data.join(OWN_FOLDER);
        edge.journal = Some(make(&own.join("edge"))?);
        shield.journal = Some(make(&own.join("shield"))?);
        let mut seen = BTreeMap::new();
        for spec in disk {
            let place = Place::find(spec.place.as_deref(), &own)?;
            let named = spec.place.as_deref().unwrap_or(&own);
            if let Some(before) = seen.insert(place.path().to_owned(), named.to_owned()) {
                let same = if before == named { String::new() } else { format!(" (as {})", before.display()) };
                let failure = Failure::usage(format!("--disk names {} twice{same}", named.display()));
                return Err(failure.help("give one size for each place"));
            }
            let (of_edge, of_shield) = place.share(spec.size);
            edge.disk.push(of_edge);
            shield.disk.push(of_shield);
        }
        Ok(Self { edge, shield })
    }
}

impl Place {
    /// A folder that the operator names is never made: where a device was to be mounted there and is not, its content
    /// would fill the device above.
    fn find(named: Option<&Path>, own: &Path) -> Result<Self, Failure> {
        let path = named.unwrap_or(own);
        let failure = |why: &str| Failure::new(format!("--disk {}: {why}", path.display()));
        let found = path.canonicalize().and_then(|path| Ok((path.metadata()?.file_type(), path)));
        let (kind, path) = found.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                failure("there is no such folder or device").help("make it, or mount it first")
            }
            _ => failure(&error.to_string()),
        })?;
        if kind.is_block_device() {
            return Ok(Self::Device(path));
        }
        if !kind.is_dir() {
            return Err(failure("this is neither a folder nor a block device").help("name the folder that it is in"));
        }
        tempfile::tempfile_in(&path).map_err(|error| {
            let cure = "let the user that holm runs as write there, or name another folder";
            failure(&format!("can't write in this folder: {error}")).help(cure)
        })?;
        Ok(Self::Folder(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Device(path) => path,
        }
    }

    /// The edge's part and the shield's.
    fn share(self, size: ByteSize) -> (DiskPlace, DiskPlace) {
        match self {
            Self::Device(path) => DiskPlace::share(path, size, SHIELD_PART),
            Self::Folder(folder) => {
                let (edge, shield) = DiskPlace::share(folder.clone(), size, SHIELD_PART);
                let file = |name, part: DiskPlace| DiskPlace { path: folder.join(name), offset: 0, ..part };
                (file(EDGE_FILE, edge), file(SHIELD_FILE, shield))
            }
        }
    }
}

fn make(folder: &Path) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("make", folder, &error))?;
    Ok(folder.to_owned())
}

/// The shield has one part in so many of memory and disk, the edge the rest.
const SHIELD_PART: u64 = 5;
/// In the data folder.
const OWN_FOLDER: &str = "cache";
/// The roles' files, in whatever folder: their names tell whose they are.
const EDGE_FILE: &str = "holm-edge.segments";
const SHIELD_FILE: &str = "holm-shield.segments";

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(texts: &[String]) -> Vec<DiskSpec> {
        texts.iter().map(|text| text.parse().expect("a right one")).collect()
    }

    #[test]
    fn memory_alone() {
        let stores = Stores::plan(ByteSize::mib(500), &[], Path::new("/nowhere")).expect("nothing to open");
        assert_eq!(stores.edge, StoreConfig::memory_only(ByteSize::mib(400)));
        assert_eq!(stores.shield, StoreConfig::memory_only(ByteSize::mib(100)));
    }

    #[test]
    fn each_place_is_shared() {
        let (data, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let disk = specs(&["1000MiB".to_owned(), format!("{}=500MiB", other.path().display())]);
        let stores = Stores::plan(ByteSize::mib(500), &disk, data.path()).expect("both are there");
        let check = |store: &StoreConfig, role: &str, own: u64, named: u64| {
            let file = format!("holm-{role}.segments");
            let place = |folder: PathBuf, size| DiskPlace { path: folder.join(&file), offset: 0, size };
            let folder = |path: &Path| path.canonicalize().expect("it is there");
            let own = place(folder(&data.path().join("cache")), ByteSize::mib(own));
            assert_eq!(store.disk, [own, place(folder(other.path()), ByteSize::mib(named))]);
            assert_eq!(store.journal, Some(data.path().join("cache").join(role)));
        };
        check(&stores.edge, "edge", 800, 400);
        check(&stores.shield, "shield", 200, 100);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let (data, file) = (dir.path().join("data"), dir.path().join("file"));
        std::fs::write(&file, "").expect("written");
        let check = |texts: &[String], words: &str| {
            let failure = Stores::plan(ByteSize::mib(500), &specs(texts), &data).expect_err("no sense");
            assert!(failure.to_string().contains(words), "`{words}` is missing in: {failure}");
        };
        let of = |path: &Path| format!("{}=1GiB", path.display());
        check(&["1GiB".to_owned(), "2GiB".to_owned()], "twice\n  help: give one size");
        check(&["1GiB".to_owned(), of(&data.join("cache"))], "twice");
        check(&[of(dir.path()), of(&data.join(".."))], "twice (as ");
        check(&[of(&dir.path().join("gone"))], "no such folder or device\n  help: make it, or mount it first");
        check(&[of(&file)], "is neither a folder nor a block device");
        check(&[of(Path::new("/proc"))], "can't write in this folder");
    }
}
