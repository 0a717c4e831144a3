//! HTTP/1.1 and HTTP/2: clients that let the server wait.

use std::time::Duration;

use crate::server::ServerLimits;
use crate::testing::Fixture;

const SOON: Duration = Duration::from_millis(100);

#[tokio::test]
async fn heads_that_do_not_come() {
    let server = Fixture::clear(ServerLimits { head: SOON, ..ServerLimits::default() });
    assert_eq!(server.connect().await.rest().await, "");
    let mut slow = server.connect().await;
    slow.send("GET /hello HT").await;
    let answer = slow.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let mut second = server.connect().await;
    second.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hel").await;
    assert_eq!(second.answer().await, "200 hello");
    let answer = second.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn connections_without_a_request() {
    let server = Fixture::clear(ServerLimits { idle: SOON, ..ServerLimits::default() });
    let mut client = server.connect().await;
    client.ask("GET /hello HTTP/1.1\nHost: a").await;
    assert_eq!(client.answer().await, "200 hello");
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_service_may_take_its_time() {
    let limits = ServerLimits { idle: SOON, head: SOON, stall: SOON, ..ServerLimits::default() };
    let mut server = Fixture::clear(limits);
    let mut client = server.connect().await;
    client.ask("GET /slow HTTP/1.1\nHost: a").await;
    assert_eq!(server.told().await, "slow");
    // Longer than any limit: that time passes is what is tested.
    tokio::time::sleep(3 * SOON).await;
    server.go();
    assert_eq!(client.answer().await, "200 slow");
}

#[tokio::test]
async fn bodies_that_do_not_come() {
    let mut server = Fixture::clear(ServerLimits { stall: SOON, ..ServerLimits::default() });
    let mut client = server.connect().await;
    client.ask("POST /count HTTP/1.1\nHost: a\nContent-Length: 10\n\nab").await;
    let answer = client.rest().await;
    assert_eq!(answer, "!ConnectionReset");
    server.seen.close();
    server.emptied().await;
}

#[tokio::test]
async fn responses_that_nobody_takes() {
    let server = Fixture::clear(ServerLimits { stall: SOON, ..ServerLimits::default() });
    let mut client = server.connect().await;
    client.ask("GET /endless HTTP/1.1\nHost: a").await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
    server.emptied().await;
}
