//! HTTP/1.1: what a well-behaved client sees.

use crate::server::ServerLimits;
use crate::testing::{Fixture, in_time};

async fn start() -> Fixture {
    Fixture::clear(ServerLimits::default())
}

#[tokio::test]
async fn connections_are_kept_and_requests_pipelined() {
    let server = start().await;
    let mut client = server.connect().await;
    let get = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    client.send([get, post, get].concat()).await;
    for expected in ["200 hello", "200 3", "200 hello"] {
        assert_eq!(client.answer().await, expected);
    }
    client.ask("GET /info HTTP/1.1\nHost: a").await;
    assert_eq!(client.answer().await, "200 h1");
    client.ask("GET /hello HTTP/1.1\nHost: a\nConnection: close").await;
    let last = client.rest().await;
    assert!(last.contains("connection: close\r\n") && last.ends_with("hello"), "{last}");
}

#[tokio::test]
async fn a_204_has_neither_body_nor_length() {
    let server = start().await;
    let mut client = server.connect().await;
    client.ask("GET /204 HTTP/1.1\nHost: a").await;
    let head = client.until("\r\n\r\n").await;
    // RFC 9110 §8.6, RFC 9112 §6.1.
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    client.ask("GET /hello HTTP/1.1\nHost: a").await;
    assert_eq!(client.answer().await, "200 hello");
}

#[tokio::test]
async fn old_clients() {
    let server = start().await;
    let mut client = server.connect().await;
    client.ask("GET /hello HTTP/1.0\nConnection: keep-alive").await;
    assert_eq!(client.answer().await, "200 hello");
    client.ask("GET /hello HTTP/1.0").await;
    let last = client.rest().await;
    assert!(last.starts_with("HTTP/1.0 200 OK\r\n") && last.ends_with("hello"), "{last}");
}

#[tokio::test]
async fn bodies_in_chunks() {
    let server = start().await;
    let mut client = server.connect().await;
    client.ask("POST /count HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTrailer: x").await;
    client.send("3\r\nabc\r\n").await;
    client.send("a;ext=1\r\n0123456789\r\n0\r\nx: y\r\n\r\n").await;
    assert_eq!(client.answer().await, "200 13+trailers");
    client.ask("GET /trailers HTTP/1.1\nHost: a\nTE: trailers\nConnection: te").await;
    assert!(client.until("\r\n\r\n").await.contains("transfer-encoding: chunked"));
    assert!(client.until("0\r\n").await.contains("4\r\ndata\r\n"));
}

#[tokio::test]
async fn interim_responses_on_demand() {
    let server = start().await;
    let mut client = server.connect().await;
    client.ask("POST /count HTTP/1.1\nHost: a\nContent-Length: 3\nExpect: 100-continue").await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc").await;
    assert_eq!(client.answer().await, "200 3");
    client.ask("POST /hello HTTP/1.1\nHost: a\nContent-Length: 3\nExpect: 100-continue").await;
    let last = client.rest().await;
    assert!(last.starts_with("HTTP/1.1 200 ") && last.ends_with("hello"), "nobody asked for the body: {last}");
}

#[tokio::test]
async fn heads_alone() {
    let server = start().await;
    let mut client = server.connect().await;
    client.ask("HEAD /hello HTTP/1.1\nHost: a").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.contains("content-length: 5\r\n"), "{head}");
    client.ask("GET /hello HTTP/1.1\nHost: a").await;
    assert_eq!(client.answer().await, "200 hello");
}

#[tokio::test]
async fn forms_of_the_target() {
    let server = start().await;
    let mut client = server.connect().await;
    let mut check = async |request: &str, expected: &str| {
        client.ask(request).await;
        assert_eq!(client.answer().await, expected, "{request}");
    };
    check("OPTIONS * HTTP/1.1\nHost: a", "200 all of it").await;
    check("GET /target?q HTTP/1.1\nHost: a:8", "200 GET /target?q a:8").await;
    check("GET http://b/target HTTP/1.1\nHost: a", "200 GET http://b/target a").await;
    check("CONNECT b:443 HTTP/1.1\nHost: b:443", "500 500 Internal Server Error: connect-accepted\n").await;
}

#[tokio::test]
async fn a_client_that_leaves_drops_its_request() {
    for head in ["GET /hang HTTP/1.1\nHost: a", "GET /hang HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: x"] {
        let mut server = start().await;
        let mut client = server.connect().await;
        client.ask(head).await;
        assert_eq!(server.told().await, "hanging");
        drop(client);
        assert_eq!(server.told().await, "left");
        server.emptied().await;
    }
}

#[tokio::test]
async fn upgrades_both_ways() {
    let mut server = start().await;
    let mut client = server.connect().await;
    // What is asked before is answered before; what is said ahead is heard.
    client
        .ask("GET /hello HTTP/1.1\nHost: a\n\nGET /upgrade HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: echo")
        .await;
    client.send("GET / HTTP/1.1\r\nis not a head").await;
    assert_eq!(client.answer().await, "200 hello");
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: echo\r\n"), "{head}");
    assert_eq!(client.exactly(29).await, "GET / HTTP/1.1\r\nis not a head");
    client.send([7_u8; 100_000]).await;
    assert_eq!(client.exactly(100_000).await.as_bytes(), [7; 100_000]);
    assert_eq!(server.shutdown.connections(), 1, "it is still counted");
    drop(client);
    assert_eq!(server.told().await, "upgraded connection ended");
    server.emptied().await;
}

#[tokio::test]
async fn upgrades_that_do_not_happen() {
    let server = start().await;
    let mut client = server.connect().await;
    let mut check = async |request: &str, expected: &str| {
        client.ask(request).await;
        client.ask("GET /hello HTTP/1.1\nHost: a").await;
        assert_eq!(client.answer().await, expected, "{request}");
        assert_eq!(client.answer().await, "200 hello", "after {request}");
    };
    check("GET /hello HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: echo", "200 hello").await;
    check("GET /upgrade HTTP/1.1\nHost: a\nUpgrade: echo", "200 not asked").await;
    check("GET /upgrade HTTP/1.0\nConnection: upgrade, keep-alive\nUpgrade: echo", "200 not asked").await;
    check("GET /slow-not-found HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: echo", "404 ").await;
    for path in ["/101", "/103"] {
        let mut client = server.connect().await;
        client.ask(&format!("GET {path} HTTP/1.1\nHost: a")).await;
        assert!(client.rest().await.starts_with("HTTP/1.1 500 "), "{path}");
    }
}

#[tokio::test]
async fn a_full_house_lets_wait() {
    let server = Fixture::clear(ServerLimits { connections: 1, ..ServerLimits::default() });
    let mut first = server.connect().await;
    first.ask("GET /hello HTTP/1.1\nHost: a").await;
    assert_eq!(first.answer().await, "200 hello");
    let mut second = server.connect().await;
    second.ask("GET /hello HTTP/1.1\nHost: a").await;
    first.ask("GET /hello HTTP/1.1\nHost: a").await;
    assert_eq!(first.answer().await, "200 hello");
    assert_eq!(server.shutdown.connections(), 1);
    drop(first);
    assert_eq!(in_time(second.answer()).await, "200 hello");
}
