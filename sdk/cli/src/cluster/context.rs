//! The context: what `holm up` leaves for this user's commands, so that they find it without being told.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// How to reach a running `holm up`. Each has a file of its own, named by its process; the one that started last counts.
/// The file holds no secret itself, only the path of one; it is for its user alone all the same, since whoever may write
/// it could send the user's token elsewhere.
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

/// Makes `context` the one that this user's commands take, until the guard is dropped or another `holm up` starts.
pub(crate) fn write_context(context: &Context) -> Result<ContextGuard, Failure> {
    let dir = place().ok_or_else(|| Failure::new("neither HOME nor XDG_STATE_HOME names a place for the context"))?;
    write(&dir, context)
}

impl Context {
    /// The context of the `holm up` that started last, of those that run.
    pub(crate) fn current() -> Result<Self, Failure> {
        place().map_or_else(|| Err(unknown()), |dir| Self::current_in(&dir))
    }

    fn current_in(dir: &Path) -> Result<Self, Failure> {
        let mut found = read_all(dir)?;
        found.sort_by_key(|found| std::cmp::Reverse(found.written));
        match (found.iter().find(|found| found.context.is_running()), found.first()) {
            (Some(running), _) => Ok(running.context.clone()),
            (None, Some(Found { context, .. })) => {
                let message = format!("the `holm up` that was at {} (process {}) is gone", context.admin, context.pid);
                Err(Failure::new(message).help(FIND_HELP))
            }
            (None, None) => Err(unknown()),
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
        if matches!(read(&self.file), Ok(Some(found)) if found.context == self.context) {
            let _ = fs::remove_file(&self.file);
        }
    }
}

/// A context and when it was written.
#[derive(Debug)]
struct Found {
    file: PathBuf,
    context: Context,
    written: SystemTime,
}

/// `$XDG_STATE_HOME/holm/up`, or that below `~/.local/state`.
fn place() -> Option<PathBuf> {
    place_in(std::env::var_os("XDG_STATE_HOME").map(PathBuf::from), std::env::var_os("HOME").map(PathBuf::from))
}

/// A relative path in the variable is to be ignored (XDG Base Directory Specification).
fn place_in(state: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let home = || home.filter(|home| home.is_absolute()).map(|home| home.join(".local/state"));
    state.filter(|state| state.is_absolute()).or_else(home).map(|state| state.join("holm/up"))
}

fn read_all(dir: &Path) -> Result<Vec<Found>, Failure> {
    let failed = |error: io::Error| Failure::io("read", dir, &error);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            found.extend(read(&file)?);
        }
    }
    Ok(found)
}

/// `None`: its process has just removed it.
fn read(file: &Path) -> Result<Option<Found>, Failure> {
    let loaded = fs::read(file).and_then(|text| Ok((text, fs::metadata(file)?.modified()?)));
    let (text, written) = match loaded {
        Ok(loaded) => loaded,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io("read", file, &error)),
    };
    let context = serde_json::from_slice(&text).map_err(|error| {
        Failure::new(format!("{} is not what `holm up` writes: {error}", file.display())).help("remove it")
    })?;
    Ok(Some(Found { file: file.to_owned(), context, written }))
}

/// Writes the file whole or not at all; a temporary file is readable by its user alone, and stays so when it is renamed.
fn write(dir: &Path, context: &Context) -> Result<ContextGuard, Failure> {
    let file = dir.join(format!("{}.json", context.pid));
    let put = || {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
        serde_json::to_writer(&mut temporary, context)?;
        temporary.write_all(b"\n")?;
        temporary.persist(&file)?;
        Ok(())
    };
    put().map_err(|error: io::Error| Failure::io("write", &file, &error))?;
    // Those of processes that could not remove their own.
    for left in read_all(dir).unwrap_or_default().iter().filter(|found| !found.context.is_running()) {
        let _ = fs::remove_file(&left.file);
    }
    Ok(ContextGuard { file, context: context.clone() })
}

fn unknown() -> Failure {
    Failure::new("no cluster is known: `holm up` is not running").help(FIND_HELP)
}

const FIND_HELP: &str = "start one with `holm up`, or name another with --admin URL and --token-file FILE";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};

    use super::{Context, place_in, write};

    fn context(pid: u32) -> Context {
        let token_file = PathBuf::from("/run/token");
        Context { admin: format!("http://127.0.0.1:{pid}"), token_file, ca_file: None, pid }
    }

    /// A process that waits for its end.
    fn process() -> Child {
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("started")
    }

    fn end(mut child: Child) {
        drop(child.stdin.take());
        child.wait().expect("ended");
    }

    #[test]
    fn the_last_of_those_that_run_counts() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path().join("up");
        let current = || Context::current_in(&dir).map_or_else(|failure| failure.to_string(), |context| context.admin);
        assert!(current().contains("no cluster is known"));
        let (first, second) = (process(), process());
        let (of_first, of_second) = (context(first.id()), context(second.id()));
        let guard = write(&dir, &of_first).expect("written");
        let late = write(&dir, &of_second).expect("written");
        let newer = fs::metadata(&late.file).and_then(|metadata| metadata.modified()).expect("a time");
        let older = newer - std::time::Duration::from_secs(1);
        fs::File::open(&guard.file).and_then(|file| file.set_modified(older)).expect("set");
        assert_eq!(current(), of_second.admin);
        end(second);
        assert_eq!(current(), of_first.admin, "the second has left its context behind");
        end(first);
        assert!(current().contains(&format!("{} (process {}) is gone", of_second.admin, of_second.pid)));
        let own = write(&dir, &context(std::process::id())).expect("written");
        assert_eq!(fs::read_dir(&dir).expect("a folder").count(), 1, "what was left is removed");
        drop(own);
        assert_eq!(fs::read_dir(&dir).expect("a folder").count(), 0);
    }

    #[test]
    fn it_is_for_its_user_alone_and_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path().join("up");
        let guard = write(&dir, &context(std::process::id())).expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&guard.file), mode(&dir)), (0o600, 0o700));
        fs::write(&guard.file, "{").expect("written");
        assert!(
            Context::current_in(&dir).expect_err("not a context").to_string().contains("is not what `holm up` writes")
        );
        let file = guard.file.clone();
        drop(guard);
        assert!(file.exists(), "it is not the one that was written");
    }

    #[test]
    fn processes_run_or_not() {
        assert!(context(std::process::id()).is_running());
        assert!(context(1).is_running(), "init belongs to somebody else, mostly");
        assert!(!context(0).is_running());
    }

    #[test]
    fn places() {
        let check = |state: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            assert_eq!(place_in(state.map(Into::into), home.map(Into::into)), expected.map(PathBuf::from));
        };
        check(Some("/s"), Some("/h"), Some("/s/holm/up"));
        check(Some("s"), Some("/h"), Some("/h/.local/state/holm/up"));
        check(None, Some("/h"), Some("/h/.local/state/holm/up"));
        check(None, None, None);
        check(Some(""), Some(""), None);
    }
}
