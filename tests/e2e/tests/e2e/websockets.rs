//! WebSocket: a connection that leaves HTTP, through both tiers.

use holm_e2e::{EchoServer, Holm, Nginx, Origin, Protocol, get, websocket};

#[test]
fn messages_and_close_codes_cross_the_chain() {
    let server = EchoServer::start();
    let holm = Holm::before(server.url());
    let (clear, secure) = (format!("ws://{}/chat?a=1", holm.http()), format!("wss://{}/chat?a=1", holm.https()));
    for url in [clear, secure] {
        let told = websocket(&url, &holm.ca_file());
        assert_eq!(told["text"], "grüße", "{url}");
        assert_eq!(told["path"], "/chat?a=1", "{url}");
        assert_eq!((&told["binary"], &told["in_order"]), (&true.into(), &true.into()), "{url}");
        assert_eq!(told["deflate"], true, "{url}: extensions are negotiated end to end");
        assert_eq!((&told["close"], &told["reason"]), (&4001.into(), &"as asked".into()), "{url}");
        let headers = told["headers"].as_str().expect("text").to_lowercase();
        let forwarded = format!("x-forwarded-proto: {}", if url.starts_with("wss") { "https" } else { "http" });
        for line in ["x-forwarded-for: 127.0.0.1", &forwarded, "cdn-loop: holm"] {
            assert!(headers.contains(line), "{line} is missing in {headers}");
        }
        assert!(!headers.lines().any(|line| line.starts_with("holm-")), "{headers}");
    }
    // The node is none the worse for it.
    assert_eq!(holm.ask(&get("/")).status, 426);
}

#[test]
fn an_origin_that_does_not_switch_answers_as_ever() {
    let nginx = Nginx::start("add_header Cache-Control max-age=60;");
    nginx.file("a.txt", "hello");
    let holm = Holm::before(nginx.url());
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
    for protocol in [Protocol::Http1, Protocol::Https1] {
        let response = holm.ask(&get("/a.txt").fields(&upgrade).over(protocol)).expect(200);
        assert_eq!(response.text(), "hello");
        assert!(response.cache().contains("fwd=bypass"), "{}", response.show());
        holm.ask(&get("/none").fields(&upgrade).over(protocol)).expect(404);
    }
}

#[test]
fn any_protocol_is_switched_to_and_both_ends_may_close_first() {
    let origin = Origin::start(|asked, exchange| {
        use std::io::Write as _;
        exchange.head(101, &[("connection", "upgrade"), ("upgrade", asked.fields.get("upgrade"))])?;
        exchange.write_all(b"welcome\n")?;
        if asked.path() == "/waits" {
            exchange.wait_closed();
            exchange.write_all(b"goodbye\n")?;
        }
        exchange.close();
        Ok(())
    });
    let holm = Holm::before(origin.url());
    for path in ["/waits", "/leaves"] {
        let mut raw = holm
            .raw()
            .send(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: chatter/1\r\n\r\n"));
        let head = raw.until("\r\n\r\n").to_lowercase();
        assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: chatter/1"), "{head}");
        assert_eq!(raw.until("\n"), "welcome\n");
        let rest = if path == "/waits" { raw.send("bye\n").end().until_closed() } else { raw.until_closed() };
        assert_eq!(rest, if path == "/waits" { "goodbye\n" } else { "" }, "{path}");
    }
}
