//! The objects that are asked for: all of one size, each with an ETag of its own.

use std::net::SocketAddr;
use std::thread;

use anyhow::{Context as _, Result, ensure};

use super::client::{Answer, Client};

/// What the origin answers.
pub(super) struct Objects {
    pub(super) size: u64,
    pub(super) count: usize,
    origin: SocketAddr,
    body: Vec<u8>,
    etags: Vec<String>,
}

impl Objects {
    pub(super) fn of(origin: SocketAddr, size: u64, count: usize) -> Result<Self> {
        let mut objects = Self { size, count, origin, body: Vec::new(), etags: Vec::new() };
        let mut client = Client::connect(origin)?;
        objects.body = client.get(&objects.path(0))?.body;
        ensure!(objects.body.len() as u64 == size, "the origin answers with {} bytes", objects.body.len());
        let etag = |at| etag(&client.get(&objects.path(at))?);
        objects.etags = (0..count).map(etag).collect::<Result<_>>()?;
        Ok(objects)
    }

    /// Fresh for longer than any run.
    pub(super) fn query(&self) -> String {
        format!("size={}&cache-control=max-age%3D86400", self.size)
    }

    fn path(&self, object: usize) -> String {
        format!("/bench/{object}?{}", self.query())
    }

    /// Asks a cache for each of them `times` in a row, and holds every answer against the origin's. `each` judges it.
    ///
    /// # Errors
    /// An answer differs, or does not please.
    pub(super) fn ask(&self, cache: SocketAddr, times: u32, each: impl Fn(&Answer) -> Result<()> + Sync) -> Result<()> {
        let ask = |first: usize| -> Result<()> {
            let mut client = Client::connect(cache)?;
            for object in (first..self.count).step_by(CLIENTS) {
                for _ in 0..times {
                    let answer = client.get(&self.path(object))?;
                    ensure!(etag(&answer)? == self.etags[object], "object {object}: another's ETag");
                    ensure!(answer.body == self.body, "object {object}: another body");
                    each(&answer).with_context(|| format!("object {object}"))?;
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|first| scope.spawn(move || ask(first))).collect();
            clients.into_iter().try_for_each(|client| client.join().ok().context("a client failed")?)
        })
    }

    /// How often the origin was asked, for anything.
    pub(super) fn origin_count(&self) -> Result<u64> {
        let answer = Client::connect(self.origin)?.get("/-/requests")?;
        let counts: serde_json::Value = serde_json::from_slice(&answer.body)?;
        counts["total"].as_u64().context("the origin told no total")
    }
}

fn etag(answer: &Answer) -> Result<String> {
    answer.field("etag").map(str::to_owned).with_context(|| format!("an answer without an ETag: {answer:?}"))
}

const CLIENTS: usize = 8;
