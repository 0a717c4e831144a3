//! Tests of the API, through real sockets.

mod calls;
mod schema;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holm_model::ids::{Digest, Seq};
use holm_model::release::{FileEntry, Files};
use holm_transport::body::{Body, BodyError, BodyErrorKind, Side};
use holm_transport::service::{ConnInfo, Protocol, Service as _};
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};

use self::calls::Calls;
use super::*;
use crate::component::tests::handler;
use crate::control::tests::{FULL, plain, site};
use crate::token::{Scope, Sites, Star};
use crate::wire::UPLOAD_OFFSET;
use crate::{NodeHandle, NodeJoin};

fn join(calls: &Calls, name: &str) -> NodeHandle {
    calls.store.control.join(NodeJoin {
        node: name.parse().unwrap(),
        role: "edge".to_owned(),
        region: "local".parse().unwrap(),
        version: "0".to_owned(),
    })
}

fn publish_body(text: &str) -> Value {
    json!({ "manifest": text })
}

#[tokio::test]
async fn a_site_from_upload_to_end() {
    let calls = Calls::new();
    let component = Bytes::from(handler("a"));
    let (api, page) = (Digest::of(&component), Digest::of(b"<p>"));
    let entry = FileEntry { digest: page, size: 3, content_type: "text/html".to_owned() };
    let files = Files::from([("/index.html".to_owned(), entry)]);
    let release = json!({ "manifest": FULL, "components": { "api": api }, "files": { "1": files } });

    let missing = calls.post("/v1/sites/shop/releases", &release).await;
    missing.is(409, "missing-blobs", "2 blob(s) that the release names have not been uploaded");
    calls.head(&format!("/v1/blobs/{api}")).await.status(404);
    calls.put(&format!("/v1/blobs/{api}"), component.clone()).await.status(201);
    calls.put(&format!("/v1/blobs/{api}"), component.clone()).await.status(200);
    calls.put(&format!("/v1/blobs/{page}"), Bytes::from_static(b"<p>")).await.status(201);
    let there = calls.head(&format!("/v1/blobs/{api}")).await;
    there.status(200);
    assert_eq!(there.headers[header::CONTENT_LENGTH], component.len().to_string());

    let made = calls.post("/v1/sites/shop/releases", &release).await;
    made.status(201);
    assert_eq!(
        (&made.json()["release"], &made.json()["handlers"], &made.json()["active"]),
        (&json!(1), &json!(1), &json!(false))
    );
    assert_eq!(calls.post("/v1/sites/shop/releases", &release).await.json(), made.json());
    let active = calls.put_json("/v1/sites/shop/active", &json!({ "release": 1 })).await;
    active.status(200);
    assert_eq!((active.headers[header::ETAG].as_bytes(), &active.json()["previous"]), (&b"\"1\""[..], &json!(null)));
    assert_eq!(calls.get("/v1/sites/shop/releases").await.json()[0]["active"], true);
    let sites = calls.get("/v1/sites").await;
    assert_eq!((&sites.json()[0]["site"], &sites.json()[0]["hosts"]), (&json!("shop"), &json!(["shop.example"])));

    calls.delete("/v1/sites/shop").await.status(204);
    calls.delete("/v1/sites/shop").await.is(404, "no-such-site", "`shop`");
    calls.get("/v1/sites/shop/releases").await.is(404, "no-such-site", "`shop`");
    assert_eq!(calls.get("/v1/sites").await.json(), json!([]));
}

#[tokio::test]
async fn activation_compares_and_swaps() {
    let calls = Calls::new();
    for ttl in 1..=2 {
        calls.post("/v1/sites/shop/releases", &publish_body(&plain("shop", "\"a.example\"", ttl))).await.status(201);
    }
    let activate = async |release: u64, if_match: Option<&str>| {
        let mut request = Calls::request(Method::PUT, "/v1/sites/shop/active");
        if let Some(tag) = if_match {
            request = request.header(header::IF_MATCH, tag);
        }
        calls.send_json(request, &json!({ "release": release })).await
    };
    activate(1, Some("\"2\"")).await.is(412, "another-release-active", "no release is active now");
    activate(1, Some("\"0\"")).await.status(200);
    activate(2, Some("\"0\"")).await.is(412, "another-release-active", "release 1 is active now");
    activate(2, Some("\"1\"")).await.status(200);
    activate(1, None).await.status(200);
    activate(9, None).await.is(404, "no-such-release", "no release 9");
    for wrong in ["1", "W/\"1\"", "*", "\"1\", \"2\"", "\"x\""] {
        activate(2, Some(wrong)).await.is(400, "invalid-if-match", wrong);
    }
}

#[tokio::test]
async fn a_broken_manifest_is_placed() {
    let calls = Calls::new();
    let text = plain("shop", "\"a.example\"", 1).replace("origin =", "orgin =");
    let answer = calls.post("/v1/sites/shop/releases", &publish_body(&text)).await;
    answer.is(422, "invalid-manifest", "holm.toml:5:1");
    answer.is(422, "invalid-manifest", "did you mean `origin`?");
    let other = publish_body(&plain("other", "\"a.example\"", 1));
    calls.post("/v1/sites/shop/releases", &other).await.is(422, "invalid-manifest", "that of `other`");
    let large = publish_body(&"#".repeat(1 << 21));
    calls.post("/v1/sites/shop/releases", &large).await.is(413, "too-large", "2097152 bytes");
}

#[tokio::test]
async fn bodies_are_checked() {
    let calls = Calls::new();
    calls.store.publish("shop", "\"a.example\"", 1).unwrap();
    let purge = async |kind: &str, body: Body| {
        let request = Calls::request(Method::POST, "/v1/sites/shop/purge").header(header::CONTENT_TYPE, kind);
        calls.send(request, body).await
    };
    let json_body = |text: &str| Body::full(text.to_owned());
    purge("text/plain", json_body("{}")).await.is(415, "unsupported-type", "`text/plain`");
    purge("", json_body("{}")).await.is(415, "unsupported-type", "application/json");
    purge("application/json", json_body("{\"all\": tru}")).await.is(400, "invalid-json", "line 1 column 12");
    purge("application/json", json_body("")).await.is(400, "invalid-json", "EOF");
    purge("application/json", json_body("{\"al\": true}")).await.is(422, "invalid-body", "unknown field `al`");
    purge("application/json", json_body("{\"all\": 1}")).await.is(422, "invalid-body", "line 1 column 9");
    purge("application/json; charset=utf-8", json_body("{\"all\": true}")).await.status(202);
    let long = format!("{{\"urls\": [\"{}\"]}}", "a".repeat(5 << 20));
    purge("application/json", json_body(&long)).await.is(413, "too-large", "4194304 bytes");
    // The length is not known beforehand.
    let (mut sender, body) = Body::channel(1);
    let sending = tokio::spawn(async move { while sender.send_data(vec![b' '; 1 << 20].into()).await.is_ok() {} });
    purge("application/json", body).await.is(413, "too-large", "4194304 bytes");
    sending.await.unwrap();
    let (mut sender, body) = Body::channel(2);
    sender.send_data("{".into()).await.unwrap();
    sender.abort(BodyError::new(BodyErrorKind::Reset, Side::Client)).await;
    purge("application/json", body).await.is(400, "broken-body", "stream reset");
}

#[tokio::test]
async fn slow_bodies_are_given_up() {
    let options = ApiOptions { body_timeout: Duration::from_millis(30), ..ApiOptions::default() };
    let calls = Calls::with(options);
    let (_sender, body) = Body::channel(1);
    let request = Calls::request(Method::POST, "/v1/sites/shop/purge").header(header::CONTENT_TYPE, "application/json");
    calls.send(request, body).await.is(408, "timeout", "in time");
    let digest = Digest::of(b"one two");
    let (mut sender, body) = Body::channel(1);
    sender.send_data("one ".into()).await.unwrap();
    let put = Calls::request(Method::PUT, &format!("/v1/blobs/{digest}"));
    calls.send(put, body).await.is(408, "timeout", "in time");
    assert_eq!(calls.head(&format!("/v1/blobs/{digest}")).await.headers[UPLOAD_OFFSET], "4", "what came is kept");
}

#[tokio::test]
async fn purges_enter_the_log() {
    let calls = Calls::new();
    calls.store.publish("shop", "\"a.example\"", 1).unwrap();
    let purge = async |body: Value| calls.post("/v1/sites/shop/purge", &body).await;
    let made =
        purge(json!({ "urls": ["https://a.example/x?y"], "tags": ["t"], "prefixes": ["/p/*"], "soft": true })).await;
    made.status(202);
    assert_eq!(made.json(), json!({ "seq": 3, "nodes": [], "lagging": [] }));
    let log = serde_json::to_value(calls.store.control.purges_after(Seq::ZERO, 10).unwrap()).unwrap();
    let selectors: Vec<&Value> = log.as_array().unwrap().iter().map(|entry| &entry["selector"]).collect();
    assert_eq!(selectors[0]["url"], json!({ "host": "a.example", "path": "/x", "query": "y" }));
    assert_eq!((selectors[1], &log[2]["mode"]), (&json!({ "tag": "t" }), &json!("soft")));

    purge(json!({})).await.is(422, "invalid-selection", "nothing is selected");
    purge(json!({ "all": true, "tags": ["t"] })).await.is(422, "invalid-selection", "leave urls");
    purge(json!({ "urls": ["/x"] })).await.is(422, "invalid-selector", "`/x` is not an absolute URL");
    purge(json!({ "tags": ["t", "a b"] })).await.is(422, "invalid-selector", "`a b` is not a tag");
    purge(json!({ "prefixes": ["p"] })).await.is(422, "invalid-selector", "`p` is not a path prefix");
    purge(json!({ "tags": vec!["t"; 1001] })).await.is(422, "invalid-selection", "1001 selectors");
    calls.post("/v1/sites/other/purge", &json!({ "all": true })).await.is(404, "no-such-site", "`other`");
    assert_eq!(calls.store.control.last_seq(), Seq::new(3), "what is refused leaves no trace");
}

#[tokio::test]
async fn a_purge_waits_for_every_node() {
    let calls = Calls::with(ApiOptions { wait: Duration::from_millis(50), ..ApiOptions::default() });
    calls.store.publish("shop", "\"a.example\"", 1).unwrap();
    let body = json!({ "all": true, "wait": "applied" });
    calls.post("/v1/sites/shop/purge", &body).await.status(200);
    let (quick, slow) = (join(&calls, "quick"), join(&calls, "slow"));
    let mut head = calls.store.control.head();
    let follow = async {
        head.changed().await.unwrap();
        quick.applied(*head.borrow_and_update());
    };
    let (answer, ()) = tokio::join!(calls.post("/v1/sites/shop/purge", &body), follow);
    answer.status(202);
    assert_eq!(
        (&answer.json()["nodes"][0]["node"], &answer.json()["lagging"][0]["node"]),
        (&json!("quick"), &json!("slow"))
    );
    let follow = async {
        head.changed().await.unwrap();
        quick.applied(*head.borrow());
        slow.applied(*head.borrow());
    };
    let (answer, ()) = tokio::join!(calls.post("/v1/sites/shop/purge", &body), follow);
    answer.status(200);
    assert_eq!(answer.json()["nodes"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_activation_waits_for_every_node() {
    let calls = Calls::new();
    calls.store.publish("shop", "\"a.example\"", 1).unwrap();
    let (good, bad) = (join(&calls, "good"), join(&calls, "bad"));
    let mut active = calls.store.control.active();
    let follow = async {
        active.changed().await.unwrap();
        let release = active.borrow()[&site("shop")].number;
        good.serving(&site("shop"), Ok(release));
        bad.serving(&site("shop"), Err("no memory".to_owned()));
    };
    let body = json!({ "release": 1, "wait": "applied" });
    let (answer, ()) = tokio::join!(calls.put_json("/v1/sites/shop/active", &body), follow);
    answer.status(200);
    assert_eq!(answer.json()["nodes"][0]["node"], "good");
    assert_eq!(answer.json()["lagging"], json!([{ "node": "bad", "reason": "no memory" }]));
    calls.get("/readyz").await.is(503, "not-ready", "bad does not serve shop 1: no memory");
    drop(bad);
    calls.get("/readyz").await.status(200);
    assert_eq!(calls.get("/v1/nodes").await.json()[0]["releases"], json!({ "shop": 1 }));
    drop(good);
    calls.get("/readyz").await.is(503, "not-ready", "no node has joined");
}

#[tokio::test]
async fn uploads_go_on() {
    let calls = Calls::new();
    let digest = Digest::of(b"one two three");
    let path = format!("/v1/blobs/{digest}");
    let (mut sender, body) = Body::channel(2);
    sender.send_data("one ".into()).await.unwrap();
    sender.abort(BodyError::new(BodyErrorKind::Reset, Side::Client)).await;
    calls.send(Calls::request(Method::PUT, &path), body).await.is(400, "broken-body", "stream reset");
    let there = calls.head(&path).await;
    there.status(404);
    assert_eq!(there.headers[UPLOAD_OFFSET], "4");

    let rest = async |offset: &str, body: &'static str| {
        calls.send(Calls::request(Method::PUT, &path).header(UPLOAD_OFFSET, offset), Body::full(body)).await
    };
    let refused = rest("3", " two three").await;
    refused.is(409, "other-offset", "4 byte(s)");
    assert_eq!(refused.headers[UPLOAD_OFFSET], "4");
    rest("x", "").await.is(400, "invalid-offset", "number of bytes");
    rest("4", "two three").await.status(201);
    calls.head(&path).await.status(200);
    rest("4", "two three").await.status(200);

    let other = format!("/v1/blobs/{}", Digest::of(b"other"));
    calls.put(&other, Bytes::from_static(b"wrong")).await.is(422, "other-digest", &Digest::of(b"wrong").to_string());
    calls.head(&other).await.status(404);
    calls.put("/v1/blobs/xyz", Bytes::new()).await.is(404, "no-such-blob", "`xyz` is not a digest");
    let huge = Calls::request(Method::PUT, &other).header(UPLOAD_OFFSET, "536870912");
    calls.send(huge, Body::full("x")).await.is(413, "too-large", "512MiB");
}

#[tokio::test]
async fn an_upload_waits_for_another_of_the_same() {
    let calls = Calls::new();
    let digest = Digest::of(b"one two");
    let path = format!("/v1/blobs/{digest}");
    let (mut sender, body) = Body::channel(1);
    let first = calls.send(Calls::request(Method::PUT, &path), body);
    let finish = async {
        // The first has begun once its body is read.
        sender.send_data("one ".into()).await.unwrap();
        sender.send_data("two".into()).await.unwrap();
        sender.finish().await.unwrap();
    };
    let second = calls.put(&path, Bytes::from_static(b"one two"));
    let (first, second, ()) = tokio::join!(first, second, finish);
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::CREATED]);
}

#[tokio::test]
async fn tokens_are_checked_before_all_else() {
    let calls = Calls::new();
    calls.store.publish("shop", "\"a.example\"", 1).unwrap();
    let tokens = calls.store.control.tokens();
    let make = |scopes: &[Scope], sites| tokens.make("ci", scopes.to_vec(), sites, Duration::from_secs(60));
    let all = || Sites::All(Star::Star);
    let only = |name: &str| Sites::Only(vec![site(name)]);
    let purge = async |field: Option<&str>| {
        let mut request =
            Request::builder().method(Method::POST).uri("/v1/sites/shop/purge").header("host", "localhost");
        if let Some(field) = field {
            request = request.header(header::AUTHORIZATION, field);
        }
        // Nobody without a token gets us to read a body.
        calls.send(request, Body::channel(1).1).await
    };
    let none = purge(None).await;
    none.is(401, "no-valid-token", "Authorization: Bearer");
    assert_eq!(none.headers[header::WWW_AUTHENTICATE], "Bearer");
    let wrong = purge(Some("Bearer junk")).await;
    wrong.is(401, "no-valid-token", "can't be read");
    assert_eq!(wrong.headers[header::WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
    purge(Some("Basic YTpi")).await.is(401, "no-valid-token", "can't be read");
    let reader = make(&[Scope::Read, Scope::Publish], all());
    purge(Some(&format!("Bearer {reader}"))).await.is(403, "not-allowed", "lacks the scope `purge`");
    let other = make(&[Scope::Purge], only("other"));
    purge(Some(&format!("Bearer {other}"))).await.is(403, "not-allowed", "not good for the site `shop`");
    let good = make(&[Scope::Purge], only("shop"));
    purge(Some(&format!("bearer {good}"))).await.is(415, "unsupported-type", "application/json");

    let get = async |token: &str, path: &str| {
        let field = format!("Bearer {token}");
        let request = Request::builder().uri(path).header("host", "localhost").header(header::AUTHORIZATION, field);
        calls.send(request, Body::empty()).await
    };
    calls.store.publish("other", "\"b.example\"", 1).unwrap();
    let reader = make(&[Scope::Read], only("shop"));
    assert_eq!(get(&reader, "/v1/sites").await.json().as_array().unwrap().len(), 1);
    get(&reader, "/v1/stats?site=shop").await.status(200);
    get(&reader, "/v1/stats?site=other").await.is(403, "not-allowed", "`other`");
    get(&reader, "/v1/stats").await.is(403, "not-allowed", "name one");
    get(&reader, "/v1/sites/other/releases").await.is(403, "not-allowed", "`other`");
    get(&reader, "/v1/nodes").await.status(200);
    let admin = calls.store.control.token_file();
    let admin = std::fs::read_to_string(admin).unwrap();
    get(admin.trim(), "/v1/sites").await.status(200);
}

#[tokio::test]
async fn looking_on() {
    let calls = Calls::new();
    calls.store.publish("shop", "\"a.example\"", 1).unwrap();
    let _node = join(&calls, "edge-1");
    let stats = calls.get("/v1/stats?site=shop&window=1m").await;
    stats.status(200);
    assert_eq!(stats.json()["window_seconds"], 60);
    assert_eq!(calls.get("/v1/stats").await.json()["window_seconds"], 300);
    calls.get("/v1/stats?site=other").await.is(404, "no-such-site", "`other`");
    calls.get("/v1/stats?site=%22").await.is(400, "invalid-query", "not a site name");
    calls.get("/v1/stats?window=5").await.is(400, "invalid-query", "`5`");
    calls.get("/v1/stats?window=2h").await.is(400, "invalid-query", "from 1s to 1h");
    calls.get("/v1/stats?sites=shop").await.is(400, "invalid-query", "`sites`");
    for open in ["/metrics", "/healthz", "/readyz", "/v1/openapi.json", "/"] {
        let request = Request::builder().uri(open).header("host", "localhost");
        let answer = calls.send(request, Body::empty()).await;
        answer.status(200);
        assert_eq!(
            (&answer.headers["x-content-type-options"], &answer.headers["cache-control"]),
            (&"nosniff".parse().unwrap(), &"no-store".parse().unwrap())
        );
    }
    let metrics = calls.get("/metrics").await;
    assert!(metrics.text().contains("holm_purge_applied_seq{node=\"edge-1\"} 0"), "{}", metrics.text());
    assert!(calls.get("/").await.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let calls = Calls::new();
    let odd = async |method: Method, path: &str| calls.send(Calls::request(method, path), Body::empty()).await;
    odd(Method::GET, "/v2").await.is(404, "not-found", "nothing at /v2");
    odd(Method::GET, "/v1/sites/shop/releases/").await.is(404, "not-found", "nothing at");
    odd(Method::GET, "/v1/sites/Shop/releases").await.is(404, "no-such-site", "`Shop`");
    odd(Method::GET, "/v1/sites/%ff/releases").await.is(404, "not-found", "site");
    odd(Method::HEAD, "/v1/blobs/%ff").await.status(404);
    let answer = odd(Method::PATCH, "/v1/sites/shop/active").await;
    answer.is(405, "method-not-allowed", "takes no PATCH");
    assert_eq!(answer.headers[header::ALLOW], "PUT");
    odd(Method::GET, "/v1/sites/shop/active").await.is(405, "method-not-allowed", "takes no GET");
}

#[tokio::test]
async fn a_loopback_listener_answers_to_its_own_names() {
    let calls = Calls::with(ApiOptions { hosts: vec!["holm.test".to_owned()], ..ApiOptions::default() });
    let check = async |local: &str, uri: &str, host: Option<&str>, status: u16| {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        let answer = calls.send_at(request, Body::empty(), local).await;
        assert_eq!(answer.status.as_u16(), status, "{local} {uri} {host:?}");
    };
    check("127.0.0.1:8081", "/healthz", Some("127.0.0.1:8081"), 200).await;
    check("127.0.0.1:8081", "/healthz", Some("LOCALHOST:9"), 200).await;
    check("127.0.0.1:8081", "/healthz", Some("admin.localhost"), 200).await;
    check("[::1]:8081", "/healthz", Some("[::1]:8081"), 200).await;
    check("127.0.0.1:8081", "/healthz", Some("holm.test"), 200).await;
    check("127.0.0.1:8081", "http://127.0.0.1:8081/healthz", None, 200).await;
    check("127.0.0.1:8081", "/healthz", Some("evil.example:8081"), 421).await;
    check("127.0.0.1:8081", "http://evil.example/healthz", None, 421).await;
    check("127.0.0.1:8081", "/healthz", Some("10.0.0.1"), 421).await;
    check("127.0.0.1:8081", "/healthz", None, 421).await;
    check("[::ffff:127.0.0.1]:8081", "/healthz", Some("evil.example"), 421).await;
    check("10.0.0.1:8081", "/healthz", Some("evil.example"), 200).await;
}

/// Each declared operation is served, behind its scope, and by no other method.
#[tokio::test]
async fn every_operation_is_served_behind_its_scope() {
    let calls = Calls::new();
    let wrong =
        calls.store.control.tokens().make("ci", vec![Scope::Kv], Sites::All(Star::Star), Duration::from_secs(60));
    for operation in OPERATIONS {
        let digest = Digest::of(b"x").to_string();
        let path = operation.path.replace("{site}", "shop").replace("{digest}", &digest);
        let method: Method = operation.method.to_ascii_uppercase().parse().unwrap();
        let ask = async |token: Option<&str>| {
            let mut request = Request::builder().method(method.clone()).uri(&path).header("host", "localhost");
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            calls.send(request, Body::empty()).await.status
        };
        let open = operation.scopes.is_empty();
        assert_eq!(ask(None).await == StatusCode::UNAUTHORIZED, !open, "{method} {path}");
        assert_eq!(ask(Some(&wrong)).await == StatusCode::FORBIDDEN, !open, "{method} {path}");
        assert_ne!(ask(Some(&calls.token())).await, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    }
}
