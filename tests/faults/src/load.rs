//! Load: clients that ask, change and purge at random until the node dies under them, and check all that they get.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::client::{Answer, Client};
use crate::content::{Content, PREFIXES, Ruling};

/// Where the node is, and the token for its API.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) http: String,
    pub(crate) admin: String,
    pub(crate) token: String,
}

/// What the clients share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The node is being ended: what breaks off from now on is its right.
    pub(crate) dying: AtomicBool,
    pub(crate) counts: Counts,
    /// What went wrong.
    pub(crate) wrong: Mutex<Vec<String>>,
}

/// What was done.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) answers: AtomicU64,
    pub(crate) hits: AtomicU64,
    pub(crate) purges: AtomicU64,
    pub(crate) changes: AtomicU64,
    /// Answers that broke off because a part had gone and the origin has another version by now.
    pub(crate) resets: AtomicU64,
}

impl Shared {
    /// Waits for so many answers, or for a mistake; not for long, where the machine is slow.
    pub(crate) fn wait(&self, answers: u64) {
        let deadline = Instant::now() + LONGEST;
        let is_wrong = || !self.wrong.lock().expect("unpoisoned").is_empty();
        while self.counts.answers.load(Ordering::SeqCst) < answers && !is_wrong() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }
}

/// One client, which asks until the node is being ended.
pub(crate) struct Load<'a> {
    pub(crate) content: &'a Content,
    pub(crate) shared: &'a Shared,
    pub(crate) target: &'a Target,
    pub(crate) client: Client,
    pub(crate) admin: Client,
    pub(crate) rng: Rng,
}

impl Load<'_> {
    pub(crate) fn run(mut self) {
        while !self.shared.dying.load(Ordering::SeqCst) {
            let index = self.choose();
            match self.rng.u16(..1000) {
                0..12 => self.purge(false),
                12..15 => self.purge(true),
                15..30 => self.post(index),
                // A new version that nobody is told of: what is stored stays servable.
                30..50 => drop(self.content.change(|url| url.path == self.content.urls()[index].path)),
                50..100 => {
                    let first = self.rng.usize(..2 << 20);
                    let range = first..first + self.rng.usize(1..2 << 20);
                    self.get(index, Some(range));
                }
                _ => self.get(index, None),
            }
        }
    }

    /// Some are asked for far more often than others.
    fn choose(&mut self) -> usize {
        let count = self.content.urls().len();
        let rank = self.rng.f64().powi(2);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "small"
        )]
        let index = (rank * count as f64) as usize;
        index.min(count - 1)
    }

    fn get(&mut self, index: usize, range: Option<Range<usize>>) {
        let oldest = self.content.oldest(index);
        let answer = get(&mut self.client, self.content, index, range.as_ref());
        match answer {
            Ok(answer) => {
                self.shared.counts.answers.fetch_add(1, Ordering::SeqCst);
                self.shared.counts.hits.fetch_add(u64::from(answer.is_hit()), Ordering::SeqCst);
                if let Err(wrong) = self.content.check(index, oldest, range.as_ref(), &answer) {
                    self.wrong(&format!("{} (asked for {range:?}): {wrong}\n{:?}", self.path(index), answer.fields));
                }
            }
            Err(_) if self.shared.dying.load(Ordering::SeqCst) => {}
            Err(_) => drop(self.shared.counts.resets.fetch_add(1, Ordering::SeqCst)),
        }
    }

    fn post(&mut self, index: usize) {
        let fields = format!("host: {HOST}\r\ncontent-type: text/plain\r\n");
        let path = &self.content.urls()[index].path;
        let answer = self.client.ask("POST", path, &fields, "x");
        let Some(answer) = self.answered("POST", answer) else { return };
        match answer.fields.get("x-version").parse() {
            Ok(version) => {
                self.content.rule(Ruling::Change, &[(index, version)]);
                self.shared.counts.changes.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => self.wrong(&format!("POST without a version ({error}): {answer:?}")),
        }
    }

    /// Makes new versions of what a random purge selects, and purges the old ones.
    fn purge(&mut self, soft: bool) {
        let (selector, versions) = self.selector();
        let Target { admin, token, .. } = self.target;
        let fields = format!("host: {admin}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        let content = format!("{{{selector},\"soft\":{soft},\"wait\":\"applied\"}}");
        let answer = self.admin.ask("POST", &format!("/v1/sites/{SITE}/purge"), &fields, &content);
        if self.answered("purge", answer).is_some() && !soft {
            self.content.rule(Ruling::Purge, &versions);
            self.shared.counts.purges.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn selector(&mut self) -> (String, Vec<(usize, u64)>) {
        let index = self.choose();
        let url = &self.content.urls()[index];
        match self.rng.u8(..20) {
            0..8 => {
                let text = format!("\"urls\":[\"http://{HOST}{}\"]", url.path);
                (text, self.content.change(|other| other.path == url.path))
            }
            8..17 => {
                let tag = &url.tags[self.rng.usize(..2)];
                (format!("\"tags\":[\"{tag}\"]"), self.content.change(|other| other.tags.contains(tag)))
            }
            17..19 => {
                let prefix = format!("/{}/p{}", self.rng.choice(ROUTES).unwrap_or(&""), self.rng.usize(..PREFIXES));
                let below = format!("{prefix}/");
                (format!("\"prefixes\":[\"{prefix}\"]"), self.content.change(|other| other.path.starts_with(&below)))
            }
            _ => ("\"all\":true".to_owned(), self.content.change(|_| true)),
        }
    }

    /// The answer to a request that has to succeed while the node lives.
    fn answered(&self, what: &str, answer: std::io::Result<Answer>) -> Option<Answer> {
        match answer {
            Ok(answer) if answer.status == 200 => return Some(answer),
            _ if self.shared.dying.load(Ordering::SeqCst) => {}
            other => self.wrong(&format!("{what}: {other:?}")),
        }
        None
    }

    fn path(&self, index: usize) -> &str {
        &self.content.urls()[index].path
    }

    fn wrong(&self, what: &str) {
        self.shared.wrong.lock().expect("unpoisoned").push(what.to_owned());
    }
}

/// Asks for a URL, or for a range of it. An error is an answer that broke off.
pub(crate) fn get(
    client: &mut Client,
    content: &Content,
    index: usize,
    range: Option<&Range<usize>>,
) -> std::io::Result<Answer> {
    let range = range.map(|range| format!("range: bytes={}-{}\r\n", range.start, range.end - 1));
    let fields = format!("host: {HOST}\r\n{}", range.unwrap_or_default());
    let answer = client.ask("GET", &content.urls()[index].path, &fields, "")?;
    // The shield broke off before its head had reached the edge.
    let broke_off = answer.status == 502 && answer.fields.get("cache-status").contains("detail=broke-off");
    if broke_off { Err(std::io::Error::other("502: broke off")) } else { Ok(answer) }
}

/// How long the load of a round goes on at most.
const LONGEST: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(1);

/// The site's name.
pub(crate) const SITE: &str = "faults";
/// The host, which enters the key: the node's port changes with each start.
const HOST: &str = "faults.example";
/// The folders of the site's routes.
const ROUTES: &[&str] = &["always", "second"];
