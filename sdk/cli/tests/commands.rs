//! The commands as they are run, against a control plane on loopback whose nodes this test plays.

use std::fmt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use holm_control::admin::AdminServer;
use holm_control::{Control, NodeHandle, NodeJoin};
use holm_model::ids::{ReleaseNumber, Seq, SiteName};
use holm_telemetry::Telemetry;
use serde_json::Value;

/// A control plane without listeners for clients.
struct Cluster {
    dir: tempfile::TempDir,
    control: Arc<Control>,
    admin: String,
    _server: AdminServer,
}

impl Cluster {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let control = Control::open(&dir.path().join("data"), Telemetry::new()).expect("a store");
        let server = AdminServer::start("127.0.0.1:0".parse().expect("an address"), &control).expect("a server");
        let admin = format!("http://{}", server.addr());
        let cluster = Self { dir, control, admin, _server: server };
        cluster.write("site/holm.toml", MANIFEST);
        cluster.write("site/public/index.html", "one");
        cluster
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("written");
    }

    fn join(&self, name: &str) -> NodeHandle {
        self.control.join(NodeJoin {
            node: name.parse().expect("a name"),
            role: "edge".to_owned(),
            region: "local".parse().expect("a name"),
            version: "0".to_owned(),
        })
    }

    /// Runs `holm` in the site's folder.
    fn holm(&self, line: &str) -> Ran {
        let mut command = holm(&self.dir.path().join("site"), line);
        command.env("HOLM_ADMIN", &self.admin);
        if !line.contains("--token-file") {
            command.args(["--token-file".as_ref(), self.control.token_file().as_os_str()]);
        }
        Ran::new(line, command.output().expect("started"))
    }
}

/// `holm` with nothing of this machine's that could tell it where a cluster is.
fn holm(dir: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
    command.args(line.split_whitespace()).current_dir(dir).env("XDG_STATE_HOME", dir.join("state"));
    for name in ["HOLM_ADMIN", "HOLM_TOKEN", "HOLM_CA_FILE"] {
        command.env_remove(name);
    }
    command
}

/// What a command came to.
struct Ran {
    line: String,
    status: Option<i32>,
    out: String,
    err: String,
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, status, out, err } = self;
        write!(f, "holm {line}\nstatus {status:?}, printed:\n{out}\nand on standard error:\n{err}")
    }
}

impl Ran {
    fn new(line: &str, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { line: line.to_owned(), status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn ok(self, words: &str) -> Self {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.says(words)
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(self.out.contains(words), "`{words}` is missing in: {self:?}");
        self
    }

    #[track_caller]
    fn fails(self, status: i32, words: &str) -> Self {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(self.err.contains(words), "`{words}` is missing in: {self:?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn shop() -> SiteName {
    "shop".parse().expect("a name")
}

#[test]
fn a_site_is_published_and_rolled_back() {
    let cluster = Cluster::new();
    cluster.holm("releases").fails(1, "there is no site named `shop`");
    cluster
        .holm("publish")
        .ok("shop: uploaded 1 of 1 blob (3B)")
        .ok("shop: release 1 is live for the nodes that will join");
    cluster.write("site/public/index.html", "two");
    let published = cluster.holm("publish --no-activate --json").ok("").json();
    assert_eq!((&published["release"], &published["active"]), (&2.into(), &false.into()));
    assert_eq!(published["uploaded"]["bytes"], 3);
    cluster.holm("rollback 2").ok("shop: release 2 is live for the nodes that will join, after release 1");
    cluster.holm("rollback").ok("shop: release 1 is live");
    let releases = cluster.holm("releases --json").ok("").json();
    assert_eq!((&releases[0]["release"], &releases[1]["active"]), (&2.into(), &true.into()), "the latest first");
    cluster.holm("rollback 9").fails(1, "no release 9");
    cluster.holm("releases").ok("release  created");
}

#[test]
fn nodes_that_lag_fail_the_command_and_are_named() {
    let cluster = Cluster::new();
    let (healthy, broken) = (cluster.join("healthy"), cluster.join("broken"));
    cluster.holm("publish --no-activate").ok("`holm rollback 1 --site shop` activates it");
    std::thread::scope(|scope| {
        let command = scope.spawn(|| cluster.holm("rollback 1"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut active = cluster.control.active();
        runtime.block_on(active.wait_for(|active| !active.is_empty())).expect("the store is open");
        healthy.serving(&shop(), Ok(ReleaseNumber::new(1)));
        broken.serving(&shop(), Err("no memory".to_owned()));
        let ran = command.join().expect("no panic").says("shop: release 1 is live on 1 node");
        ran.fails(1, "1 node has not taken release 1 of shop:\n  broken: no memory");
    });
    cluster.holm("nodes").ok("broken can't serve the live release of shop: no memory");
}

#[test]
fn content_is_purged() {
    let cluster = Cluster::new();
    let node = cluster.join("edge-1");
    cluster.holm("publish --no-activate").ok("");
    cluster.holm("purge --all --no-wait").ok("everything will be purged on every node (entry 1 of the log)");
    node.applied(Seq::new(3));
    cluster.holm("purge --tag a --prefix /b --soft").ok("shop: 1 tag and 1 prefix made stale on 1 node\n  edge-1");
    let purged = cluster.holm("purge --url http://shop.example/ --no-wait --json").ok("").json();
    assert_eq!(purged["seq"], 4);
    cluster.holm("purge --url /a").fails(2, "not an absolute URL");
    cluster.holm("purge --all --site none").fails(1, "there is no site named `none`");
}

#[test]
fn keys_are_explained() {
    let cluster = Cluster::new();
    cluster.write("keys/holm.toml", KEYS);
    let check = |line: &str| Ran::new(line, holm(&cluster.dir.path().join("keys"), line).output().expect("started"));
    check("check").ok("the site `keys` is valid (3 routes, 0 handlers, 1 origin)");
    let url = "check --key https://keys.example/x/../%61?utm_source=n&v=1";
    check(&format!("{url} --header X-Plan:gold --header Cookie:currency=EUR;id=1"))
        .ok("route  /a (origin web)\npath   /a\nkey    ")
        .says("enters the key:\n  site             keys\n  scheme           https\n  host             keys.example")
        .says("  path             /a\n  parameter        v=1\n  header x-plan    gold\n  cookie currency  EUR\n")
        .says("does not enter:\n  parameter  utm_source=n\n  cookie     id=1\n");
    let json = |line: &str| check(&format!("{line} --json")).ok("").json()["look_up"].clone();
    let (one, other) = (json(url), json("check --key https://KEYS.example:443/a?v=1"));
    assert_eq!(one["key"].as_str().map(str::len), Some(32));
    assert_eq!((&one["key"], &one["route"]), (&other["key"], &"/a".into()), "one spelling of the URL");
    assert_eq!(one["entered"][5], serde_json::json!({ "name": "header x-plan", "value": null }));
    assert_ne!(json("check --key https://keys.example/a?v=2")["key"], one["key"]);
    let files = json("check --key http://keys.example/files/x --method POST");
    assert_eq!((&files["key"], &files["bypass"]), (&Value::Null, &"method".into()));
    check("check --key http://keys.example/files/x").ok("key    differs with each release");
    check("check --key http://other.example/a").fails(2, "its hosts: keys.example");
    check("check --key http://keys.example/none").fails(1, "no route matches");
    check("check --key http://keys.example/a/..%2fb").fails(1, "refuse this request: target-invalid");
    check("check --key /a").fails(2, "https://shop.example/path?query");
}

#[test]
fn figures_are_shown() {
    let cluster = Cluster::new();
    cluster.holm("stats").ok("no requests within 5m");
    assert_eq!(cluster.holm("stats --json --window 1m").ok("").json()["window_seconds"], 60);
    cluster.holm("stats --site none").fails(1, "there is no site named `none`");
}

#[test]
fn a_cluster_must_be_known_and_let_us_in() {
    let cluster = Cluster::new();
    let dir = cluster.dir.path();
    let run = |line: &str| Ran::new(line, holm(dir, line).output().expect("started"));
    run("nodes").fails(1, "no cluster is known");
    run("nodes --admin ftp://x --token-file site/holm.toml").fails(2, "not the address of a node's admin listener");
    run("nodes --admin http://127.0.0.1:1").fails(2, "no token was given");
    run("nodes --admin http://127.0.0.1:1 --token-file none").fails(1, "cannot read none");
    cluster.write("wrong", "nonsense");
    let line = format!("nodes --admin {} --token-file wrong", cluster.admin);
    run(&line).fails(1, "401").fails(1, "--token-file");

    let context = |pid: u32, admin: &str| {
        let token = cluster.control.token_file().display().to_string();
        let context = serde_json::json!({ "admin": admin, "token_file": token, "pid": pid });
        cluster.write("state/holm/up/1.json", &context.to_string());
    };
    context(std::process::id(), &cluster.admin);
    run("nodes").ok("node");
    context(std::process::id(), "http://127.0.0.1:1");
    run("nodes").fails(1, "can't be reached");
    let mut child = Command::new("true").spawn().expect("started");
    let gone = child.id();
    child.wait().expect("ended");
    context(gone, &cluster.admin);
    run("nodes").fails(1, "is gone");
}

const MANIFEST: &str = "name = \"shop\"\nhosts = [\"shop.example\"]\n\n[[routes]]\npath = \"/*\"\nfiles = \"public\"\n";

const KEYS: &str = r#"
name = "keys"
hosts = ["keys.example"]
routes = [
    { path = "/a", origin = "web", cache = { key = { query = { ignore = ["utm_*"] }, headers = ["x-plan"], cookies = ["currency"] } } },
    { path = "/a/*", origin = "web" },
    { path = "/files/*", files = "." },
]
[origins.web]
endpoints = ["http://127.0.0.1:1"]
"#;
