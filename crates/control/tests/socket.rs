//! The API on a socket, as a client sees it that knows nothing of ours: refusals are whole, and the connection goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use holm_control::Control;
use holm_control::admin::AdminServer;
use holm_telemetry::Telemetry;

/// One HTTP/1.1 connection.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(server: &AdminServer) -> Self {
        let stream = TcpStream::connect(server.addr()).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        Self(BufReader::new(stream))
    }

    /// Sends a request; gives the status line and the fields, and the body.
    fn ask(&mut self, request: &str) -> (String, String) {
        self.0.get_mut().write_all(request.as_bytes()).expect("sent");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).expect("a line"), 0, "closed after {head:?}");
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; if request.starts_with("HEAD") { 0 } else { length }];
        self.0.read_exact(&mut body).expect("a body");
        (head, String::from_utf8(body).expect("text"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_bears_refusals_and_answers() {
    let dir = tempfile::tempdir().expect("a folder");
    let control = Control::open(dir.path(), Telemetry::new()).expect("a store");
    let server = AdminServer::start("127.0.0.1:0".parse().expect("an address"), &control).expect("a server");
    let token = std::fs::read_to_string(control.token_file()).expect("a token");
    let asking = tokio::task::spawn_blocking(move || {
        let mut connection = Connection::open(&server);
        let mut check = |request: &str, status: &str, field: &str, body: &str| {
            let (head, text) = connection.ask(request);
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{request:?}: {head}");
            assert!(head.contains(field), "{request:?}: {head}, expected {field}");
            assert!(text.contains(body), "{request:?}: {text}, expected {body}");
        };
        let token = token.trim();
        let local = "Host: localhost";
        let bearer = format!("Authorization: Bearer {token}");
        let json = "Content-Type: application/json";
        let problem = "content-type: application/problem+json";
        check(&format!("GET /healthz HTTP/1.1\r\n{local}\r\n\r\n"), "200", "content-length: 3", "ok");
        check(&format!("GET /v1/sites HTTP/1.1\r\n{local}\r\n\r\n"), "401", "www-authenticate: bearer", "token");
        check("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421", problem, "evil.example");
        check(&format!("GET /nothing HTTP/1.1\r\n{local}\r\n\r\n"), "404", problem, "/nothing");
        check(&format!("DELETE /v1/stats HTTP/1.1\r\n{local}\r\n\r\n"), "405", "allow: get,head", "DELETE");
        check(&format!("GET /v1/sites HTTP/1.1\r\n{local}\r\n{bearer}\r\n\r\n"), "200", "application/json", "[]");
        let post = format!("POST /v1/sites/shop/purge HTTP/1.1\r\n{local}\r\n{bearer}\r\n{json}\r\nContent-Length: ");
        check(&format!("{post}3\r\n\r\n{{x}}"), "400", problem, "line 1 column 2");
        check(&format!("{post}12\r\n\r\n{{\"all\":true}}"), "404", problem, "no site named `shop`");
        let digest = "00".repeat(32);
        check(&format!("HEAD /v1/blobs/{digest} HTTP/1.1\r\n{local}\r\n{bearer}\r\n\r\n"), "404", problem, "");
        check(
            &format!("GET / HTTP/1.1\r\n{local}\r\n\r\n"),
            "200",
            "content-security-policy: default-src 'none'",
            "<title>",
        );
        server
    });
    let server = asking.await.expect("answered");
    assert_eq!(server.drain(Duration::from_secs(5)).await.expect("served"), 0);
}
