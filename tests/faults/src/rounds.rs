//! Rounds: load, an end at a random moment, damage now and then, a restart, and a look at every URL.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use holm_e2e::{Holm, Origin, Starting};

use crate::client::Client;
use crate::content::Content;
use crate::damage::{self, Damage};
use crate::load::{self, Load, Shared, Target};
use crate::origin;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What chance begins with.
    pub seed: u64,
    /// How often the node is ended.
    pub rounds: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Report {
    /// Ends by SIGKILL.
    pub kills: u64,
    /// The same while it started.
    pub early: u64,
    /// Ends by SIGTERM.
    pub stops: u64,
    /// Restarts on damaged files.
    pub damaged: u64,
    /// Restarts on files as the node had left them after which some URL was a hit.
    pub warm: u64,
    /// Hits among the first requests for each URL after all restarts on files as the node had left them.
    pub kept: u64,
    /// The same after restarts on damaged files.
    pub kept_damaged: u64,
    /// Answers under load, all of them checked.
    pub answers: u64,
    /// Hits among them.
    pub hits: u64,
    /// Purges that were acknowledged.
    pub purges: u64,
    /// Unsafe requests that were answered.
    pub changes: u64,
    /// Answers that broke off while the node lived: a part had gone, and the origin has another version.
    pub resets: u64,
    /// The longest restart.
    pub slowest_start: Duration,
}

/// The state of a run.
struct Run {
    rng: Rng,
    content: Arc<Content>,
    origin: Origin,
    /// Kept if something goes wrong.
    data: Option<tempfile::TempDir>,
    report: Report,
}

/// Runs all rounds.
///
/// # Panics
/// A node served what it must not, or did not start; the message tells seed and round, and where its files are.
pub fn run(settings: Settings) -> Report {
    let content = Arc::new(Content::new(settings.seed, URLS));
    let mut run = Run {
        rng: Rng::with_seed(settings.seed),
        origin: origin::start(&content),
        content,
        data: Some(tempfile::tempdir().expect("a folder")),
        report: Report::default(),
    };
    let mut holm = run.start();
    for round in 1..=settings.rounds {
        let begun = Instant::now();
        let (ended, wrong) = run.load_and_end(&mut holm);
        run.expect_none(&settings, round, &ended, wrong, &holm);
        let damage = run.damage();
        holm = run.start();
        let (hits, wrong) = run.look(&holm);
        run.count(&damage, hits);
        let happened = describe(&ended, &damage);
        run.expect_none(&settings, round, &happened, wrong, &holm);
        println!("round {round}: {happened}; {hits} hits of {URLS}; {:.1?}", begun.elapsed());
    }
    drop(holm);
    run.report
}

impl Run {
    fn data(&self) -> &Path {
        self.data.as_ref().expect("invariant: kept at the end only").path()
    }

    /// Starts the node on what is there; now and then it is killed while it starts, and starts again.
    fn start(&mut self) -> Holm {
        while self.rng.u8(..4) == 0 {
            self.starting().start_and_kill(Duration::from_millis(self.rng.u64(..MOST_START)));
            self.report.early += 1;
        }
        let holm = self.starting().start();
        self.report.slowest_start = self.report.slowest_start.max(holm.took);
        holm
    }

    fn starting(&self) -> Starting {
        let manifest = self.data().join("holm.toml");
        let text = MANIFEST.replace("ORIGIN", &self.origin.url());
        std::fs::write(&manifest, text).expect("written");
        let starting = Holm::up().arg("--data-dir").arg(self.data().join("data")).arg("--site").arg(manifest);
        starting.args(&["--memory", "48MiB", "--workers", "2", "--disk", "160MiB"])
    }

    /// Loads the node and ends it at a random moment. How, and what went wrong?
    fn load_and_end(&mut self, holm: &mut Holm) -> (String, Vec<String>) {
        let token = std::fs::read_to_string(holm.ready("token_file")).expect("a token");
        let target = Target {
            http: holm.http().to_owned(),
            admin: holm.ready("admin").trim_start_matches("http://").to_owned(),
            token: token.trim().to_owned(),
        };
        let (shared, until) = (Shared::default(), self.rng.u64(50..MOST_ANSWERS));
        let kind = self.rng.u8(..6);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (client, admin) = (Client::new(&target.http), Client::new(&target.admin));
                let (content, rng) = (self.content.as_ref(), self.rng.fork());
                let load = Load { content, shared: &shared, target: &target, client, admin, rng };
                scope.spawn(|| load.run());
            }
            shared.wait(until);
            shared.dying.store(true, Ordering::SeqCst);
            match kind {
                0 => {
                    holm.process.terminate();
                    holm.process.wait();
                }
                _ => drop(holm.process.kill()),
            }
        });
        let report = &mut self.report;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::SeqCst);
        report.answers += count(&shared.counts.answers);
        report.hits += count(&shared.counts.hits);
        report.purges += count(&shared.counts.purges);
        report.changes += count(&shared.counts.changes);
        report.resets += count(&shared.counts.resets);
        let ended = if kind == 0 { &mut report.stops } else { &mut report.kills };
        *ended += 1;
        let how = if kind == 0 { "stopped" } else { "killed" };
        let wrong = shared.wrong.into_inner().expect("unpoisoned");
        (format!("{how} after {until} answers"), wrong)
    }

    /// Damages what the node has left, half of the time.
    fn damage(&mut self) -> Vec<Damage> {
        let folder = self.data().join("data/cache");
        if !folder.is_dir() || self.rng.bool() {
            return Vec::new();
        }
        let times = self.rng.usize(1..=3);
        let inflict = |_| damage::inflict(&folder, &mut self.rng).expect("files of ours");
        let damage: Vec<_> = (0..times).filter_map(inflict).collect();
        if damage.iter().any(|damage| damage.took_memories) {
            self.content.forget_changes();
        }
        damage
    }

    /// Asks for every URL, in a random order. How many were hits, and what is wrong?
    fn look(&mut self, holm: &Holm) -> (u64, Vec<String>) {
        let mut order: Vec<_> = (0..URLS).collect();
        self.rng.shuffle(&mut order);
        let (content, http) = (self.content.as_ref(), holm.http());
        let looks: Vec<Look> = thread::scope(|scope| {
            let look = |part| scope.spawn(move || Look::run(content, http, part));
            let parts: Vec<_> = order.chunks(URLS.div_ceil(CLIENTS)).map(look).collect();
            parts.into_iter().map(|part| part.join().expect("a client")).collect()
        });
        self.report.resets += looks.iter().map(|look| look.resets).sum::<u64>();
        let hits = looks.iter().map(|look| look.hits).sum();
        (hits, looks.into_iter().flat_map(|look| look.wrong).collect())
    }

    fn count(&mut self, damage: &[Damage], hits: u64) {
        if damage.is_empty() {
            self.report.warm += u64::from(hits > 0);
            self.report.kept += hits;
        } else {
            self.report.damaged += 1;
            self.report.kept_damaged += hits;
        }
    }

    fn expect_none(&mut self, settings: &Settings, round: u64, happened: &str, wrong: Vec<String>, holm: &Holm) {
        if wrong.is_empty() {
            return;
        }
        let kept = self.data.take().expect("invariant: kept once").keep();
        let shown = wrong.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n");
        panic!(
            "seed {}, round {round}, {happened}: {} wrong:\n{shown}\nfiles: {}\n{}",
            settings.seed,
            wrong.len(),
            kept.display(),
            holm.process.log()
        );
    }
}

/// What was found at some URLs.
#[derive(Default)]
struct Look {
    hits: u64,
    resets: u64,
    wrong: Vec<String>,
}

impl Look {
    /// Asks for each of these once.
    fn run(content: &Content, http: &str, urls: &[usize]) -> Self {
        let (mut client, mut look) = (Client::new(http), Self::default());
        for index in urls {
            if let Err(what) = look.ask(content, &mut client, *index) {
                look.wrong.push(format!("{}: {what}", content.urls()[*index].path));
            }
        }
        look
    }

    fn ask(&mut self, content: &Content, client: &mut Client, index: usize) -> Result<(), String> {
        let oldest = content.oldest(index);
        let mut failed = String::new();
        for _ in 0..TRIES {
            match load::get(client, content, index, None) {
                Err(error) => {
                    self.resets += 1;
                    failed = error.to_string();
                }
                Ok(answer) => {
                    self.hits += u64::from(answer.is_hit());
                    let checked = content.check(index, oldest, None, &answer);
                    return checked.map_err(|what| format!("{what}\n{:?}", answer.fields));
                }
            }
        }
        Err(format!("it can't be had: {failed}"))
    }
}

impl Report {
    /// Fails if so little was tried that nothing is proved.
    ///
    /// # Panics
    /// It was.
    pub fn expect_telling(&self) {
        assert!(self.answers > 0 && self.hits > 0, "nothing was stored: {self}");
        assert!(self.resets * 20 <= self.answers, "too much broke off: {self}");
        let undamaged = self.kills + self.stops - self.damaged;
        assert!(self.warm * 2 >= undamaged, "too few restarts found anything: {self}");
        assert!(self.kept * 20 >= undamaged * URLS as u64, "too little was found after restarts: {self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, early, stops, damaged, warm, kept, kept_damaged, .. } = self;
        let Self { answers, hits, purges, changes, resets, slowest_start, .. } = self;
        write!(
            f,
            "{kills} kills, {early} more while starting, {stops} stops, {damaged} times damage; {answers} answers checked, \
             {hits} of them hits, {resets} broken off; {purges} purges, {changes} changes; after restarts {kept} hits of \
             {URLS} URLs each ({warm} restarts had some), {kept_damaged} after damage; slowest start {slowest_start:.1?}"
        )
    }
}

fn describe(ended: &str, damage: &[Damage]) -> String {
    let damage: String = damage.iter().map(|damage| format!("; {}", damage.what)).collect();
    format!("{ended}{damage}")
}

/// The longest that a node which is killed while it starts may have had, in milliseconds.
const MOST_START: u64 = 700;
/// How many URLs there are.
const URLS: usize = 250;
/// How many clients ask at a time.
const CLIENTS: usize = 6;
/// The load before an end.
const MOST_ANSWERS: u64 = 2000;
/// How often a URL is asked for before it counts as lost: the first tries may meet parts of a version that is gone.
const TRIES: usize = 4;
/// Mistakes that are shown.
const SHOWN: usize = 10;

const MANIFEST: &str = r#"
name = "faults"
hosts = ["*"]

[[routes]]
path = "/always/*"
origin = "web"
cache = { disk = "always" }

[[routes]]
path = "/*"
origin = "web"

[origins.web]
endpoints = ["ORIGIN"]
"#;
