//! Finding a handler's component: a `.wasm` file, or what a build left in a folder.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Failure;

/// A component that was found.
pub(super) struct Found {
    /// The `.wasm` file.
    pub(super) path: PathBuf,
    /// It is older than its sources.
    pub(super) note: Option<String>,
}

/// The component of the handler `name`, which the manifest in `base` calls `written`.
pub(super) fn find(base: &Path, name: &str, written: &str) -> Result<Found, Failure> {
    let path = base.join(written);
    let found = match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {
            let file = built(&path)?;
            Found { note: stale(&path, &file), path: file }
        }
        Ok(_) => Found { path, note: None },
        Err(error) => {
            let message = format!("the component of [handlers.{name}], {}, cannot be opened: {error}", path.display());
            return Err(
                Failure::new(message).help("`component` is a folder to build or a .wasm, relative to the manifest")
            );
        }
    };
    check(&found.path)?;
    Ok(found)
}

/// Checks that `path` is a file that holds a component, by its first bytes. Whether it exports what a handler must is
/// for those who load it.
///
/// # Errors
/// It cannot be read, is no WebAssembly, or is a core module; the message says what to do.
pub fn check(path: &Path) -> Result<(), Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| Failure::io("open", path, &error))?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a folder, not a component", path.display())));
    }
    let mut head = Vec::with_capacity(HEAD);
    let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    file.take(HEAD as u64).read_to_end(&mut head).map_err(|error| Failure::io("read", path, &error))?;
    let shown = path.display();
    match kind(&head) {
        Kind::Component => Ok(()),
        Kind::CoreModule => Err(Failure::new(format!("{shown} is a core module, not a component"))
            .help("build it with --target wasm32-wasip2, or wrap it with `wasm-tools component new`")),
        Kind::Text => Err(Failure::new(format!("{shown} is WebAssembly text, not binary"))
            .help("translate it with `wasm-tools parse`")),
        Kind::Other => Err(Failure::new(format!("{shown} is not WebAssembly")).help(BUILD_HELP)),
    }
}

/// What the first bytes of a file say that it is.
enum Kind {
    Component,
    CoreModule,
    Text,
    Other,
}

/// The preamble of the binary format: `\0asm`, a version, and a layer: 0 a core module, 1 a component.
fn kind(head: &[u8]) -> Kind {
    match head {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Kind::Component,
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Kind::CoreModule,
        [b'(', ..] => Kind::Text,
        _ => Kind::Other,
    }
}

/// The `.wasm` that a build of the crate in `dir` left; or the only one in `dir` itself, for other languages.
fn built(dir: &Path) -> Result<PathBuf, Failure> {
    if !dir.join("Cargo.toml").is_file() {
        return only(dir, &wasm_files(dir), "build it, or name the .wasm file in the manifest");
    }
    for target in target_dirs(dir) {
        let files = wasm_files(&target.join(BUILD_OUTPUT));
        if files.is_empty() {
            continue;
        }
        let name = package_name(dir);
        let own = files.iter().find(|file| file.file_stem().and_then(|stem| stem.to_str()).map(plain) == name);
        return match own {
            Some(file) => Ok(file.clone()),
            None => only(dir, &files, "name the .wasm file in the manifest"),
        };
    }
    Err(Failure::new(format!("the handler in {} has not been built", dir.display())).help(BUILD_IT))
}

/// The only one of `files`.
fn only(dir: &Path, files: &[PathBuf], help: &str) -> Result<PathBuf, Failure> {
    match files {
        [file] => Ok(file.clone()),
        [] => Err(Failure::new(format!("{} holds no .wasm file", dir.display())).help(help)),
        [first, second, ..] => {
            let message = format!(
                "which component of {}? for example {} or {}",
                dir.display(),
                first.display(),
                second.display()
            );
            Err(Failure::new(message).help(help))
        }
    }
}

/// Where cargo may have put the build: its own variable, then the crate's folder, then those of the workspaces around it.
fn target_dirs(dir: &Path) -> Vec<PathBuf> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let own = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    own.into_iter().chain(dir.ancestors().take(MOST_ANCESTORS).map(|dir| dir.join("target"))).collect()
}

/// The `.wasm` files in `dir`, in order of their names.
fn wasm_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "wasm") && path.is_file()).collect();
    files.sort();
    files
}

/// The package's name with underscores, as a library's artifact has it.
fn package_name(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(dir.join("Cargo.toml")).ok()?;
    let cargo: toml::Table = text.parse().ok()?;
    Some(plain(cargo.get("package")?.get("name")?.as_str()?))
}

fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// Says so if a source in `dir` is newer than `file`: then the release would not be what the user sees.
fn stale(dir: &Path, file: &Path) -> Option<String> {
    let built = modified(file)?;
    let sources = [dir.join("src"), dir.join("Cargo.toml"), dir.join("wit")];
    let newest = sources.iter().filter_map(|path| newest(path, MOST_ANCESTORS)).max()?;
    (newest > built).then(|| format!("{} is older than its sources: `holm build` builds it", file.display()))
}

/// The latest change of a file, or of any file below a folder.
fn newest(path: &Path, depth: usize) -> Option<SystemTime> {
    if !path.is_dir() || depth == 0 {
        return modified(path);
    }
    let entries = std::fs::read_dir(path).ok()?.flatten();
    entries.filter_map(|entry| newest(&entry.path(), depth - 1)).max()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

/// Bytes of the preamble.
const HEAD: usize = 8;

/// Folders that are looked at, upwards for a workspace's target and downwards for sources.
const MOST_ANCESTORS: usize = 6;

const BUILD_IT: &str = "`holm build` builds it, where the manifest is";

/// Where cargo puts components, below its target folder.
const BUILD_OUTPUT: &str = "wasm32-wasip2/release";

const BUILD_HELP: &str = "a handler is a component: cargo build --release --target wasm32-wasip2";
