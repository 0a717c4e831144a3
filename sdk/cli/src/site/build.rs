//! Building handlers: a crate becomes a component for `wasm32-wasip2`, by rustup's target or Debian's packages.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use holm_model::units::ByteSize;
use serde::Serialize;

use super::{component, manifest_folder, read_manifest};
use crate::Failure;

/// The component of a handler, once it is built.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Built {
    /// The handler's name.
    pub(crate) handler: String,
    /// The `.wasm` file.
    pub(crate) component: PathBuf,
    /// Its bytes.
    pub(crate) size: ByteSize,
}

/// Builds the handlers of the manifest `path` that are crates; components in files and folders without a `Cargo.toml`
/// are taken as they are. `locked`: lock files must not change. `quiet`: cargo tells mistakes alone.
pub(crate) fn build(path: &Path, locked: bool, quiet: bool) -> Result<Vec<Built>, Failure> {
    let (file, manifest) = read_manifest(path)?;
    let base = manifest_folder(&file);
    let folders = manifest.handlers.values().map(|handler| base.join(&handler.component));
    let mut crates: Vec<PathBuf> = folders.filter(|dir| dir.join("Cargo.toml").is_file()).collect();
    crates.sort();
    crates.dedup();
    for dir in &crates {
        build_crate(dir, &Toolchain::find(dir)?, locked, quiet)?;
    }
    let find = |name: &String, written: &str| {
        let component = component::find(base, name, written)?.path;
        let metadata = std::fs::metadata(&component).map_err(|error| Failure::io("open", &component, &error))?;
        Ok(Built { handler: name.clone(), component, size: ByteSize::bytes(metadata.len()) })
    };
    manifest.handlers.iter().map(|(name, handler)| find(name, &handler.component)).collect()
}

/// Builds those crates of the manifest `path` whose component is missing or older than its sources. Where there is no
/// compiler, an older one has to do: [`super::Site::load`] notes it.
pub(crate) fn refresh(path: &Path, quiet: bool) -> Result<(), Failure> {
    let (file, manifest) = read_manifest(path)?;
    let base = manifest_folder(&file);
    for (name, handler) in &manifest.handlers {
        let dir = base.join(&handler.component);
        let found = component::find(base, name, &handler.component);
        let is_fresh = found.as_ref().is_ok_and(|found| found.note.is_none());
        if is_fresh || !dir.join("Cargo.toml").is_file() {
            continue;
        }
        match Toolchain::find(&dir) {
            Err(_) if found.is_ok() => {}
            toolchain => build_crate(&dir, &toolchain?, false, quiet)?,
        }
    }
    Ok(())
}

fn build_crate(dir: &Path, toolchain: &Toolchain, locked: bool, quiet: bool) -> Result<(), Failure> {
    let mut cargo = toolchain.build(dir);
    cargo.args(locked.then_some("--locked")).args(quiet.then_some("--quiet"));
    // What cargo prints for programs must not stand in our own output.
    let status = cargo
        .stdout(Stdio::null())
        .status()
        .map_err(|error| Failure::new(format!("cannot start {}: {error}", cargo.get_program().display())))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("the handler in {} could not be built ({status})", dir.display())))
}

/// What builds for the target on this machine.
#[derive(Debug, PartialEq, Eq)]
enum Toolchain {
    /// A toolchain that has the target's standard library, as rustup installs it.
    WithTarget,
    /// Debian's compiler, which builds the standard library as it goes, and a linker for components.
    Debian {
        /// `wasm-component-ld`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The one to build the crate in `dir` with: which toolchain rustup takes may depend on the folder.
    fn find(dir: &Path) -> Result<Self, Failure> {
        let sysroot = sysroot(dir);
        if sysroot.as_deref().is_some_and(has_target) {
            return Ok(Self::WithTarget);
        }
        let linker = linker(sysroot.as_deref()).filter(|_| DEBIAN.iter().all(|path| Path::new(path).exists()));
        linker.map(|linker| Self::Debian { linker }).ok_or_else(|| {
            Failure::new(format!("no compiler for {TARGET} is installed")).help(format!(
                "`rustup target add {TARGET}`; where that can't be, {DEBIAN_INSTALL} and `cargo install wasm-component-ld`"
            ))
        })
    }

    /// The command that builds the crate in `dir`.
    fn build(&self, dir: &Path) -> Command {
        let mut cargo = match self {
            Self::WithTarget => Command::new("cargo"),
            Self::Debian { .. } => Command::new("/usr/bin/cargo"),
        };
        cargo.current_dir(dir).args(["build", "--release", "--target", TARGET]);
        // What an outer cargo has set for its own build, and what a user set for the host, is not for this one.
        for name in FOREIGN {
            cargo.env_remove(name);
        }
        if let Self::Debian { linker } = self {
            // Building the standard library is not stable; with a distribution's compiler and that compiler's own source
            // it is sound.
            cargo.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTUP_TOOLCHAIN");
            cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTFLAGS", DEBIAN_FLAGS);
            cargo.env("CARGO_TARGET_WASM32_WASIP2_LINKER", linker);
        }
        cargo
    }
}

/// Where the toolchain is that `rustc` means in `dir`.
fn sysroot(dir: &Path) -> Option<PathBuf> {
    let printed = Command::new("rustc").args(["--print", "sysroot"]).current_dir(dir).stderr(Stdio::null()).output();
    let text = String::from_utf8(printed.ok().filter(|printed| printed.status.success())?.stdout).ok()?;
    Some(PathBuf::from(text.trim()))
}

/// Has the toolchain the standard library of the target?
fn has_target(sysroot: &Path) -> bool {
    let entries = std::fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib"));
    entries.into_iter().flatten().flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Debian has no linker for components, but every toolchain of rustup's has; else `cargo install` may have built it.
fn linker(sysroot: Option<&Path>) -> Option<PathBuf> {
    let hosts = sysroot.and_then(|root| std::fs::read_dir(root.join("lib/rustlib")).ok());
    let beside = hosts.into_iter().flatten().flatten().map(|host| host.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo/bin"));
    let on_path: Vec<PathBuf> = std::env::split_paths(OsStr::new(&path)).collect();
    beside.chain(on_path).chain(installed).map(|dir| dir.join("wasm-component-ld")).find(|file| file.is_file())
}

const TARGET: &str = "wasm32-wasip2";

/// What has to be there for [`Toolchain::Debian`].
const DEBIAN: &[&str] = &[
    "/usr/bin/cargo",
    "/usr/bin/rustc",
    "/usr/bin/wasm-ld",
    "/usr/lib/rustlib/src/rust/library",
    "/usr/lib/wasm32-wasi/libc.a",
];

/// The packages that hold [`DEBIAN`].
const DEBIAN_INSTALL: &str = "`apt-get install rustc-web cargo-web rust-web-src lld wasi-libc`";

/// Debian's compiler comes without the target's start files and linker: they are those of wasi-libc and lld.
const DEBIAN_FLAGS: &str =
    "-Clink-self-contained=no -L/usr/lib/wasm32-wasi -Clink-arg=--wasm-ld-path -Clink-arg=/usr/bin/wasm-ld";

/// Variables that an outer cargo sets for those it starts, or that are meant for another target. `CARGO_TARGET_DIR`
/// stays: it is where the component is looked for, too.
const FOREIGN: &[&str] =
    &["CARGO", "CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTFLAGS"];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{DEBIAN_FLAGS, Toolchain, has_target, linker};

    fn words(toolchain: &Toolchain) -> Vec<String> {
        let command = toolchain.build(Path::new("/site/api"));
        assert_eq!(command.get_current_dir(), Some(Path::new("/site/api")));
        std::iter::once(command.get_program()).chain(command.get_args()).map(|w| w.display().to_string()).collect()
    }

    #[test]
    fn commands() {
        let plain = ["cargo", "build", "--release", "--target", "wasm32-wasip2"];
        assert_eq!(words(&Toolchain::WithTarget), plain);
        let debian = Toolchain::Debian { linker: PathBuf::from("/ld") };
        assert_eq!(words(&debian)[0], "/usr/bin/cargo");
        assert_eq!(words(&debian).last().map(String::as_str), Some("-Zbuild-std=std,panic_abort"));
        let command = debian.build(Path::new("."));
        let set = |name: &str| command.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
        assert_eq!(set("RUSTFLAGS"), Some(DEBIAN_FLAGS.as_ref()));
        assert_eq!(set("CARGO_TARGET_WASM32_WASIP2_LINKER"), Some("/ld".as_ref()));
        assert_eq!(set("CARGO"), None, "not handed on");
    }

    #[test]
    fn a_toolchain_is_searched() {
        let root = tempfile::tempdir().expect("a folder");
        let put = |name: &str| {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
            fs::write(file, "").expect("a file");
        };
        put("lib/rustlib/wasm32-wasip2/lib/libcore-1.rlib");
        assert!(!has_target(root.path()), "core alone is not enough");
        put("lib/rustlib/wasm32-wasip2/lib/libstd-1.rlib");
        assert!(has_target(root.path()));
        put("lib/rustlib/some-host/bin/wasm-component-ld");
        assert_eq!(linker(Some(root.path())), Some(root.path().join("lib/rustlib/some-host/bin/wasm-component-ld")));
    }
}
