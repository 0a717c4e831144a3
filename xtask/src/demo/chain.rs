//! The chain: two origins and `holm up`, each a process of its own, and the site's folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::GRACE;
use super::client::Clients;
use crate::server::Server;
use crate::{command, repo};

/// All processes of the demo.
pub(super) struct Chain {
    /// Asks the node as clients do.
    pub(super) clients: Clients,
    /// Where the site is.
    pub(super) site: PathBuf,
    origins: Vec<(Server, String)>,
    node: Server,
    ready: Value,
}

impl Chain {
    /// Starts them. Each takes free ports.
    pub(super) fn start() -> Result<Self> {
        let dir = repo::empty_scratch("demo")?;
        let origins = ["blue", "green"].map(|name| start_origin(&dir, name)).into_iter().collect::<Result<Vec<_>>>()?;
        let (node, ready) = start_node(&dir)?;
        let urls: Vec<_> = origins.iter().map(|(_, url)| url.as_str()).collect();
        let site = lay_site(&dir, &urls)?;
        let clients = Clients::new(field(&ready, "http")?, field(&ready, "https")?, field(&ready, "ca_file")?);
        Ok(Self { clients, site, origins, node, ready })
    }

    /// Runs `holm` against the node, for what it prints.
    pub(super) fn holm(&self, words: &[&str]) -> Result<String> {
        let cluster = ["--admin", field(&self.ready, "admin")?, "--token-file", field(&self.ready, "token_file")?];
        println!("   $ holm {}", words.join(" "));
        command::text(command::program(binary("holm")).args(words).args(cluster))
    }

    /// The same, for JSON.
    pub(super) fn holm_json(&self, words: &[&str]) -> Result<Value> {
        let text = self.holm(&[words, &["--json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("`holm {}` printed no JSON but: {text}", words.join(" ")))
    }

    /// How often each origin was asked for `path`.
    pub(super) fn asked(&self, path: &str) -> Result<Vec<u64>> {
        let count = |counts: Value| counts["paths"][path].as_u64().unwrap_or_default();
        self.origins.iter().map(|(_, url)| Ok(count(counts(url)?))).collect()
    }

    /// How often each origin was asked in all.
    pub(super) fn asked_in_all(&self) -> Result<Vec<u64>> {
        self.origins.iter().map(|(_, url)| Ok(counts(url)?["total"].as_u64().unwrap_or_default())).collect()
    }

    /// Fails if a process has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        self.origins.iter_mut().try_for_each(|(origin, _)| origin.check())?;
        self.node.check()
    }

    /// Ends all of them: the node first, so that it drains.
    pub(super) fn stop(self) -> Result<()> {
        self.node.stop()?;
        self.origins.into_iter().try_for_each(|(origin, _)| origin.stop())
    }

    /// Who runs where.
    pub(super) fn describe(&self) -> String {
        let origins = self.origins.iter().map(|(origin, url)| format!("   origin     pid {:<7} {url}\n", origin.id()));
        let field = |name| field(&self.ready, name).unwrap_or_default();
        format!(
            "\n── Processes\n{}   holm up    pid {:<7} {} (h1) · {} (h1, h2, h3) · admin {}",
            origins.collect::<String>(),
            self.node.id(),
            field("http"),
            field("https"),
            field("admin")
        )
    }

    /// What one may try while it is up.
    pub(super) fn invite(&self) -> String {
        let field = |name| field(&self.ready, name).unwrap_or_default();
        format!(
            "Up until Ctrl-C. Try, in another terminal:\n\
             \x20  curl -i {http}/origin/price\n\
             \x20  curl -i --cacert {ca} {https}/api/offer\n\
             \x20  export HOLM_ADMIN={admin} HOLM_TOKEN=$(cat {token})\n\
             \x20  {holm} purge --url {http}/origin/price\n\
             \x20  {holm} stats --watch",
            http = field("http"),
            https = field("https"),
            ca = field("ca_file"),
            admin = field("admin"),
            token = field("token_file"),
            holm = binary("holm").display()
        )
    }
}

fn start_origin(dir: &Path, name: &str) -> Result<(Server, String)> {
    let mut command = command::program(binary("holm-example-origin"));
    let log = dir.join(format!("{name}.log"));
    let (server, ready) = Server::start_ready(&format!("origin {name}"), command.args(["--name", name]), &log)?;
    let url = field(&ready, "url")?.to_owned();
    Ok((server, url))
}

fn start_node(dir: &Path) -> Result<(Server, Value)> {
    let mut command = command::program(binary("holm"));
    command.args(["up", "--json", "--http", ANY_PORT, "--https", ANY_PORT, "--admin", ANY_PORT]);
    command.arg("--data-dir").arg(dir.join("data")).arg("--grace").arg(format!("{}s", GRACE.as_secs()));
    Server::start_ready("holm up", &mut command, &dir.join("holm.log"))
}

/// A copy of the example whose origins are ours. The handler stays where it was built.
fn lay_site(dir: &Path, origins: &[&str]) -> Result<PathBuf> {
    let example = repo::path("examples/shop");
    let manifest = repo::read(&example.join("holm.toml"))?;
    let site = dir.join("site");
    std::fs::create_dir_all(&site).with_context(|| format!("cannot make {}", site.display()))?;
    for name in ["public", "api"] {
        let link = site.join(name);
        std::os::unix::fs::symlink(example.join(name), &link)
            .with_context(|| format!("cannot make {}", link.display()))?;
    }
    repo::write(&site.join("holm.toml"), &with_endpoints(&manifest, origins)?)?;
    Ok(site)
}

/// The manifest with these endpoints in its one pool.
fn with_endpoints(manifest: &str, origins: &[&str]) -> Result<String> {
    let is_endpoints = |line: &&str| line.trim_start().starts_with("endpoints");
    if manifest.lines().filter(is_endpoints).count() != 1 {
        bail!("examples/shop/holm.toml has not exactly one line of `endpoints`");
    }
    let ours = format!("endpoints = {origins:?}");
    let lines = manifest.lines().map(|line| if is_endpoints(&line) { ours.as_str() } else { line });
    Ok(lines.collect::<Vec<_>>().join("\n") + "\n")
}

fn counts(origin: &str) -> Result<Value> {
    let text =
        command::text(command::program("curl").args(["-sS", "--max-time", "10", &format!("{origin}/-/requests")]))?;
    serde_json::from_str(&text).context("an origin told no counts")
}

fn field<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name].as_str().with_context(|| format!("`{name}` is missing in {value}"))
}

/// A program that this workspace has built.
fn binary(name: &str) -> PathBuf {
    repo::target().join("debug").join(name)
}

const ANY_PORT: &str = "127.0.0.1:0";

#[cfg(test)]
mod tests {
    use super::with_endpoints;

    #[test]
    fn endpoints_are_replaced() {
        let text = with_endpoints("a = 1\nendpoints = [\"x\"]\n", &["http://b", "http://c"]).expect("one line");
        assert_eq!(text, "a = 1\nendpoints = [\"http://b\", \"http://c\"]\n");
        assert!(with_endpoints("a = 1\n", &[]).is_err());
    }
}
