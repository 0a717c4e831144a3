//! Node.js as an HTTP/2 origin that sends early hints: no other server here sends them.

use std::path::Path;
use std::process::Stdio;

use crate::process::Process;
use crate::tools::program;

/// A running origin: each answer is a 103 with a `Link`, then the path, `no-store`.
#[derive(Debug)]
pub struct HintingOrigin {
    port: String,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl HintingOrigin {
    /// Starts it.
    ///
    /// # Panics
    /// It can't be started.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = program("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/hinting_origin.mjs")).stdin(Stdio::null());
        let mut process = Process::start("hinting_origin.mjs", &mut command, &dir.path().join("log"));
        Self { port: process.line(), _process: process, _dir: dir }
    }

    /// Where it answers: HTTP/2 by prior knowledge.
    pub fn url(&self) -> String {
        format!("h2c://127.0.0.1:{}", self.port)
    }
}
