//! Raw connections: bytes as no client would send them, and what comes back to the last.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A TCP connection.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens there.
    pub fn connect(authority: &str) -> Self {
        let stream = TcpStream::connect(authority).expect("somebody listens");
        stream.set_nodelay(true).expect("a connection");
        Self(stream)
    }

    /// Sends these bytes. A server that has gone already is no error: what it said is what counts.
    #[must_use]
    pub fn send(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let _ = self.0.write_all(bytes.as_ref());
        self
    }

    /// Tells the server that no more will come.
    #[must_use]
    pub fn end(self) -> Self {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
        self
    }

    /// Everything until the server closes the connection.
    ///
    /// # Panics
    /// It does not, for a long time.
    #[track_caller]
    pub fn until_closed(mut self) -> String {
        self.0.set_read_timeout(Some(PATIENCE)).expect("a connection");
        let mut all = Vec::new();
        match self.0.read_to_end(&mut all) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection stays open after:\n{}", String::from_utf8_lossy(&all))
            }
            // A reset after the answer is a way to close.
            _ => String::from_utf8_lossy(&all).into_owned(),
        }
    }

    /// Everything until these words have come.
    ///
    /// # Panics
    /// They do not, for a long time.
    #[track_caller]
    pub fn until(&mut self, words: &str) -> String {
        self.0.set_read_timeout(Some(PATIENCE)).expect("a connection");
        let mut all = Vec::new();
        let mut byte = [0];
        loop {
            match self.0.read(&mut byte) {
                Ok(1) => all.push(byte[0]),
                other => panic!("`{words}` did not come ({other:?}):\n{}", String::from_utf8_lossy(&all)),
            }
            if all.ends_with(words.as_bytes()) {
                return String::from_utf8_lossy(&all).into_owned();
            }
        }
    }

    /// The connection.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.0
    }
}

/// Longer than a server waits for the rest of what it has refused.
const PATIENCE: Duration = Duration::from_secs(20);
