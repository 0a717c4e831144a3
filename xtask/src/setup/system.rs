//! System packages, from Debian.

use anyhow::{Result, bail};

use crate::command::{self, find};

/// A program that is needed, and the package that has it.
pub(crate) struct Need {
    /// How one sees that it is there.
    sign: Sign,
    /// The package.
    package: &'static str,
}

/// How one sees that something is there.
enum Sign {
    /// A program of this name.
    Program(&'static str),
    /// A file or folder.
    Path(&'static str),
    /// Python modules that can be imported.
    PythonModules(&'static str),
}

impl Need {
    fn is_met(&self) -> bool {
        match self.sign {
            Sign::Program(name) => find(name).is_some(),
            Sign::Path(path) => std::path::Path::new(path).exists(),
            Sign::PythonModules(names) => {
                command::works(command::program("python3").args(["-c", &format!("import {names}")]))
            }
        }
    }
}

/// What tests, demo and benchmarks run.
pub(crate) const TOOLS: &[Need] = &[
    Need { sign: Sign::Program("curl"), package: "curl" },
    Need { sign: Sign::Program("git"), package: "git" },
    Need { sign: Sign::Program("h2load"), package: "nghttp2-client" },
    Need { sign: Sign::Program("nginx"), package: "nginx-light" },
    Need { sign: Sign::Program("node"), package: "nodejs" },
    Need { sign: Sign::Program("npm"), package: "npm" },
    Need { sign: Sign::Program("openssl"), package: "openssl" },
    Need { sign: Sign::Program("python3"), package: "python3" },
    Need { sign: Sign::PythonModules("ensurepip, venv"), package: "python3-venv" },
    Need { sign: Sign::Program("taskset"), package: "util-linux" },
    Need { sign: Sign::Program("wrk"), package: "wrk" },
];

/// What builds for WebAssembly where rustup cannot fetch the target.
pub(crate) const WASM_FALLBACK: &[Need] = &[
    Need { sign: Sign::Path("/usr/bin/cargo"), package: "cargo-web" },
    Need { sign: Sign::Program("wasm-ld"), package: "lld" },
    Need { sign: Sign::Path("/usr/bin/rustc"), package: "rustc-web" },
    Need { sign: Sign::Path("/usr/lib/rustlib/src/rust/library"), package: "rust-web-src" },
    Need { sign: Sign::Path("/usr/lib/wasm32-wasi/libc.a"), package: "wasi-libc" },
];

/// Installs what is missing. Says what it did.
///
/// # Errors
/// It is not Debian, we are not root, or apt failed; the message holds the command to run.
pub(crate) fn install(needs: &[Need]) -> Result<String> {
    let missing: Vec<_> = needs.iter().filter(|need| !need.is_met()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok("present".into());
    }
    let names = missing.join(" ");
    if find("apt-get").is_none() {
        bail!("missing: {names} (names of Debian's packages). Install them with this system's package manager");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("packages are missing and we are not root. Run: sudo apt-get install -y {names}");
    }
    // A list that is out of date may still do, so the install decides.
    let _ = apt(&["update"]);
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(&missing);
    apt(&words).map_err(|error| error.context(format!("cannot install {names}; see whether apt-get works here")))?;
    Ok(format!("installed {names}"))
}

fn apt(words: &[&str]) -> Result<()> {
    command::quiet(command::program("apt-get").args(["-qq"]).args(words).env("DEBIAN_FRONTEND", "noninteractive"))
}
