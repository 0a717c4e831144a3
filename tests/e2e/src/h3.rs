//! HTTP/3: aioquic, in a process that takes request after request.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{ChildStdin, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::process::Process;
use crate::tools::python;
use crate::{Ask, Fields, Protocol, Response};

/// A client of one server. Its requests share a connection.
#[derive(Debug)]
pub struct H3Client {
    process: Process,
    stdin: ChildStdin,
    authority: String,
    next: u64,
    early: HashMap<u64, Value>,
    _dir: tempfile::TempDir,
}

/// A request that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent(u64);

impl H3Client {
    /// A client of the server at this address, trusting `ca_file`.
    ///
    /// # Panics
    /// It can't be started.
    pub fn start(authority: &str, ca_file: &Path) -> Self {
        let (host, port) = authority.rsplit_once(':').expect("host and port");
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = python("h3_client.py");
        command.arg(ca_file).args([host, port]).stdin(Stdio::piped());
        let mut process = Process::start("h3_client.py", &mut command, &dir.path().join("log"));
        let stdin = process.stdin().expect("invariant: stdin is piped");
        Self { process, stdin, authority: authority.to_owned(), next: 0, early: HashMap::new(), _dir: dir }
    }

    /// Sends a request.
    pub fn send(&mut self, ask: &Ask) -> Sent {
        self.send_with(ask, json!({}))
    }

    /// The same with more of what the script understands.
    ///
    /// # Panics
    /// The client has ended.
    pub fn send_with(&mut self, ask: &Ask, more: Value) -> Sent {
        let id = self.next;
        self.next += 1;
        let named = ask.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let fields: Vec<_> = ask.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")).collect();
        let mut request = json!({
            "id": id,
            "method": ask.method,
            "path": ask.path,
            "authority": named.map_or(self.authority.as_str(), |(_, host)| host.as_str()),
            "fields": fields,
            "trailers": ask.trailers,
            "body": ask.body.as_ref().map(|body| STANDARD.encode(body)),
            "declare": !ask.chunked,
        });
        let more = more.as_object().cloned().unwrap_or_default();
        request.as_object_mut().expect("invariant: an object").extend(more);
        writeln!(self.stdin, "{request}").unwrap_or_else(|error| panic!("{error}:\n{}", self.process.log()));
        Sent(id)
    }

    /// Waits for a response.
    pub fn receive(&mut self, sent: Sent) -> Response {
        response(&self.told(sent))
    }

    /// The same as the script tells it: `length` and `sha256` of content that is too long to be here.
    ///
    /// # Panics
    /// The client has ended.
    pub fn told(&mut self, Sent(id): Sent) -> Value {
        while !self.early.contains_key(&id) {
            let line = self.process.line_within(PATIENCE);
            let told: Value = serde_json::from_str(&line).expect("JSON");
            self.early.insert(told["id"].as_u64().expect("an id"), told);
        }
        self.early.remove(&id).expect("invariant: it was waited for")
    }

    /// Sends a request and waits for its response.
    pub fn run(&mut self, ask: &Ask) -> Response {
        let sent = self.send(ask);
        self.receive(sent)
    }
}

fn response(told: &Value) -> Response {
    let number = |value: &Value| u16::try_from(value.as_u64().unwrap_or_default()).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fields = |value: &Value| -> Fields {
        let pairs = value.as_array().into_iter().flatten();
        pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
    };
    let interim = told["interim"].as_array().into_iter().flatten();
    Response {
        status: number(&told["status"]),
        version: "HTTP/3".to_owned(),
        fields: fields(&told["fields"]),
        body: STANDARD.decode(text(&told["body"])).expect("base64"),
        trailers: fields(&told["trailers"]),
        interim: interim.map(|pair| (number(&pair[0]), fields(&pair[1]))).collect(),
        error: text(&told["error"]),
        protocol: Protocol::Http3,
    }
}

/// Longer than the script waits for a response.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);
