//! Shutting down: no request is lost, and nothing stays.

use std::time::Duration;

use crate::server::ServerLimits;
use crate::shutdown::Shutdown;
use crate::testing::{Fixture, Raw, in_time, listener};

#[tokio::test]
async fn a_request_under_way_is_answered() {
    let mut server = Fixture::clear(ServerLimits::default());
    let mut client = server.connect().await;
    client.ask("GET /slow HTTP/1.1\nHost: a").await;
    assert_eq!(server.told().await, "slow");
    server.shutdown.begin();
    server.go();
    let answer = client.rest().await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("slow"), "{answer}");
    server.ended().await;
}

#[tokio::test]
async fn waiting_connections_are_taken_in() {
    let (socket, shutdown) = (listener(), Shutdown::new());
    let addr = socket.local_addr().expect("an address");
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Raw::connect(addr).await;
        client.ask("GET /hello HTTP/1.1\nHost: a").await;
        clients.push(client);
    }
    shutdown.begin();
    let server = Fixture::on(socket, None, ServerLimits { connections: 2, ..ServerLimits::default() }, shutdown);
    for client in clients {
        let answer = client.rest().await;
        assert!(answer.contains("connection: close\r\n") && answer.ends_with("hello"), "{answer}");
    }
    server.ended().await;
}

#[tokio::test]
async fn idle_connections_close_at_once() {
    let server = Fixture::clear(ServerLimits::default());
    let mut used = server.connect().await;
    used.ask("GET /hello HTTP/1.1\nHost: a").await;
    assert_eq!(used.answer().await, "200 hello");
    server.shutdown.begin();
    let closed = tokio::time::timeout(Duration::from_millis(500), used.rest()).await;
    assert_eq!(closed.expect("at once"), "");
    server.ended().await;
}

#[tokio::test]
async fn a_connection_may_still_bring_its_first_request() {
    let server = Fixture::clear(ServerLimits::default());
    let (silent, mut late) = (server.connect().await, server.connect().await);
    // Both are accepted once a third one is answered.
    let mut third = server.connect().await;
    third.ask("GET /hello HTTP/1.1\nHost: a").await;
    assert_eq!(third.answer().await, "200 hello");
    server.shutdown.begin();
    assert_eq!(third.rest().await, "");
    late.ask("GET /hello HTTP/1.1\nHost: a").await;
    let answer = late.rest().await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("hello"), "{answer}");
    assert_eq!(in_time(silent.rest()).await, "");
    server.ended().await;
}

#[tokio::test]
async fn a_request_that_has_begun_to_arrive_is_answered() {
    let server = Fixture::clear(ServerLimits::default());
    let mut client = server.connect().await;
    client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /info HT").await;
    assert_eq!(client.answer().await, "200 hello");
    server.shutdown.begin();
    // So the server has noticed.
    Raw::until_refused(server.addr).await;
    client.send("TP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("h1"), "{answer}");
    server.ended().await;
}

#[tokio::test]
async fn a_connection_that_has_left_http_is_waited_for() {
    let server = Fixture::clear(ServerLimits::default());
    let mut client = server.connect().await;
    client.ask("GET /upgrade HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: echo").await;
    client.until("\r\n\r\n").await;
    server.shutdown.begin();
    Raw::until_refused(server.addr).await;
    client.send("still here").await;
    assert_eq!(client.exactly(10).await, "still here");
    assert_eq!(server.shutdown.connections(), 1);
    drop(client);
    server.ended().await;
}
