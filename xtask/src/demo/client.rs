//! Clients that are not ours: curl for HTTP/1.1 and HTTP/2, aioquic for HTTP/3.

use std::fmt;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{command, repo, setup};

/// Where the node is, as clients see it.
pub(super) struct Clients {
    pub(super) http: String,
    pub(super) https: String,
    ca_file: String,
}

/// What a request is sent over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// In the clear.
    Http1,
    /// Over TLS.
    Http2,
    /// Over QUIC.
    Http3,
}

/// A response.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    headers: Vec<(String, String)>,
}

impl Clients {
    pub(super) fn new(http: &str, https: &str, ca_file: &str) -> Self {
        Self { http: http.into(), https: https.into(), ca_file: ca_file.into() }
    }

    /// Gets a path, shows what came, and fails if it is not a 200.
    pub(super) fn get(&self, protocol: Protocol, path: &str) -> Result<Answer> {
        let text = command::text(&mut self.command(protocol, path))?;
        let answer = Answer::read(&text).with_context(|| format!("no HTTP response: {text}"))?;
        println!("   {protocol} {path}  →  {answer}");
        ensure!(answer.status == 200, "{protocol} {path} got status {}: {}", answer.status, answer.body.trim_end());
        Ok(answer)
    }

    fn command(&self, protocol: Protocol, path: &str) -> Command {
        if protocol == Protocol::Http3 {
            let mut python = command::program(setup::python());
            python.arg(repo::path("xtask/clients/h3get.py")).args([&self.ca_file, &format!("{}{path}", self.https)]);
            return python;
        }
        let mut curl = command::program("curl");
        curl.args(["-sSi", "--max-time", "20"]);
        match protocol {
            Protocol::Http2 => curl.args(["--http2", "--cacert", &self.ca_file, &format!("{}{path}", self.https)]),
            _ => curl.args(["--http1.1", &format!("{}{path}", self.http)]),
        };
        curl
    }

    /// Gets a path over `count` connections at once. Returns how many got a 200.
    pub(super) fn get_at_once(&self, path: &str, count: usize) -> Result<usize> {
        // The fragment stays with the client, so that all of these are the same request.
        let urls = format!("{}{path}#[1-{count}]", self.http);
        let most = count.to_string();
        let mut curl = command::program("curl");
        curl.args(["-sS", "--max-time", "30", "--parallel", "--parallel-immediate", "--parallel-max", &most]);
        curl.args(["-o", "/dev/null", "-w", "%{http_code}\\n", &urls]);
        println!("   $ curl --parallel --parallel-max {count} '{urls}'");
        Ok(command::text(&mut curl)?.lines().filter(|status| *status == "200").count())
    }
}

impl Answer {
    /// Reads what `curl -i` prints.
    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        Some(Self { status, body: body.to_owned(), headers: lines.filter_map(header).collect() })
    }

    /// A header's value; empty if it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(held, _)| held == name).map_or("", |(_, value)| value)
    }

    /// What `Cache-Status` says (RFC 9211), without the cache's name.
    pub(super) fn cache(&self) -> &str {
        let status = self.header("cache-status");
        status.split_once(';').map_or(status, |(_, parameters)| parameters.trim())
    }

    /// Was it served from the cache? RFC 9211 §2.1.
    pub(super) fn is_hit(&self) -> bool {
        self.cache().split(';').any(|parameter| parameter.trim() == "hit")
    }

    /// The beginning of the body.
    pub(super) fn beginning(&self) -> String {
        let line = self.body.lines().next().unwrap_or_default();
        let shown: String = line.chars().take(SHOWN).collect();
        let more = if shown.len() < self.body.trim_end().len() { "…" } else { "" };
        format!("{shown}{more}")
    }

    /// Fails if it was not as hoped for.
    pub(super) fn expect_hit(&self, hit: bool) -> Result<()> {
        let wanted = if hit { "a hit" } else { "a miss" };
        ensure!(self.is_hit() == hit, "expected {wanted}; Cache-Status is `{}`", self.header("cache-status"));
        Ok(())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.cache().is_empty() {
            write!(f, " [{}]", self.cache())?;
        }
        write!(f, " {}", self.beginning())
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "h1 GET",
            Self::Http2 => "h2 GET",
            Self::Http3 => "h3 GET",
        })
    }
}

/// Characters of a body that are shown.
const SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn responses() {
        let text = "HTTP/2 200 \r\nCache-Status: holm-edge; hit; ttl=5\r\nx: a:b\r\n\r\nbody\r\n\r\nmore";
        let answer = Answer::read(text).expect("a response");
        assert_eq!((answer.status, answer.cache(), answer.is_hit()), (200, "hit; ttl=5", true));
        assert_eq!((answer.header("x"), answer.body.as_str()), ("a:b", "body\r\n\r\nmore"));
        let miss =
            Answer::read("HTTP/1.1 200 OK\r\ncache-status: holm-edge; fwd=uri-miss\r\n\r\n").expect("a response");
        assert!(!miss.is_hit());
        assert!(Answer::read("").is_none());
    }
}
