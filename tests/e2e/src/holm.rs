//! `holm`: the node under test, and its commands.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::Process;
use crate::tools::built_program;
use crate::{Ask, Curl, H3Client, Protocol, Raw, Response};

/// A running `holm up`.
#[derive(Debug)]
pub struct Holm {
    /// Its process.
    pub process: Process,
    /// Its ready line.
    pub ready: Value,
    /// From its start to its ready line.
    pub took: Duration,
    h3: Mutex<Option<H3Client>>,
    dir: tempfile::TempDir,
}

/// A `holm up` that is to be started.
#[derive(Debug)]
pub struct Starting {
    command: Command,
    dir: tempfile::TempDir,
}

/// What a command came to.
pub struct Ran {
    /// The command line, without the cluster's options.
    pub line: String,
    /// Its status.
    pub status: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it said on standard error.
    pub err: String,
}

impl Holm {
    /// `holm up` on free ports, with nothing of this machine's that could change what it does.
    ///
    /// # Panics
    /// It is not built.
    pub fn up() -> Starting {
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = holm(dir.path());
        command.args(["up", "--json", "--http", ANY_PORT, "--https", ANY_PORT, "--admin", ANY_PORT]);
        Starting { command, dir }
    }

    /// The same in front of this origin.
    pub fn before(origin: impl AsRef<str>) -> Self {
        Self::up().args(&["--origin", origin.as_ref()]).start()
    }

    /// The same with a site of this manifest, published; [`Holm::site`] is its folder.
    ///
    /// # Panics
    /// The manifest has a mistake.
    pub fn with_manifest(manifest: &str) -> Self {
        let holm = Self::up().start();
        holm.write("holm.toml", manifest);
        holm.cli("publish").ok("is live on");
        holm
    }

    /// A field of the ready line.
    ///
    /// # Panics
    /// It has none of this name.
    pub fn ready(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("`{name}` is missing in {}", self.ready))
    }

    /// Host and port in the clear.
    pub fn http(&self) -> &str {
        self.ready("http").trim_start_matches("http://")
    }

    /// Host and port over TLS and QUIC.
    pub fn https(&self) -> &str {
        self.ready("https").trim_start_matches("https://")
    }

    /// The certificate authority's file.
    pub fn ca_file(&self) -> PathBuf {
        self.ready("ca_file").into()
    }

    /// A folder for the test's files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of the site, and where commands run.
    pub fn site(&self) -> PathBuf {
        self.dir.path().join("site")
    }

    /// The same, made if it is not there.
    ///
    /// # Panics
    /// It can't be made.
    pub fn site_folder(&self) -> PathBuf {
        std::fs::create_dir_all(self.site()).expect("a folder");
        self.site()
    }

    /// Writes a file of the site.
    ///
    /// # Panics
    /// It can't be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.site().join(name);
        std::fs::create_dir_all(path.parent().expect("invariant: in a folder")).expect("a folder");
        std::fs::write(path, content).expect("written");
    }

    /// Sends a request over its protocol and waits for what comes.
    ///
    /// # Panics
    /// A client is missing.
    pub fn ask(&self, ask: &Ask) -> Response {
        if ask.protocol != Protocol::Http3 {
            return self.curl(ask).run();
        }
        let mut client = self.h3.lock().expect("unpoisoned");
        client.get_or_insert_with(|| self.h3()).run(ask)
    }

    /// curl with this request.
    pub fn curl(&self, ask: &Ask) -> Curl {
        let origin = if ask.protocol == Protocol::Http1 { "http" } else { "https" };
        Curl::new(ask, self.ready(origin), &self.ca_file())
    }

    /// An HTTP/3 client of its own.
    pub fn h3(&self) -> H3Client {
        H3Client::start(self.https(), &self.ca_file())
    }

    /// A connection in the clear.
    pub fn raw(&self) -> Raw {
        Raw::connect(self.http())
    }

    /// Runs a command against this cluster.
    pub fn cli(&self, line: &str) -> Ran {
        let dir = if self.site().is_dir() { self.site() } else { self.dir.path().to_owned() };
        let mut command = holm(&dir);
        command.args(line.split_whitespace()).env("HOLM_ADMIN", self.ready("admin"));
        command.args(["--token-file", self.ready("token_file")]);
        Ran::new(line, command.output().expect("it is built"))
    }

    /// What `/metrics` has for this name and these labels, such as `holm_fills_total{outcome="stored"}`; 0 if nothing.
    ///
    /// # Panics
    /// The admin listener does not answer.
    pub fn metric(&self, series: &str) -> f64 {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels: Vec<_> = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
        let text = Curl::new(&crate::get("/metrics"), self.ready("admin"), &self.ca_file()).run().expect(200).text();
        let of_name = |line: &&str| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "));
        let matching = text.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label)));
        matching.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Tells it to end and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.process.terminate();
        self.process.wait()
    }
}

impl Starting {
    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Has another program start it: these are its arguments, which what is to be started follows.
    #[must_use]
    pub fn under(mut self, program: &str, args: &[&str]) -> Self {
        let mut outer = Command::new(program);
        outer.args(args).arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        outer.current_dir(self.dir.path());
        self.command = outer;
        self
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Panics
    /// It is not, for a long time.
    pub fn start(mut self) -> Holm {
        let begun = Instant::now();
        let log = self.dir.path().join("holm.log");
        let mut process = Process::start("holm", self.command.stdin(Stdio::null()), &log);
        let line = process.line();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("the ready line, {error}: {line}"));
        Holm { process, ready, took: begun.elapsed(), h3: Mutex::default(), dir: self.dir }
    }

    /// Starts it, and kills it so much later, ready or not.
    ///
    /// # Panics
    /// It is not built.
    pub fn start_and_kill(mut self, after: Duration) {
        let log = self.dir.path().join("holm.log");
        let mut process = Process::start("holm", self.command.stdin(Stdio::null()), &log);
        std::thread::sleep(after);
        process.kill();
    }

    /// Runs it to its end: for one that can't start.
    ///
    /// # Panics
    /// It is not built.
    pub fn run(mut self) -> Ran {
        Ran::new("up …", self.command.stdin(Stdio::null()).output().expect("it is built"))
    }
}

/// Runs a command that needs no cluster, in this folder.
///
/// # Panics
/// `holm` is not built.
pub fn cli(dir: &Path, line: &str) -> Ran {
    Ran::new(line, holm(dir).args(line.split_whitespace()).output().expect("it is built"))
}

impl Ran {
    fn new(line: &str, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { line: line.to_owned(), status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// It succeeded, and printed these words.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn ok(self, words: &str) -> Self {
        assert_eq!(self.status, Some(0), "{self:?}");
        assert!(self.out.contains(words), "`{words}` is missing in: {self:?}");
        self
    }

    /// It ended with this status, and said these words on standard error.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn fails(self, status: i32, words: &str) -> Self {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(self.err.contains(words), "`{words}` is missing in: {self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    /// What it printed, as JSON.
    ///
    /// # Panics
    /// It failed, or is none.
    #[track_caller]
    pub fn json(self) -> Value {
        let ran = self.ok("");
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, status, out, err } = self;
        write!(f, "holm {line}\nstatus {status:?}, printed:\n{out}\nand on standard error:\n{err}")
    }
}

/// `holm` in this folder, with nothing of this machine's that could tell it where a cluster is.
fn holm(dir: &Path) -> Command {
    let mut command = Command::new(built_program("holm"));
    command.current_dir(dir).env("XDG_STATE_HOME", dir.join("state")).env("TMPDIR", dir);
    for name in ["HOLM_ADMIN", "HOLM_TOKEN", "HOLM_CA_FILE", "RUST_LOG", "CARGO"] {
        command.env_remove(name);
    }
    command
}

const ANY_PORT: &str = "127.0.0.1:0";
