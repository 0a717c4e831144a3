//! The stage: the suite's server as the origin, `holm up` in front of it as anyone would start it, and the runners.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::outcome::Outcome;
use super::{Protocol, install};
use crate::server::Server;
use crate::{command, repo, setup};

/// All that runs while cases are run.
pub(super) struct Stage {
    dir: PathBuf,
    origin: Server,
    node: Server,
    ready: Value,
}

impl Stage {
    /// Starts the origin and the node. Each takes free ports.
    pub(super) fn start(holm: &Path) -> Result<Self> {
        ensure!(holm.is_file(), "there is no {}: build it, or name it with --holm", holm.display());
        let dir = repo::empty_scratch("conformance")?;
        let (origin, port) = start_origin(&dir)?;
        let mut command = command::program(holm);
        command.args(["up", "--json", "--origin", &format!("http://127.0.0.1:{port}")]);
        // Everything else is as it comes: the default configuration is the one that is tested.
        command.args(["--http", ANY_PORT, "--https", ANY_PORT, "--admin", ANY_PORT]);
        command.arg("--data-dir").arg(dir.join("data"));
        let (node, ready) = Server::start_ready("holm up", &mut command, &dir.join("holm.log"))?;
        Ok(Self { dir, origin, node, ready })
    }

    /// Runs all cases, or only some, over each of the protocols, at once: nearly all of the time is the suite's own
    /// pauses.
    pub(super) fn run(&self, protocols: &[Protocol], only: &[String]) -> Result<Vec<Outcome>> {
        let runs = protocols.iter().map(|protocol| self.start_run(*protocol, only)).collect::<Result<Vec<_>>>()?;
        for run in runs {
            run.finish(RUN_WITHIN)?;
        }
        let outcomes = protocols.iter().map(|protocol| {
            let text = repo::read(&self.result(*protocol))?;
            Outcome::parse(*protocol, &text).with_context(|| format!("{protocol}: the runner's result"))
        });
        outcomes.collect()
    }

    /// Ends the node, then the origin.
    pub(super) fn stop(self) -> Result<()> {
        self.node.stop()?;
        // The suite's server has no handler for signals: that it ends by one is how it ends.
        drop(self.origin);
        Ok(())
    }

    fn start_run(&self, protocol: Protocol, only: &[String]) -> Result<Server> {
        let field = |name: &str| self.ready[name].as_str().with_context(|| format!("no `{name}` in {}", self.ready));
        let base = field(if protocol == Protocol::H1 { "http" } else { "https" })?;
        let mut node = command::program("node");
        node.current_dir(install::dir()).args(["run.mjs", "--base", base, "--protocol", protocol.as_str()]);
        node.args(["--ca", field("ca_file")?]).arg("--python").arg(setup::python());
        node.arg("--h3-client").arg(repo::path("tests/e2e/clients/h3_client.py"));
        node.args(only.iter().flat_map(|id| ["--only", id]));
        let result = self.result(protocol);
        let file = File::create(&result).with_context(|| format!("cannot write {}", result.display()))?;
        // What the first run has told of failures is not lost to the runs that follow.
        let log = if only.is_empty() { format!("{protocol}.log") } else { format!("{protocol}-again.log") };
        Server::start(&format!("runner {protocol}"), node.stdout(file), &self.dir.join(log))
    }

    fn result(&self, protocol: Protocol) -> PathBuf {
        self.dir.join(format!("{protocol}.json"))
    }
}

/// Starts the suite's server. Returns its port.
fn start_origin(dir: &Path) -> Result<(Server, u16)> {
    let mut command = command::program("node");
    command.current_dir(install::suite()).arg("server/server.mjs");
    // How its own package.json hands it what it needs to know. Port 0 is any that is free.
    command.env("npm_config_protocol", "http").env("npm_config_port", "0");
    command.env("npm_config_pidfile", dir.join("origin.pid"));
    let (server, line) = Server::start_telling("the suite's server", &mut command, &dir.join("origin.log"))?;
    let port = port_of(&line).with_context(|| format!("the suite's server told no port: {line}"))?;
    Ok((server, port))
}

/// `Listening on http://[::]:8000/`
fn port_of(line: &str) -> Option<u16> {
    line.trim_end().strip_suffix('/')?.rsplit_once(':')?.1.parse().ok()
}

const ANY_PORT: &str = "127.0.0.1:0";
/// One takes 20 s.
const RUN_WITHIN: Duration = Duration::from_secs(150);

#[cfg(test)]
mod tests {
    use super::port_of;

    #[test]
    fn ports() {
        assert_eq!(port_of("Listening on http://[::]:8000/\n"), Some(8000));
        assert_eq!(port_of("EADDRINUSE"), None);
    }
}
