//! A client that fills caches and reads their answers to the last byte: HTTP/1.1, one connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// A connection.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status line and the fields, without the line ends.
    head: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), host: addr.to_string() })
    }

    /// The answer for this path, which is a 200.
    pub(super) fn get(&mut self, path: &str) -> Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let answer = self.read().with_context(|| format!("{}{path}", self.host))?;
        let status = answer.head.first().map_or("", String::as_str);
        ensure!(status.starts_with("HTTP/1.1 200"), "{}{path}: {status}", self.host);
        Ok(answer)
    }

    fn read(&mut self) -> Result<Answer> {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            ensure!(self.stream.read_line(&mut line)? > 0, "the connection ended");
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            head.push(line.to_owned());
        }
        let mut answer = Answer { head, body: Vec::new() };
        let length = answer.field("content-length").and_then(|value| value.parse().ok());
        answer.body = vec![0; length.context("an answer without a length")?];
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }
}

impl Answer {
    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.iter().skip(1).filter_map(|line| line.split_once(':'));
        fields.rev().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
