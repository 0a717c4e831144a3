//! A connection: HTTP/1.1 in the clear, one request after the other.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The connection.
pub(crate) struct Connection {
    stream: TcpStream,
    host: SocketAddr,
    /// What was read of the answer so far.
    read: Vec<u8>,
}

/// An answer, which was read to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    /// When the first byte of it was here.
    pub(crate) first_byte: Instant,
    /// Of its body.
    pub(crate) length: usize,
}

impl Connection {
    pub(crate) async fn open(host: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(host).await.with_context(|| format!("cannot connect to {host}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host, read: Vec::new() })
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// The answer is not 200, has no `Content-Length`, or is not whole.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        self.more().await?;
        let first_byte = Instant::now();
        let (head, length) = loop {
            match read_head(&self.read)? {
                Some(found) => break found,
                None => self.more().await?,
            }
        };
        while self.read.len() < head + length {
            self.more().await?;
        }
        ensure!(self.read.len() == head + length, "{path}: more than was asked for");
        Ok(Answer { first_byte, length })
    }

    async fn more(&mut self) -> Result<()> {
        self.read.reserve(BUFFER);
        let count = self.stream.read_buf(&mut self.read).await?;
        ensure!(count > 0, "the server has closed the connection");
        Ok(())
    }
}

/// The length of the head, and of the body as it says; nothing while the head is not whole.
fn read_head(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(bytes).context("not an HTTP response")? else {
        return Ok(None);
    };
    if response.code != Some(200) {
        bail!("the answer is {}", response.code.unwrap_or_default());
    }
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
    Ok(Some((head, length.context("the answer has no Content-Length")?)))
}

const BUFFER: usize = 4096;

#[cfg(test)]
mod tests {
    use super::read_head;

    #[test]
    fn heads() {
        assert_eq!(read_head(b"HTTP/1.1 200 OK\r\nContent-Le").expect("a part"), None);
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(read_head(whole).expect("whole"), Some((whole.len() - 3, 3)));
        for wrong in ["HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "SSH-2.0"] {
            assert!(read_head(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
