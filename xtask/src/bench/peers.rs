//! The servers that are measured, on one core, in front of the same origin.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::rate::Load;
use crate::server::Server;
use crate::{command, repo};

/// Both servers and their origin.
pub(super) struct Peers {
    pub(super) nginx: Peer,
    pub(super) holm: Peer,
    pub(super) origin: Origin,
}

/// The origin that they ask.
pub(super) struct Origin {
    pub(super) url: String,
    server: Server,
}

/// A server that caches.
pub(super) struct Peer {
    /// Name and version.
    pub(super) version: String,
    pub(super) http: String,
    https: String,
    /// What it said of itself when it was ready, where it says anything.
    pub(super) ready: Value,
    /// The header that says whether it was a hit, and the word in it that does.
    hit: (&'static str, &'static str),
    server: Server,
}

impl Peers {
    /// Starts what was built with this profile.
    pub(super) fn start(profile: &str) -> Result<Self> {
        let dir = repo::empty_scratch("bench")?;
        make_certificate(&dir)?;
        let origin = Origin::start(&dir, profile)?;
        let nginx = start_nginx(&dir, &origin.url)?;
        Ok(Self { nginx, holm: Peer::start_holm(&dir, &origin, profile, &[])?, origin })
    }

    /// Fills both caches with `path`, then fails unless both serve hits, with the same body.
    pub(super) fn verify(&self, load: Load, path: &str) -> Result<()> {
        let bodies = [&self.nginx, &self.holm].map(|peer| peer.hit(load, path));
        let [nginx, holm] = bodies;
        ensure!(nginx? == holm?, "{path}: the servers' bodies differ");
        Ok(())
    }

    pub(super) fn stop(self) -> Result<()> {
        self.holm.server.stop()?;
        self.nginx.server.stop()?;
        self.origin.server.stop()
    }
}

impl Origin {
    pub(super) fn start(dir: &Path, profile: &str) -> Result<Self> {
        let mut command = command::program(binary(profile, "holm-example-origin"));
        let (server, ready) =
            Server::start_ready("origin", command.args(["--name", "bench"]), &dir.join("origin.log"))?;
        let url = ready["url"].as_str().context("the origin told no URL")?.to_owned();
        Ok(Self { url, server })
    }

    /// How often it was asked for a path, without regard to the query.
    pub(super) fn asked(&self, path: &str) -> Result<u64> {
        let url = format!("{}/-/requests", self.url);
        let text = command::text(command::program("curl").args(["-sS", "--max-time", "10", &url]))?;
        let counts: Value = serde_json::from_str(&text).context("the origin told no counts")?;
        Ok(counts["paths"][path].as_u64().unwrap_or_default())
    }

    pub(super) fn stop(self) -> Result<()> {
        self.server.stop()
    }
}

impl Peer {
    /// `holm up` with one worker, and further arguments.
    pub(super) fn start_holm(dir: &Path, origin: &Origin, profile: &str, more: &[&str]) -> Result<Self> {
        let any = "127.0.0.1:0";
        let program = binary(profile, "holm");
        let mut holm = on_server_core(&program);
        holm.args(["up", "--json", "--workers", "1", "--origin", &origin.url]);
        holm.args(["--http", any, "--https", any, "--admin", any, "--data-dir"]).arg(dir.join("data"));
        holm.arg("--cert").arg(dir.join("cert.pem")).arg("--key").arg(dir.join("key.pem")).args(more);
        let (server, ready) = Server::start_ready("holm up", &mut holm, &dir.join("holm.log"))?;
        let field =
            |name: &str| ready[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {ready}"));
        let version = command::text(command::program(&program).arg("--version"))?.trim().to_owned();
        let (http, https) = (field("http")?, field("https")?);
        Ok(Self { version, http, https, ready, hit: ("Cache-Status", "; hit"), server })
    }

    pub(super) fn stop(self) -> Result<()> {
        self.server.stop()
    }

    /// Where it answers in the clear, as an address.
    pub(super) fn host(&self) -> &str {
        self.http.trim_start_matches("http://")
    }

    pub(super) fn url(&self, load: Load, path: &str) -> String {
        let base = match load {
            Load::Http1 => &self.http,
            Load::Http2Tls => &self.https,
        };
        format!("{base}{path}")
    }

    /// The body of a hit.
    pub(super) fn hit(&self, load: Load, path: &str) -> Result<String> {
        let url = self.url(load, path);
        let get = || {
            let protocol = if load == Load::Http1 { "--http1.1" } else { "--http2" };
            command::text(command::program("curl").args(["-sSik", "--max-time", "10", protocol, &url]))
        };
        get()?;
        let response = get()?;
        let (head, body) = response.split_once("\r\n\r\n").with_context(|| format!("{url}: no response"))?;
        let (name, word) = self.hit;
        let is_hit =
            |line: &str| line.split_once(':').is_some_and(|(n, v)| n.eq_ignore_ascii_case(name) && v.contains(word));
        ensure!(head.lines().any(is_hit), "{url}: {} serves no hit:\n{head}", self.version);
        Ok(body.to_owned())
    }
}

fn start_nginx(dir: &Path, origin: &str) -> Result<Peer> {
    let [http, https] = free_ports()?;
    let template = repo::read(&repo::path("benches/load/nginx.conf"))?;
    let filled = [
        ("DIR", dir.display().to_string()),
        ("ORIGIN", origin.to_owned()),
        ("HTTP_PORT", http.port().to_string()),
        ("HTTPS_PORT", https.port().to_string()),
    ]
    .iter()
    .fold(template, |text, (word, value)| text.replace(word, value));
    let config = dir.join("nginx.conf");
    repo::write(&config, &filled)?;
    let program = command::find("nginx").context("nginx is not installed")?;
    let mut nginx = on_server_core(&program);
    nginx.args(["-e", "stderr", "-p"]).arg(dir).arg("-c").arg(&config);
    let mut server = Server::start("nginx", &mut nginx, &dir.join("nginx.log"))?;
    wait_for(http, &mut server)?;
    let said = command::output(command::program(&program).arg("-v"))?;
    let version = String::from_utf8_lossy(&said.stderr).trim().replace("nginx version: ", "").replace('/', " ");
    let (http, https) = (format!("http://{http}"), format!("https://{https}"));
    Ok(Peer { version, http, https, ready: Value::Null, hit: ("X-Cache", "HIT"), server })
}

/// A certificate for both: the same key costs the same.
pub(super) fn make_certificate(dir: &Path) -> Result<()> {
    let mut openssl = command::program("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    command::quiet(openssl.arg("-keyout").arg(dir.join("key.pem")).arg("-out").arg(dir.join("cert.pem")))
}

/// nginx and Traffic Server cannot say which port they took, so they are told: ports that were free a moment ago.
pub(super) fn free_ports<const N: usize>() -> Result<[SocketAddr; N]> {
    let listen = |_| TcpListener::bind("127.0.0.1:0").context("no free port");
    // All at once: one that is free again might be given twice.
    let listeners = (0..N).map(listen).collect::<Result<Vec<_>>>()?;
    let mut addrs = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for (addr, listener) in addrs.iter_mut().zip(&listeners) {
        *addr = listener.local_addr()?;
    }
    Ok(addrs)
}

pub(super) fn wait_for(addr: SocketAddr, server: &mut Server) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(addr).is_err() {
        server.check()?;
        ensure!(Instant::now() < deadline, "nothing listens on {addr}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

pub(super) fn on_server_core(program: &Path) -> Command {
    let mut taskset = command::program("taskset");
    taskset.args(["-c", SERVER_CORE]).arg(program);
    taskset
}

pub(super) fn binary(profile: &str, name: &str) -> PathBuf {
    repo::target().join(profile).join(name)
}

/// The load has the other one.
const SERVER_CORE: &str = "0";
const READY_WITHIN: Duration = Duration::from_secs(10);
