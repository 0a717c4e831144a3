//! The compiler for handlers: rustup's wasm32-wasip2 target, or Debian's packages where rustup reaches no server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{system, tools};
use crate::{command, repo};

/// What builds handlers here.
pub(crate) enum WasmTarget {
    /// The toolchain's own target.
    Rustup,
    /// Debian's compiler, which builds the standard library as it goes, with a linker for components.
    Debian { linker: PathBuf },
}

impl WasmTarget {
    /// Takes what is there, else installs it.
    pub(crate) fn find_or_install() -> Result<Self> {
        if has_target()? {
            return Ok(Self::Rustup);
        }
        if command::find("rustup").is_some() && add_target() && has_target()? {
            return Ok(Self::Rustup);
        }
        let help = "rustup could not add wasm32-wasip2, and Debian's packages could not replace it";
        system::install(system::WASM_FALLBACK).context(help)?;
        Ok(Self::Debian { linker: component_linker().context(help)? })
    }

    /// The command that builds the handler in `dir`.
    pub(crate) fn build(&self, dir: &Path) -> Command {
        self.cargo(dir, &["build", "--release"])
    }

    /// cargo for this target, in `dir`.
    fn cargo(&self, dir: &Path, words: &[&str]) -> Command {
        let mut cargo = match self {
            Self::Rustup => command::program("cargo"),
            Self::Debian { .. } => command::program("/usr/bin/cargo"),
        };
        // What cargo set for us, and what a user set for the host, is not for this target.
        for name in NOT_FOR_HANDLERS {
            cargo.env_remove(name);
        }
        cargo.current_dir(dir).args(words).args(["--quiet", "--locked", "--target", TARGET]);
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

impl fmt::Display for WasmTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rustup => "rustup's target",
            Self::Debian { .. } => "Debian's rustc-web",
        })
    }
}

/// Pure crates compile where there is no clock, no file system and no network to speak of.
pub(crate) fn check_pure_crates() -> Result<()> {
    let packages = PURE.iter().flat_map(|package| ["--package", package]);
    command::run(WasmTarget::find_or_install()?.cargo(&repo::root(), &["check"]).args(packages))
}

/// Has the toolchain the target's standard library?
fn has_target() -> Result<bool> {
    let entries = std::fs::read_dir(sysroot()?.join("lib/rustlib").join(TARGET).join("lib"));
    Ok(entries.into_iter().flatten().flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
}

/// Asks rustup. A server that does not answer is given up after a while.
fn add_target() -> bool {
    command::works(command::program("timeout").args(["180", "rustup", "target", "add", TARGET]))
}

/// Debian's compiler comes without one, but every toolchain of rustup's has it; else cargo builds it.
fn component_linker() -> Result<PathBuf> {
    let own = sysroot()?.join("lib/rustlib/x86_64-unknown-linux-gnu/bin").join(LINKER);
    if own.is_file() {
        return Ok(own);
    }
    if command::find(LINKER).is_none() {
        tools::install(LINKER, &[])?;
    }
    command::find(LINKER).with_context(|| format!("{LINKER} was installed, and is not on PATH: add ~/.cargo/bin"))
}

fn sysroot() -> Result<PathBuf> {
    let printed = command::text(command::program("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(printed.trim()))
}

/// What must also run in a handler, some day.
const PURE: &[&str] = &["holm-balance", "holm-cache-policy", "holm-model"];
const TARGET: &str = "wasm32-wasip2";
const LINKER: &str = "wasm-component-ld";
const DEBIAN_FLAGS: &str = "-Clink-self-contained=no -L/usr/lib/wasm32-wasi \
    -Clink-arg=--wasm-ld-path -Clink-arg=/usr/bin/wasm-ld";
const NOT_FOR_HANDLERS: &[&str] = &[
    "CARGO",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];
