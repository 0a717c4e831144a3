//! WebSocket: an echo server and a client, both of the Python library `websockets`.

use std::process::Stdio;

use serde_json::Value;

use crate::process::Process;
use crate::tools::python;

/// An origin that sends every message back, and closes with the code that a message `close CODE` names.
#[derive(Debug)]
pub struct EchoServer {
    port: String,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl EchoServer {
    /// Starts it.
    ///
    /// # Panics
    /// It can't be started.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = python("websocket_echo.py");
        let mut process = Process::start("websocket_echo.py", command.stdin(Stdio::null()), &dir.path().join("log"));
        Self { port: process.line(), _process: process, _dir: dir }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Runs the client against a URL (`ws://…`): what it saw, see clients/websocket_client.py.
///
/// # Panics
/// It fails.
pub fn websocket(url: &str, ca_file: &std::path::Path) -> Value {
    let output = python("websocket_client.py").arg(url).arg(ca_file).output().expect("a client");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}
