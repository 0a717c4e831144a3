//! HTTP/1.1: requests that are refused, and responses that break off.

use crate::server::ServerLimits;
use crate::testing::Fixture;

/// Sends a head (`\n` stands for CRLF) and what follows; what comes back must have this status and close.
async fn check(server: &Fixture, request: &str, status: &str) {
    let mut client = server.connect().await;
    client.ask(request).await;
    let answer = client.rest().await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.100}: {answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{request:.100}: {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:.100}: {answer}");
}

#[tokio::test]
async fn refused_requests() {
    let server = Fixture::clear(ServerLimits::default());
    let post = "POST /count HTTP/1.1\nHost: a\n";
    check(&server, &format!("{post}Content-Length: 3\nTransfer-Encoding: chunked\n\nabc"), "400").await;
    check(&server, &format!("{post}Content-Length: 3\nContent-Length: 3\n\nabc"), "400").await;
    check(&server, &format!("{post}Content-Length: 3\nContent-Length: 4\n\nabc"), "400").await;
    check(&server, &format!("{post}Transfer-Encoding: gzip, chunked\n\n0\n"), "501").await;
    check(&server, "GET /hello HTTP/1.1", "400").await;
    check(&server, "GET /hello HTTP/1.1\nHost: a/b", "400").await;
    check(&server, "GET /hello HTTP/1.1\nHost: a\nHost: b", "400").await;
    check(&server, "GET http://user@b/target HTTP/1.1\nHost: b\nConnection: close", "400").await;
    check(&server, &format!("GET /hello HTTP/1.1\nHost: a\nX: {}", "x".repeat(70_000)), "431").await;
    check(&server, &format!("GET /hello HTTP/1.1\nHost: a{}", "\nX: x".repeat(200)), "431").await;
    check(&server, &format!("GET /{} HTTP/1.1\nHost: a", "x".repeat(20_000)), "414").await;
    check(&server, "PRI * HTTP/2.0\n\nSM", "505").await;
    check(&server, "hello\nthere", "400").await;
}

#[tokio::test]
async fn a_head_may_have_a_hundred_fields() {
    let server = Fixture::clear(ServerLimits::default());
    let mut client = server.connect().await;
    client.ask(&format!("GET /hello HTTP/1.1\nHost: a{}", "\nX: x".repeat(99))).await;
    assert_eq!(client.answer().await, "200 hello");
    check(&server, &format!("GET /hello HTTP/1.1\nHost: a{}", "\nX: x".repeat(100)), "431").await;
}

#[tokio::test]
async fn nothing_after_a_refused_head_is_a_request() {
    let server = Fixture::clear(ServerLimits::default());
    let smuggled = "GET /hello HTTP/1.1\nHost: a";
    let both = "Content-Length: 3\nTransfer-Encoding: chunked";
    check(&server, &format!("POST /count HTTP/1.1\nHost: a\n{both}\n\n0\n\n{smuggled}"), "400").await;
}

#[tokio::test]
async fn what_came_before_a_refused_head_is_answered() {
    let mut server = Fixture::clear(ServerLimits::default());
    let mut client = server.connect().await;
    client.ask("GET /slow HTTP/1.1\nHost: a\n\nGET /hello HTTP/1.1").await;
    assert_eq!(server.told().await, "slow");
    server.go();
    assert_eq!(client.answer().await, "200 slow");
    let rest = client.rest().await;
    assert!(rest.starts_with("HTTP/1.1 400 "), "{rest}");
}

#[tokio::test]
async fn an_answer_arrives_though_much_is_sent_after_it() {
    let server = Fixture::clear(ServerLimits::default());
    for head in ["POST /hello HTTP/1.1\nHost: a\nContent-Length: 4000000", "POST / HTTP/1.1\nContent-Length: 4000000"] {
        let mut client = server.connect().await;
        client.ask(head).await;
        client.send(vec![0; 4_000_000]).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 ") && !answer.contains('!'), "{head}: {answer}");
    }
}

#[tokio::test]
async fn what_breaks_off_is_reset() {
    let server = Fixture::clear(ServerLimits::default());
    let check = async |request: &str| {
        let mut client = server.connect().await;
        client.ask(request).await;
        let answer = client.rest().await;
        assert!(answer.ends_with("!ConnectionReset"), "{request}: {answer}");
        assert!(!answer.contains("\r\n0\r\n"), "{request}: {answer}");
    };
    check("GET /broken HTTP/1.1\nHost: a").await;
    check("GET /broken HTTP/1.0").await;
    check("GET /short HTTP/1.1\nHost: a").await;
    check("GET /panic HTTP/1.1\nHost: a").await;
}

#[tokio::test]
async fn broken_uploads_are_errors_to_the_service() {
    let check = async |request: &str, expected: &str| {
        let mut server = Fixture::clear(ServerLimits::default());
        let mut client = server.connect().await;
        client.ask(request).await;
        drop(client);
        let told = server.told().await;
        assert!(told.contains(expected), "{request}: {told}");
    };
    check("POST /count HTTP/1.1\nHost: a\nContent-Length: 10\n\nabc", "then ").await;
    check("POST /count HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc", "3 then ").await;
    check("POST /count HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\nx\n", "3 then ").await;
}
