//! What a guest prints: line by line into the log, with its site and name, bounded.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::config::{MAX_LOG_BYTES, MAX_LOG_LINE};

/// Which of a guest's outputs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// One output of one call. Every handle that the guest opens writes the same lines.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Mutex<Lines>>);

impl GuestLog {
    pub(crate) fn new(site: Arc<str>, handler: Arc<str>, stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(Lines { site, handler, stream, line: Vec::new(), taken: 0 })))
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // For WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl OutputStream for GuestLog {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.lock().take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LOG_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestLog {
    async fn ready(&mut self) {}
}

struct Lines {
    site: Arc<str>,
    handler: Arc<str>,
    stream: Stream,
    line: Vec<u8>,
    taken: usize,
}

impl Lines {
    /// Takes bytes up to the call's share, then none: a guest that prints too much loses its output, not its request.
    fn take(&mut self, bytes: &[u8]) {
        let share = MAX_LOG_BYTES - self.taken;
        if share == 0 {
            return;
        }
        let bytes = &bytes[..bytes.len().min(share)];
        self.taken += bytes.len();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= MAX_LOG_LINE {
                self.emit();
            }
        }
        if self.taken == MAX_LOG_BYTES {
            self.emit();
            self.line.extend_from_slice(b"(this call has printed too much: the rest is left out)");
            self.emit();
        }
    }

    fn emit(&mut self) {
        for part in self.line.chunks(MAX_LOG_LINE) {
            let text = printable(part);
            if text.is_empty() {
                continue;
            }
            let (site, handler) = (&*self.site, &*self.handler);
            match self.stream {
                Stream::Stdout => tracing::info!(target: TARGET, site, handler, "{text}"),
                Stream::Stderr => tracing::warn!(target: TARGET, site, handler, "{text}"),
            }
        }
        self.line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.emit();
    }
}

/// A line without its end, and without control characters: a guest must not forge lines or drive a terminal.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\r', '\n']);
    text.chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The log target of what guests print.
const TARGET: &str = "holm::handler";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_can_not_be_forged() {
        let check = |line: &[u8], expected: &str| assert_eq!(printable(line), expected);
        check(b"plain\r\n", "plain");
        check(b"a\tb", "a\tb");
        check(b"a\x1b[31mb", "a\u{fffd}[31mb");
        check(b"\xff", "\u{fffd}");
    }

    #[test]
    fn output_is_bounded() {
        let mut lines =
            Lines { site: "s".into(), handler: "h".into(), stream: Stream::Stdout, line: Vec::new(), taken: 0 };
        for _ in 0..1000 {
            lines.take(&[b'x'; 1000]);
            assert!(lines.line.len() < MAX_LOG_LINE + 1000);
        }
        assert_eq!(lines.taken, MAX_LOG_BYTES);
    }
}
