//! Processes: children that end with the test that started them.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take that ought to be quick, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again, until it is so.
///
/// # Panics
/// It is not so within [`PATIENCE`].
#[track_caller]
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(POLL);
    }
}

/// A child process whose standard output is read line by line, and whose standard error goes to a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// It can't be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let stderr = std::fs::File::create(log).expect("a log file");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = child.stdout.take().expect("invariant: stdout is piped");
        Self { name: name.to_owned(), child, lines: lines(stdout), log: log.to_owned() }
    }

    /// Its next line.
    ///
    /// # Panics
    /// None comes within [`PATIENCE`].
    pub fn line(&mut self) -> String {
        self.line_within(PATIENCE)
    }

    /// Its next line, which may take so long.
    ///
    /// # Panics
    /// None comes.
    pub fn line_within(&mut self, patience: Duration) -> String {
        match self.lines.recv_timeout(patience) {
            Ok(line) => line,
            Err(error) => panic!("{} printed no line within {patience:?} ({error}):\n{}", self.name, self.log()),
        }
    }

    /// What it wrote on standard error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it reads, where that is piped.
    pub(crate) fn stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Has it ended?
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Tells it to end.
    pub fn terminate(&self) {
        // One that has ended by itself is no error here.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    /// Ends it at once, wherever it is (SIGKILL), and waits until it has.
    ///
    /// # Panics
    /// It is no child any more.
    pub fn kill(&mut self) -> ExitStatus {
        // One that has ended by itself is no error here.
        let _ = self.child.kill();
        self.child.wait().expect("a child of ours")
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        // One that has ended by itself is no error here.
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// It has not within [`PATIENCE`].
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} has not ended within {PATIENCE:?}:\n{}", self.name, self.log());
            thread::sleep(POLL);
        }
    }

    /// The most memory that it has had so far, in bytes.
    ///
    /// # Panics
    /// It has ended.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Forgets the most memory that it has had; gives what it has now, in bytes.
    ///
    /// # Panics
    /// It has ended.
    pub fn reset_peak_memory(&self) -> u64 {
        // proc(5): 5 resets the peak to the current value.
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").expect("a process of ours");
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says so");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kib * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("──── {} on standard error:\n{}", self.name, self.log());
        }
    }
}

/// Lines as they come, read on a thread so that the writer never waits.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Nobody listens any longer: the rest is read and dropped.
            let _ = sender.send(line);
        }
    });
    receiver
}

const POLL: Duration = Duration::from_millis(10);
