//! The context: what `holm up` leaves for this user's commands, so that they find it without being told.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// How to reach a running `holm up`. The file holds no secret itself, only the path of one; it is for its user alone
/// all the same, since whoever may write it could send the user's token elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    /// The URL of its admin listener.
    pub(crate) admin: String,
    /// Where its token is.
    pub(crate) token_file: PathBuf,
    /// The certificates to check an https admin listener with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Its process.
    pub(crate) pid: u32,
}

/// Removes the context when dropped, if it is still the one that was written.
#[derive(Debug)]
pub(crate) struct ContextGuard {
    file: PathBuf,
    context: Context,
}

/// Makes `context` the one that this user's commands take, until the guard is dropped.
pub(crate) fn write_context(context: &Context) -> Result<ContextGuard, Failure> {
    let file =
        location().ok_or_else(|| Failure::new("neither HOME nor XDG_STATE_HOME names a place for the context"))?;
    write(&file, context).map_err(|error| Failure::io("write", &file, &error))?;
    Ok(ContextGuard { file, context: context.clone() })
}

impl Context {
    /// The context of the `holm up` that runs.
    pub(crate) fn current() -> Result<Self, Failure> {
        let unknown = || Failure::new("no cluster is known: `holm up` is not running").help(FIND_HELP);
        let file = location().ok_or_else(unknown)?;
        match read(&file)? {
            None => Err(unknown()),
            Some(context) if context.is_running() => Ok(context),
            Some(context) => {
                let message = format!("the `holm up` that was at {} (process {}) is gone", context.admin, context.pid);
                Err(Failure::new(message).help(FIND_HELP))
            }
        }
    }

    fn is_running(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        // A process of somebody else is one, too.
        pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
    }
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        // A `holm up` that started later has put its own there.
        if matches!(read(&self.file), Ok(Some(found)) if found == self.context) {
            let _ = fs::remove_file(&self.file);
        }
    }
}

/// `$XDG_STATE_HOME/holm/context.json`, or that below `~/.local/state`.
fn location() -> Option<PathBuf> {
    location_in(std::env::var_os("XDG_STATE_HOME").map(PathBuf::from), std::env::var_os("HOME").map(PathBuf::from))
}

/// A relative path in the variable is to be ignored (XDG Base Directory Specification).
fn location_in(state: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let home = || home.filter(|home| home.is_absolute()).map(|home| home.join(".local/state"));
    state.filter(|state| state.is_absolute()).or_else(home).map(|state| state.join("holm/context.json"))
}

fn read(file: &Path) -> Result<Option<Context>, Failure> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io("read", file, &error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Failure::new(format!("{} is not what `holm up` writes: {error}", file.display())).help("remove it")
    })
}

/// Writes the file whole or not at all; a temporary file is readable by its user alone, and stays so when it is renamed.
fn write(file: &Path, context: &Context) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    serde_json::to_writer(&mut temporary, context)?;
    temporary.write_all(b"\n")?;
    temporary.persist(file)?;
    Ok(())
}

const FIND_HELP: &str = "start one with `holm up`, or name another with --admin URL and --token-file FILE";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::{Context, ContextGuard, location_in, read, write};

    fn context(pid: u32) -> Context {
        let token_file = PathBuf::from("/run/token");
        Context { admin: "http://127.0.0.1:8081".to_owned(), token_file, ca_file: None, pid }
    }

    #[test]
    fn a_guard_removes_its_own_context_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("holm/context.json");
        let put = |pid| {
            write(&file, &context(pid)).expect("written");
            ContextGuard { file: file.clone(), context: context(pid) }
        };
        let (first, second) = (put(1), put(2));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&dir.path().join("holm"))), (0o600, 0o700));
        drop(first);
        assert_eq!(read(&file).expect("read"), Some(context(2)));
        drop(second);
        assert_eq!(read(&file).expect("read"), None);
    }

    #[test]
    fn what_is_no_context_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("context.json");
        fs::write(&file, "{").expect("written");
        assert!(read(&file).expect_err("not a context").to_string().contains("context.json"));
    }

    #[test]
    fn processes_run_or_not() {
        assert!(context(std::process::id()).is_running());
        assert!(context(1).is_running(), "init belongs to somebody else, mostly");
        assert!(!context(0).is_running());
        let mut child = std::process::Command::new("true").spawn().expect("started");
        let pid = child.id();
        child.wait().expect("ended");
        assert!(!context(pid).is_running());
    }

    #[test]
    fn places() {
        let check = |state: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            assert_eq!(location_in(state.map(Into::into), home.map(Into::into)), expected.map(PathBuf::from));
        };
        check(Some("/s"), Some("/h"), Some("/s/holm/context.json"));
        check(Some("s"), Some("/h"), Some("/h/.local/state/holm/context.json"));
        check(None, Some("/h"), Some("/h/.local/state/holm/context.json"));
        check(None, None, None);
        check(Some(""), Some(""), None);
    }
}
