//! The client against a server that gives prepared answers and keeps what it was sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use holm_model::ids::{Digest, ReleaseNumber, Seq, SiteName};
use holm_model::units::HumanDuration;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::{BlobSource, BlobState, Client, ClientConfig, ClientError, Progress, Uploaded};
use crate::wire::{ActivateRequest, PurgeRequest, Purged, Wait};

/// A server on loopback; it ends with the test's runtime.
struct Server {
    client: Client,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    answers: VecDeque<Answer>,
    seen: Vec<Seen>,
}

/// What is sent back.
enum Answer {
    /// Status, headers, body; the request's body is read first.
    Whole(u16, &'static [(&'static str, &'static str)], String),
    /// The connection is cut after this many bytes of the request's body.
    CutAfter(usize),
}

/// A request: `METHOD target`, the headers that matter, and the body.
#[derive(Debug)]
struct Seen {
    line: String,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("printable"))
    }
}

async fn server(answers: impl IntoIterator<Item = Answer>) -> Server {
    let shared = Arc::new(Mutex::new(Shared { answers: answers.into_iter().collect(), seen: Vec::new() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let admin = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Server { client: client(&admin), shared }
}

fn client(admin: &str) -> Client {
    let config = ClientConfig { admin: admin.to_owned(), token: Some("secret\n".to_owned()), ca: None };
    Client::new(&config).expect("a client")
}

async fn answer(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let (head, mut body) = request.into_parts();
    let answer = shared.lock().answers.pop_front().unwrap_or(Answer::Whole(500, &[], "no answer is left".to_owned()));
    let limit = match &answer {
        Answer::Whole(..) => usize::MAX,
        Answer::CutAfter(limit) => *limit,
    };
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = if bytes.len() < limit { body.frame().await } else { None } {
        bytes.extend_from_slice(frame.data_ref().expect("no trailers"));
    }
    let line = format!("{} {}", head.method, head.uri);
    shared.lock().seen.push(Seen { line, headers: head.headers, body: bytes });
    match answer {
        Answer::Whole(status, headers, text) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            response.body(Body::from(text)).expect("a response")
        }
        // hyper drops the connection of a task that panics: nothing of an answer is ever sent.
        Answer::CutAfter(_) => std::panic::panic_any("cut on purpose"),
    }
}

impl Server {
    fn lines(&self) -> Vec<String> {
        self.shared.lock().seen.iter().map(|seen| seen.line.clone()).collect()
    }
}

fn json(status: u16, text: &str) -> Answer {
    Answer::Whole(status, &[("content-type", "application/json")], text.to_owned())
}

fn bare(status: u16, headers: &'static [(&'static str, &'static str)]) -> Answer {
    Answer::Whole(status, headers, String::new())
}

fn problem(status: u16, detail: &str) -> Answer {
    let text = format!(r#"{{"type":"/problems/x","title":"Some title","status":{status},"detail":"{detail}"}}"#);
    Answer::Whole(status, &[("content-type", "application/problem+json")], text)
}

fn shop() -> SiteName {
    "shop".parse().expect("a name")
}

#[tokio::test]
async fn calls_are_what_the_server_expects() {
    let server = server([
        json(200, r#"{"site":"shop","release":4,"previous":3,"nodes":[{"node":"a","ms":2}],"lagging":[]}"#),
        json(202, r#"{"seq":7,"lagging":[{"node":"b","reason":"asleep"}]}"#),
        json(200, r#"{"window_seconds":300,"tiers":{},"origin_fetches":1,"origin_offload":0.5}"#),
    ])
    .await;
    let (client, site) = (&server.client, shop());
    let request = ActivateRequest { release: ReleaseNumber::new(4), wait: Wait::Applied };
    let activated = client.activate(&site, Some(ReleaseNumber::new(3)), &request).await.expect("activated");
    assert_eq!(activated.nodes[0].ms, 2);
    let purge = PurgeRequest { all: true, wait: Wait::Applied, ..PurgeRequest::default() };
    let purged: Purged = client.purge(&site, &purge).await.expect("purged");
    assert_eq!((purged.seq, purged.lagging[0].reason.as_str()), (Seq::new(7), "asleep"));
    let stats = client.stats(Some(&site), HumanDuration(Duration::from_secs(300))).await.expect("stats");
    assert_eq!(stats.window_seconds, 300);

    assert_eq!(
        server.lines(),
        ["PUT /v1/sites/shop/active", "POST /v1/sites/shop/purge", "GET /v1/stats?window=5m&site=shop"]
    );
    let seen = &server.shared.lock().seen;
    assert_eq!(seen[0].header("if-match"), "\"3\"");
    assert_eq!(seen[0].header("authorization"), "Bearer secret");
    assert_eq!(String::from_utf8_lossy(&seen[0].body), r#"{"release":4,"wait":"applied"}"#);
    assert_eq!(String::from_utf8_lossy(&seen[1].body), r#"{"all":true,"wait":"applied"}"#);
}

#[tokio::test]
async fn problems_are_told() {
    let check = async |answer: Answer, status: Option<u16>, words: &str| {
        let server = server([answer]).await;
        let error = server.client.sites().await.expect_err("an error");
        assert_eq!(error.status(), status, "{error}");
        assert!(error.to_string().contains(words), "`{words}` is missing in: {error}");
    };
    check(problem(403, "the token lacks the scope read"), Some(403), "the token lacks the scope read").await;
    check(problem(412, "release 3 is active"), Some(412), "412 Some title").await;
    check(bare(404, &[]), Some(404), "no problem document").await;
    check(bare(302, &[("location", "http://127.0.0.1:1/")]), Some(302), "302").await;
    check(json(200, "<html>"), Some(200), "not of Holm's control API").await;
}

#[tokio::test]
async fn reads_are_repeated_and_changes_are_not() {
    let server = server([Answer::CutAfter(0), json(200, "[]")]).await;
    assert!(server.client.sites().await.expect("at the second attempt").is_empty());
    assert_eq!(server.lines(), ["GET /v1/sites", "GET /v1/sites"]);

    let server = self::server([Answer::CutAfter(0), json(200, "{}")]).await;
    let request = ActivateRequest { release: ReleaseNumber::new(1), wait: Wait::Durable };
    let error = server.client.activate(&shop(), None, &request).await.expect_err("the answer was lost");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert_eq!(server.lines(), ["PUT /v1/sites/shop/active"]);
    assert_eq!(server.shared.lock().seen[0].header("if-match"), "\"0\"");
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let busy = || Answer::Whole(503, &[("retry-after", "0")], String::new());
    let server = server([busy(), json(202, r#"{"seq":1}"#)]).await;
    assert!(server.client.purge(&shop(), &PurgeRequest::default()).await.is_ok());
    let server = self::server([busy(), busy(), busy(), busy()]).await;
    assert_eq!(server.client.sites().await.expect_err("busy").status(), Some(503));
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let admin = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let error = client(&admin).nodes().await.expect_err("nobody is there").to_string();
    assert!(error.contains(&admin) && error.contains("refused"), "{error}");
}

/// 1 MiB in a file.
fn file() -> (tempfile::NamedTempFile, Vec<u8>) {
    let bytes: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &bytes).expect("written");
    (file, bytes)
}

#[tokio::test]
async fn what_a_server_has_of_a_blob() {
    let server = server([
        bare(200, &[]),
        bare(404, &[]),
        bare(404, &[("upload-offset", "12")]),
        bare(403, &[]),
        problem(403, "no"),
    ])
    .await;
    let digest = Digest::of(b"x");
    let state = async || server.client.blob(digest).await;
    assert_eq!(state().await.expect("an answer"), BlobState::Whole);
    assert_eq!(state().await.expect("an answer"), BlobState::Partial { received: 0 });
    assert_eq!(state().await.expect("an answer"), BlobState::Partial { received: 12 });
    assert_eq!(state().await.expect_err("a refusal").status(), Some(403));
    assert_eq!(server.lines()[0], format!("HEAD /v1/blobs/{digest}"));
}

#[tokio::test]
async fn an_upload_goes_on_where_it_broke_off() {
    let (file, bytes) = file();
    let server = server([
        Answer::CutAfter(300_000),
        bare(404, &[("upload-offset", "300000")]),
        Answer::Whole(409, &[("upload-offset", "299999")], String::new()),
        bare(201, &[]),
    ])
    .await;
    let reports = Arc::new(Mutex::new(Vec::new()));
    let progress = Progress::new({
        let reports = Arc::clone(&reports);
        move |sent| reports.lock().push(sent)
    });
    let blob = BlobSource { digest: Digest::of(&bytes), path: file.path(), size: bytes.len() as u64 };
    assert_eq!(server.client.put_blob(blob, 0, progress).await.expect("uploaded"), Uploaded::Stored);

    let seen = &server.shared.lock().seen;
    let offsets: Vec<&str> = seen.iter().map(|seen| seen.header("upload-offset")).collect();
    assert_eq!(offsets, ["0", "", "300000", "299999"]);
    assert_eq!(seen[3].header("content-length"), (bytes.len() - 299_999).to_string());
    assert_eq!(seen[3].body, bytes[299_999..]);
    assert_eq!(reports.lock().last(), Some(&(bytes.len() as u64)));
}

#[tokio::test]
async fn an_upload_that_is_refused_ends() {
    let (file, bytes) = file();
    let server = server([problem(422, "another digest"), bare(200, &[])]).await;
    let blob = BlobSource { digest: Digest::of(b"other"), path: file.path(), size: bytes.len() as u64 };
    let error = server.client.put_blob(blob, 0, Progress::none()).await.expect_err("a refusal");
    assert_eq!(error.status(), Some(422));
    let outcome = server.client.put_blob(blob, u64::MAX, Progress::none()).await;
    assert_eq!(outcome.expect("there"), Uploaded::AlreadyThere);
    assert_eq!(server.shared.lock().seen[1].header("upload-offset"), "0", "more than the whole: anew");
}

#[tokio::test]
async fn a_file_that_shrank_is_named() {
    let (file, bytes) = file();
    let server = server([bare(400, &[])]).await;
    let blob = BlobSource { digest: Digest::of(&bytes), path: file.path(), size: bytes.len() as u64 + 1 };
    let error = server.client.put_blob(blob, 0, Progress::none()).await.expect_err("cut short");
    assert!(matches!(error, ClientError::File { .. }), "{error}");
}

#[test]
fn addresses() {
    let check = |text: &str, expected: Option<(&str, bool)>| {
        let made = Client::new(&ClientConfig { admin: text.to_owned(), ..ClientConfig::default() });
        let made = made.as_ref().map(|client| (client.admin(), client.is_exposed())).ok();
        assert_eq!(made, expected, "{text}");
    };
    check("http://127.0.0.1:8081", Some(("http://127.0.0.1:8081", false)));
    check("127.0.0.1:8081/", Some(("http://127.0.0.1:8081", false)));
    check("http://[::1]:1/behind/a/proxy/", Some(("http://[::1]:1/behind/a/proxy", false)));
    check("localhost:1", Some(("http://localhost:1", false)));
    check("10.0.0.1:8081", Some(("http://10.0.0.1:8081", true)));
    check("https://cdn.example", Some(("https://cdn.example", false)));
    check("ftp://a", None);
    check("http://user@a", None);
    check("http://a/?b", None);
    check("", None);
    let token = Some("two\nlines".to_owned());
    let config = ClientConfig { admin: "a".to_owned(), token, ca: None };
    assert!(matches!(Client::new(&config), Err(ClientError::Token)));
    let config = ClientConfig { admin: "https://a".to_owned(), token: None, ca: Some(b"none".to_vec()) };
    assert!(matches!(Client::new(&config), Err(ClientError::Certificates(_))));
}
