//! Servers: child processes that run until they are told to stop, and never outlive us.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A running server.
pub(crate) struct Server {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a server. What it says on standard error goes to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child =
            command.stdin(Stdio::null()).stderr(file).spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Starts a server that says where it is in one line of JSON, and waits for that line.
    pub(crate) fn start_ready(name: &str, command: &mut Command, log: &Path) -> Result<(Self, Value)> {
        let (server, line) = Self::start_telling(name, command, log)?;
        let ready = serde_json::from_str(&line).with_context(|| format!("{name} printed no JSON but: {line}"))?;
        Ok((server, ready))
    }

    /// Starts a server that says where it is in one line, and waits for that line.
    pub(crate) fn start_telling(name: &str, command: &mut Command, log: &Path) -> Result<(Self, String)> {
        let mut server = Self::start(name, command.stdout(Stdio::piped()), log)?;
        let stdout = server.child.stdout.take().context("invariant: stdout is piped")?;
        let line = first_line(stdout).recv_timeout(READY_WITHIN).unwrap_or_default();
        if line.is_empty() {
            bail!("{name} did not become ready\n{}", server.last_words());
        }
        Ok((server, line))
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// It did not end well, or not in time, and was ended.
    pub(crate) fn finish(mut self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            match self.has_ended() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{} ended with {status}\n{}", self.name, self.last_words()),
                None => thread::sleep(POLL),
            }
        }
        bail!("{} has not ended within {} s\n{}", self.name, within.as_secs(), self.last_words())
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended by itself?
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Fails if it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.has_ended() {
            Some(status) => bail!("{} has ended ({status})\n{}", self.name, self.last_words()),
            None => Ok(()),
        }
    }

    /// Tells it to stop, and waits until it has.
    ///
    /// # Errors
    /// It did not end well, or had to be killed.
    pub(crate) fn stop(mut self) -> Result<()> {
        let status = self.end();
        if !status.is_some_and(|status| status.success()) {
            let how = status.map_or_else(|| "was killed: too slow".to_owned(), |status| format!("ended with {status}"));
            bail!("{} was told to stop and {how}\n{}", self.name, self.last_words());
        }
        Ok(())
    }

    /// SIGTERM, then patience, then SIGKILL, for which it returns nothing.
    fn end(&mut self) -> Option<ExitStatus> {
        if let Some(status) = self.has_ended() {
            return Some(status);
        }
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + STOPPED_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.has_ended() {
                return Some(status);
            }
            thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        format!("{last}\n(all of it: {})", self.log.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// The first line, once it is there. The rest is read and dropped, so that the writer never waits.
fn first_line(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let _ = sender.send(lines.next().and_then(Result::ok).unwrap_or_default());
        lines.for_each(drop);
    });
    receiver
}

/// How long a server may take to become ready: an unoptimised one on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a server may take to stop: longer than the grace that we give `holm up`.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
const LAST_LINES: usize = 20;
