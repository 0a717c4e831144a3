//! The client against the server itself, over a socket on loopback.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holm_control::admin::AdminServer;
use holm_control::client::{BlobSource, BlobState, Client, ClientConfig, Progress, Uploaded};
use holm_control::wire::{ActivateRequest, PublishRequest, PurgeRequest, ReleaseSummary, Wait};
use holm_control::{Control, NodeHandle, NodeJoin};
use holm_model::ids::{Digest, ReleaseNumber, Seq, SiteName};
use holm_model::release::{FileEntry, Files};
use holm_model::units::HumanDuration;
use holm_telemetry::Telemetry;

/// A cluster of one process.
struct Cluster {
    dir: tempfile::TempDir,
    control: Arc<Control>,
    client: Client,
    server: AdminServer,
}

fn cluster() -> Cluster {
    let dir = tempfile::tempdir().expect("a folder");
    let control = Control::open(dir.path(), Telemetry::new()).expect("a store");
    let server = AdminServer::start("127.0.0.1:0".parse().expect("an address"), &control).expect("a server");
    let token = std::fs::read_to_string(control.token_file()).expect("a token");
    let client = client(&server, Some(token));
    Cluster { dir, control, client, server }
}

fn client(server: &AdminServer, token: Option<String>) -> Client {
    let admin = format!("http://{}", server.addr());
    Client::new(&ClientConfig { admin, token, ca: None }).expect("a client")
}

impl Cluster {
    fn join(&self, name: &str) -> NodeHandle {
        self.control.join(NodeJoin {
            node: name.parse().expect("a name"),
            role: "edge".to_owned(),
            region: "local".parse().expect("a name"),
            version: "0".to_owned(),
        })
    }

    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join("content");
        std::fs::write(&path, content).expect("written");
        path
    }

    async fn upload(&self, content: &[u8]) -> Uploaded {
        let path = self.file(content);
        self.client.put_blob(source(content, &path), 0, Progress::none()).await.expect("uploaded")
    }

    async fn publish(&self, page: &[u8]) -> ReleaseSummary {
        let size = page.len() as u64;
        let entry = FileEntry { digest: Digest::of(page), size, content_type: "text/html".to_owned() };
        let files = Files::from([("/index.html".to_owned(), entry)]);
        let request = PublishRequest {
            manifest: MANIFEST.to_owned(),
            components: BTreeMap::new(),
            files: BTreeMap::from([(0, files)]),
        };
        self.client.publish(&shop(), &request).await.expect("a release")
    }
}

fn shop() -> SiteName {
    "shop".parse().expect("a name")
}

fn source<'a>(content: &[u8], path: &'a Path) -> BlobSource<'a> {
    BlobSource { digest: Digest::of(content), path, size: content.len() as u64 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_is_published_activated_and_purged() {
    let cluster = cluster();
    let (client, node, shop) = (&cluster.client, cluster.join("edge-1"), shop());
    assert_eq!(cluster.upload(b"one").await, Uploaded::Stored);
    assert_eq!(cluster.upload(b"one").await, Uploaded::AlreadyThere);
    cluster.upload(b"two").await;
    let (first, second) = (cluster.publish(b"one").await.release, cluster.publish(b"two").await.release);
    assert_eq!((first.get(), second.get()), (1, 2));

    let activate = async |expected: Option<ReleaseNumber>, release| {
        client.activate(&shop, expected, &ActivateRequest { release, wait: Wait::Durable }).await
    };
    activate(None, first).await.expect("activated");
    let error = activate(None, second).await.expect_err("another one is active");
    assert_eq!(error.status(), Some(412), "{error}");
    assert_eq!(activate(Some(first), second).await.expect("activated").previous, Some(first));
    let summary = client.sites().await.expect("sites").pop().expect("a site");
    assert_eq!((summary.active, summary.previous), (Some(second), Some(first)));
    let releases = client.releases(&shop).await.expect("releases");
    assert_eq!(releases.iter().map(|release| release.active).collect::<Vec<_>>(), [false, true]);

    let purge = PurgeRequest { all: true, ..PurgeRequest::default() };
    assert_eq!(client.purge(&shop, &purge).await.expect("durable").seq, Seq::new(1));
    node.applied(Seq::new(2));
    let purge = PurgeRequest { tags: vec!["a".to_owned()], wait: Wait::Applied, ..PurgeRequest::default() };
    let purged = client.purge(&shop, &purge).await.expect("applied");
    assert_eq!((purged.seq, purged.nodes.len(), purged.lagging.len()), (Seq::new(2), 1, 0));

    let stats = client.stats(Some(&shop), HumanDuration(Duration::from_secs(60))).await.expect("stats");
    assert_eq!(stats.window_seconds, 60);
    assert_eq!(client.nodes().await.expect("nodes")[0].applied, Seq::new(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_take_a_release_is_named() {
    let cluster = cluster();
    let (healthy, broken, shop) = (cluster.join("healthy"), cluster.join("broken"), shop());
    cluster.upload(b"one").await;
    let release = cluster.publish(b"one").await.release;
    let request = ActivateRequest { release, wait: Wait::Applied };
    let nodes = async {
        let mut active = cluster.control.active();
        active.wait_for(|active| !active.is_empty()).await.expect("the store is open");
        healthy.serving(&shop, Ok(release));
        broken.serving(&shop, Err("no memory".to_owned()));
    };
    let (activated, ()) = tokio::join!(cluster.client.activate(&shop, None, &request), nodes);
    let activated = activated.expect("activated");
    assert_eq!(activated.nodes.len(), 1);
    assert_eq!((activated.lagging[0].node.as_str(), activated.lagging[0].reason.as_str()), ("broken", "no memory"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_are_verified_and_go_on() {
    let cluster = cluster();
    let content: Vec<u8> = (0..3 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let path = cluster.file(&content);
    let source = source(&content, &path);
    let other = BlobSource { digest: Digest::of(b"other"), ..source };
    let error = cluster.client.put_blob(other, 0, Progress::none()).await.expect_err("another digest");
    assert_eq!(error.status(), Some(422), "{error}");

    let state = async || cluster.client.blob(source.digest).await.expect("an answer");
    assert_eq!(state().await, BlobState::Partial { received: 0 });
    let mut begun = cluster.control.upload(&source.digest, 0).expect("an upload");
    begun.write(&content[..1 << 20]).expect("written");
    drop(begun);
    assert_eq!(state().await, BlobState::Partial { received: 1 << 20 });
    // A wrong idea of what is there is put right by the server.
    let outcome = cluster.client.put_blob(source, (1 << 20) + 1, Progress::none()).await;
    assert_eq!(outcome.expect("uploaded"), Uploaded::Stored);
    assert!(cluster.client.has_blob(source.digest).await.expect("an answer"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_told_why() {
    let cluster = cluster();
    let check = async |token: Option<&str>, words: &str| {
        let client = client(&cluster.server, token.map(str::to_owned));
        let error = client.sites().await.expect_err("no valid token");
        assert_eq!(error.status(), Some(401), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(client.blob(Digest::of(b"x")).await.expect_err("no valid token").status(), Some(401));
    };
    check(None, "needs a token").await;
    check(Some("nonsense"), "token").await;
    let error = cluster.client.releases(&shop()).await.expect_err("no such site");
    assert!(error.to_string().contains("there is no site named `shop`"), "{error}");
}

const MANIFEST: &str = "name = \"shop\"\nhosts = [\"shop.example\"]\n\n[[routes]]\npath = \"/*\"\nfiles = \"public\"\n";
