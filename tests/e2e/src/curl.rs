//! curl: HTTP/1.1 and HTTP/2.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::tools::program;
use crate::{Ask, Fields, Protocol, Response};

/// One run of curl.
#[derive(Debug)]
pub struct Curl {
    command: Command,
    dir: tempfile::TempDir,
    protocol: Protocol,
    is_head: bool,
    piped: bool,
}

/// A run under way.
#[derive(Debug)]
pub struct Transfer {
    child: Child,
    dir: tempfile::TempDir,
    protocol: Protocol,
    is_head: bool,
}

impl Curl {
    /// Asks the server at `origin` (scheme and authority), trusting `ca_file`.
    ///
    /// # Panics
    /// curl is missing, or the request is not for curl.
    pub fn new(ask: &Ask, origin: &str, ca_file: &Path) -> Self {
        assert!(ask.trailers.is_empty(), "curl sends no trailers");
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = program("curl");
        // No configuration of this machine's, no proxies, the path as it stands.
        command.args(["-q", "-sS", "-g", "--path-as-is", "--noproxy", "*", "--max-time", "60"]);
        command.arg("-D").arg(dir.path().join("head"));
        command.arg("--cacert").arg(ca_file);
        command.arg(if ask.protocol == Protocol::Http2 { "--http2" } else { "--http1.1" });
        match ask.method.as_str() {
            "GET" => {}
            "HEAD" => drop(command.arg("--head")),
            other => drop(command.args(["-X", other])),
        }
        for (name, value) in &ask.fields {
            // curl drops a field without a value unless it is written with a semicolon.
            let line = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
            command.arg("-H").arg(line);
        }
        if let Some(body) = &ask.body {
            let file = dir.path().join("upload");
            std::fs::write(&file, body).expect("written");
            command.arg("--data-binary").arg(format!("@{}", file.display()));
            if !ask.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                command.args(["-H", "content-type: application/octet-stream"]);
            }
            if ask.chunked && ask.protocol != Protocol::Http2 {
                command.args(["-H", "transfer-encoding: chunked"]);
            } else if ask.chunked {
                command.args(["-H", "content-length:"]);
            }
        }
        command.arg(format!("{origin}{}", ask.path));
        Self { command, dir, protocol: ask.protocol, is_head: ask.method == "HEAD", piped: false }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Sends what is written to [`Transfer::stdin`] as it comes.
    #[must_use]
    pub fn upload_stdin(mut self) -> Self {
        self.command.args(["-T", "-"]).stdin(Stdio::piped());
        self
    }

    /// Gives content to [`Transfer::stdout`] as it comes, instead of keeping it.
    #[must_use]
    pub fn piped(mut self) -> Self {
        self.piped = true;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// It can't be started.
    pub fn start(mut self) -> Transfer {
        if self.piped {
            self.command.args(["-N", "-o", "-"]).stdout(Stdio::piped());
        } else {
            self.command.arg("-o").arg(self.dir.path().join("body")).stdout(Stdio::null());
        }
        self.command.stderr(File::create(self.dir.path().join("error")).expect("a file"));
        let child = self.command.spawn().expect("curl");
        Transfer { child, dir: self.dir, protocol: self.protocol, is_head: self.is_head }
    }

    /// Runs it to its end.
    pub fn run(self) -> Response {
        self.start().finish()
    }
}

impl Transfer {
    /// Where content is sent to it.
    ///
    /// # Panics
    /// It reads none.
    pub fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().expect("started with upload_stdin")
    }

    /// Where content comes from.
    ///
    /// # Panics
    /// It is not piped.
    pub fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("started with piped")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It can't be waited for.
    pub fn finish(mut self) -> Response {
        let status = self.child.wait().expect("a child of ours");
        let file = |name: &str| std::fs::read(self.dir.path().join(name)).unwrap_or_default();
        let said = String::from_utf8_lossy(&file("error")).trim().to_owned();
        let error = match status.code() {
            Some(0) => String::new(),
            code => format!("exit {code:?}: {said}"),
        };
        let head = String::from_utf8_lossy(&file("head")).into_owned();
        // For HEAD, curl writes the header section where the content would go.
        let body = if self.is_head { Vec::new() } else { file("body") };
        response(&head, body, error, self.protocol)
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // One that has ended is no error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl's `-D` wrote: interim heads, the final one, trailers.
fn response(heads: &str, body: Vec<u8>, error: String, protocol: Protocol) -> Response {
    let mut response = Response {
        status: 0,
        version: String::new(),
        fields: Fields::default(),
        body,
        trailers: Fields::default(),
        interim: Vec::new(),
        error,
        protocol,
    };
    for section in heads.split("\r\n\r\n").filter(|section| !section.trim().is_empty()) {
        let mut lines = section.trim_start().lines();
        if response.status != 0 {
            response.trailers = Fields::parse(section.lines());
            continue;
        }
        let mut first = lines.next().unwrap_or_default().split(' ');
        let version = first.next().unwrap_or_default().to_owned();
        let status: u16 = first.next().and_then(|status| status.parse().ok()).unwrap_or_default();
        let fields = Fields::parse(lines);
        match status {
            // 101 is final: what follows is another protocol's.
            100 | 102..200 => response.interim.push((status, fields)),
            _ => (response.status, response.version, response.fields) = (status, version, fields),
        }
    }
    response
}
