//! The caches that are measured: each on one core, with its objects on disk and hardly any memory for them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::client::Answer;
use super::objects::Objects;
use crate::bench::peers::{binary, free_ports, on_server_core, wait_for};
use crate::server::Server;
use crate::{command, repo};

/// A cache with a disk. It can be started again, with what it has stored.
pub(super) struct Cache {
    /// Its name, version and variant.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) addr: SocketAddr,
    command: Command,
    /// How it tells of a hit.
    hit: Hit,
    log: PathBuf,
    server: Option<Server>,
}

/// Whose it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    TrafficServer,
    Nginx,
    Holm,
}

impl Cache {
    /// Traffic Server: its storage is a file that it opens past the page cache, as it would a device.
    pub(super) fn traffic_server(dir: &Path, origin: &str) -> Result<Self> {
        let program = command::find("traffic_server").context("Traffic Server is not installed")?;
        let dir = made(dir, "trafficserver")?;
        let [addr] = free_ports()?;
        let records = filled("records.config", &[("PORT", addr.port().to_string())])?;
        let here = dir.display();
        let root =
            ["prefix", "exec_prefix", "localstatedir", "sysconfdir", "runtimedir", "logdir", "cachedir", "datadir"]
                .map(|name| format!("{name}: {here}\n"));
        for (name, text) in [
            ("runroot.yaml", root.concat() + "bindir: /usr/bin\nsbindir: /usr/sbin\n"),
            ("records.config", records),
            ("storage.config", format!("{here} {DISK}\n")),
            ("remap.config", format!("map / {origin}/\n")),
            ("ip_allow.yaml", IP_ALLOW.to_owned()),
        ] {
            repo::write(&dir.join(name), &text)?;
        }
        let mut command = on_server_core(&program);
        command.arg(format!("--run-root={}", dir.join("runroot.yaml").display()));
        Self::start(&version(&program, "-V")?, Kind::TrafficServer, addr, command, ("via", &["[cH", "[cR"]), dir)
    }

    /// nginx; with `sendfile`, its threads pass the page cache to the socket, else they read.
    pub(super) fn nginx(dir: &Path, origin: &str, sendfile: bool) -> Result<Self> {
        let program = command::find("nginx").context("nginx is not installed")?;
        let sendfile = if sendfile { "on" } else { "off" };
        let dir = made(dir, &format!("nginx-{sendfile}"))?;
        let [addr] = free_ports()?;
        let values = [
            ("DIR", dir.display().to_string()),
            ("ORIGIN", origin.to_owned()),
            ("PORT", addr.port().to_string()),
            ("SENDFILE", sendfile.to_owned()),
        ];
        let config = dir.join("nginx.conf");
        repo::write(&config, &filled("nginx-disk.conf", &values)?)?;
        let mut command = on_server_core(&program);
        command.args(["-e", "stderr", "-p"]).arg(&dir).arg("-c").arg(&config);
        let name = format!("{}, sendfile {sendfile}", version(&program, "-v")?);
        Self::start(&name, Kind::Nginx, addr, command, ("x-cache", &["HIT"]), dir)
    }

    /// Ours: edge and shield in one process, each with its part of memory and disk.
    /// Memory is for what is on its way: of `size` bytes each.
    pub(super) fn holm(dir: &Path, origin: &str, profile: &str, size: u64) -> Result<Self> {
        let program = binary(profile, "holm");
        let dir = made(dir, "holm")?;
        let [addr] = free_ports()?;
        let mut command = on_server_core(&program);
        command.args(["up", "--json", "--workers", "1", "--origin", origin]);
        command.args(["--memory", if size < 1 << 20 { "8MiB" } else { "32MiB" }]);
        command.args(["--disk", &format!("{DISK}iB"), "--http", &addr.to_string()]);
        command.args(["--https", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir"]).arg(dir.join("data"));
        Self::start(&version(&program, "--version")?, Kind::Holm, addr, command, ("cache-status", &["; hit"]), dir)
    }

    fn start(name: &str, kind: Kind, addr: SocketAddr, command: Command, hit: Hit, dir: PathBuf) -> Result<Self> {
        let log = dir.join("log");
        let mut cache = Self { name: name.to_owned(), kind, addr, command, hit, log, server: None };
        cache.run()?;
        Ok(cache)
    }

    fn run(&mut self) -> Result<()> {
        let mut server = match self.kind {
            Kind::Holm => Server::start_telling(&self.name, &mut self.command, &self.log)?.0,
            Kind::TrafficServer | Kind::Nginx => Server::start(&self.name, &mut self.command, &self.log)?,
        };
        wait_for(self.addr, &mut server)?;
        self.server = Some(server);
        Ok(())
    }

    /// Makes it store all objects, and starts it again: what it then serves without asking the origin is on its disk.
    ///
    /// # Errors
    /// It is not, or what it serves is not what the origin does.
    pub(super) fn fill(&mut self, objects: &Objects) -> Result<()> {
        for _ in 0..ATTEMPTS {
            // By the second of two requests ours is persuaded to write, if its queue has room just then; by the next round,
            // of what has left memory meanwhile, it waits for room.
            for _ in 0..2 {
                objects.ask(self.addr, 2, |_| Ok(()))?;
            }
            // What Traffic Server stored last does not survive: it writes its directory once a minute. It has no memory
            // to speak of to serve from, though.
            if self.kind != Kind::TrafficServer {
                self.stop()?;
                self.run()?;
            }
            let before = objects.origin_count()?;
            objects.ask(self.addr, 1, |_| Ok(()))?;
            if objects.origin_count()? == before {
                return objects.ask(self.addr, 1, |answer| self.verify(answer));
            }
        }
        bail!("{} does not keep {} objects of {} bytes on its disk", self.name, objects.count, objects.size)
    }

    /// Is it a hit, by its own words?
    fn verify(&self, answer: &Answer) -> Result<()> {
        let (field, words) = self.hit;
        let said = answer.field(field).unwrap_or_default();
        ensure!(words.iter().any(|word| said.contains(word)), "{}: no hit: {field}: {said}", self.name);
        Ok(())
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Server::stop)
    }
}

/// The field that tells of a hit, and what it then says, one or the other.
type Hit = (&'static str, &'static [&'static str]);

/// A folder in the bench's.
fn made(dir: &Path, name: &str) -> Result<PathBuf> {
    let dir = dir.join(name);
    std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// A template of `benches/load`, with its words in capitals filled in.
fn filled(template: &str, values: &[(&str, String)]) -> Result<String> {
    let text = repo::read(&repo::path("benches/load").join(template))?;
    Ok(values.iter().fold(text, |text, (word, value)| text.replace(word, value)))
}

/// What a program says that it is: `nginx 1.22.1`.
fn version(program: &Path, flag: &str) -> Result<String> {
    let said = command::output(command::program(program).arg(flag))?;
    let said = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&said);
    let line = text.lines().next().unwrap_or_default().replace("nginx version: ", "").replace('/', " ");
    let words: Vec<&str> = line.split(' ').collect();
    // The number, and all before it.
    let number = words.iter().position(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let number = number.with_context(|| format!("{} told no version: {text}", program.display()))?;
    Ok(words[..=number].join(" "))
}

/// Each one's room on disk: twice what is asked for, or more.
const DISK: &str = "1G";
/// Rounds of filling: a cache need not write everything at the first chance.
const ATTEMPTS: u32 = 3;
const IP_ALLOW: &str = "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n";
