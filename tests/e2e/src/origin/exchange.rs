//! An exchange: the rest of a request, and the response as a test writes it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Asked, Shared};
use crate::Fields;

/// One request's exchange at the origin.
pub struct Exchange {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    shared: Arc<Shared>,
    framing: Framing,
    trailers: Fields,
    head_only: bool,
    close: bool,
}

/// What is left of the request's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes.
    Length(u64),
    /// So many bytes of the current chunk; the size of the next one is to be read if there are none.
    Chunk { left: u64, first: bool },
    /// Nothing.
    Done,
}

impl Exchange {
    pub(super) fn new(asked: &Asked, reader: BufReader<TcpStream>, writer: TcpStream, shared: Arc<Shared>) -> Self {
        let framing = if asked.fields.get("transfer-encoding").eq_ignore_ascii_case("chunked") {
            Framing::Chunk { left: 0, first: true }
        } else {
            match asked.fields.get("content-length").parse() {
                Ok(length) if length > 0 => Framing::Length(length),
                _ => Framing::Done,
            }
        };
        let head_only = asked.method == "HEAD";
        Self { reader, writer, shared, framing, trailers: Fields::default(), head_only, close: false }
    }

    /// The request's content, to its end.
    ///
    /// # Errors
    /// It broke off.
    pub fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        Ok(content)
    }

    /// The request's trailers, once its content has been read.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// A whole response; its length is declared.
    ///
    /// # Errors
    /// The client has gone.
    pub fn reply(&mut self, status: u16, fields: &[(&str, &str)], content: impl AsRef<[u8]>) -> io::Result<()> {
        let content = content.as_ref();
        let length = content.len().to_string();
        let bare = matches!(status, 100..200 | 204 | 304);
        let framing = [("content-length", length.as_str())];
        self.head(status, &[fields, if bare { &[] } else { &framing }].concat())?;
        if self.head_only || bare { Ok(()) } else { self.write_all(content) }
    }

    /// A response's head, or an interim one.
    ///
    /// # Errors
    /// The client has gone.
    pub fn head(&mut self, status: u16, fields: &[(&str, &str)]) -> io::Result<()> {
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.write_all(format!("HTTP/1.1 {status} Told\r\n{lines}\r\n").as_bytes())
    }

    /// One chunk of content, of a response whose `Transfer-Encoding` is `chunked`.
    ///
    /// # Errors
    /// The client has gone.
    pub fn chunk(&mut self, content: impl AsRef<[u8]>) -> io::Result<()> {
        let content = content.as_ref();
        self.write_all(format!("{:x}\r\n", content.len()).as_bytes())?;
        self.write_all(content)?;
        self.write_all(b"\r\n")
    }

    /// The end of a chunked response.
    ///
    /// # Errors
    /// The client has gone.
    pub fn end_chunks(&mut self, trailers: &[(&str, &str)]) -> io::Result<()> {
        let lines: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.write_all(format!("0\r\n{lines}\r\n").as_bytes())
    }

    /// Ends the connection after this exchange.
    pub fn close(&mut self) {
        self.close = true;
    }

    /// Waits until the client has ended the connection; what it sends meanwhile is thrown away.
    pub fn wait_closed(&mut self) {
        let mut buffer = [0; 1 << 14];
        while matches!(self.reader.read(&mut buffer), Ok(length) if length > 0) {}
    }

    /// The reader, placed before the next request.
    pub(super) fn into_next(mut self) -> io::Result<BufReader<TcpStream>> {
        if self.close {
            return Err(io::Error::other("closed"));
        }
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.reader)
    }

    /// The size of the next chunk; after the last one, the trailers.
    fn next_chunk(&mut self, first: bool) -> io::Result<u64> {
        let mut line = String::new();
        if !first {
            self.reader.read_line(&mut line)?;
            line.clear();
        }
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        if size == 0 {
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                if self.reader.read_line(&mut line)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                match line.trim_end() {
                    "" => break,
                    line => lines.push(line.to_owned()),
                }
            }
            self.trailers = Fields::parse(lines.iter().map(String::as_str));
        }
        Ok(size)
    }
}

/// The request's content.
impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Framing::Chunk { left: 0, first } = self.framing {
            self.framing = match self.next_chunk(first)? {
                0 => Framing::Done,
                left => Framing::Chunk { left, first: false },
            };
        }
        let (Framing::Length(left) | Framing::Chunk { left, .. }) = self.framing else { return Ok(0) };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.reader.read(&mut buffer[..most])?;
        if length == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.shared.received.fetch_add(length as u64, Ordering::SeqCst);
        let left = left - length as u64;
        self.framing = match self.framing {
            Framing::Chunk { .. } => Framing::Chunk { left, first: false },
            _ if left == 0 => Framing::Done,
            _ => Framing::Length(left),
        };
        Ok(length)
    }
}

/// The response, as it is.
impl Write for Exchange {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = self.writer.write(buffer)?;
        self.shared.sent.fetch_add(length as u64, Ordering::SeqCst);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
