//! Tools: the programs that tests run, and where they are. What is missing is a failure, never a skipped test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("invariant: tests/e2e is below the root").to_owned()
}

/// A component that `cargo xtask setup` has built from a folder of examples/.
pub fn built_wasm(example: &str, name: &str) -> PathBuf {
    let path = repository().join("examples").join(example).join("target/wasm32-wasip2/release").join(name);
    existing(path, "the example handlers are not built")
}

/// A program of this workspace as a command: beside this test, unless `HOLM_BIN` names another folder.
pub fn built_command(name: &str) -> Command {
    Command::new(built_program(name))
}

/// A port of loopback that nobody listens on now.
pub fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A program of this workspace: beside the folder that this test stands in, unless `HOLM_BIN` names the folder.
pub(crate) fn built_program(name: &str) -> PathBuf {
    let dir = std::env::var_os("HOLM_BIN").map_or_else(beside_this_test, PathBuf::from);
    let path = dir.join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace --bins` or `cargo xtask test`",
        path.display()
    );
    path
}

/// A program of this system.
pub(crate) fn program(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where only administrators look.
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|file| file.is_file());
    Command::new(found.unwrap_or_else(|| panic!("{name} is missing: run `cargo xtask setup`")))
}

/// A script of clients/, under the interpreter that has the clients' libraries.
pub(crate) fn python(script: &str) -> Command {
    let venv = existing(target().join("venv/bin/python"), "the Python clients are missing");
    let mut command = Command::new(venv);
    command.arg("-u").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script));
    command
}

/// `target/debug/deps/TEST` → `target/debug`.
fn beside_this_test() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.ancestors().nth(2).expect("invariant: tests stand in PROFILE/deps").to_owned()
}

/// Cargo's target folder, where `cargo xtask setup` makes the virtual environment.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), |dir| repository().join(dir))
}

fn existing(path: PathBuf, what: &str) -> PathBuf {
    assert!(path.exists(), "{what} ({}): run `cargo xtask setup`", path.display());
    path
}
