//! Uploads: content on its way to the origin.

use holm_e2e::{Holm, Nginx, Origin, Pattern, Protocol, ask, sha256};

/// An origin that answers with what it got.
fn telling() -> Origin {
    Origin::start(|asked, exchange| {
        let content = exchange.content()?;
        let told = format!("{} {} {}", asked.method, content.len(), sha256(&content));
        exchange.reply(200, &[("cache-control", "max-age=60")], told)
    })
}

#[test]
fn content_of_every_method_and_size() {
    let origin = telling();
    let holm = Holm::before(origin.url());
    for protocol in Protocol::ALL {
        for (method, size) in [("POST", 0), ("POST", 1), ("PUT", 100_000), ("PATCH", 3_000_000), ("DELETE", 10)] {
            let content = Pattern::new(size).bytes();
            let expected = format!("{method} {size} {}", sha256(&content));
            for chunked in [false, true] {
                let request = ask(method, "/").over(protocol);
                let request = if chunked { request.chunked(content.clone()) } else { request.body(content.clone()) };
                let response = holm.ask(&request).expect(200).expect_miss("fwd=method");
                assert_eq!(response.text(), expected, "chunked: {chunked}: {}", response.show());
                assert!(response.cache().contains("detail=method"), "{}", response.show());
            }
        }
    }
}

#[test]
fn a_length_that_is_told_is_told_on() {
    let origin = telling();
    let holm = Holm::before(origin.url());
    for protocol in Protocol::ALL {
        holm.ask(&ask("POST", "/told").body("hello").over(protocol)).expect(200);
        assert_eq!(origin.last("/told").fields.get("content-length"), "5", "{protocol:?}");
        holm.ask(&ask("POST", "/untold").chunked("hello").over(protocol)).expect(200);
        let fields = origin.last("/untold").fields;
        assert_eq!((fields.get("content-length"), fields.get("transfer-encoding")), ("", "chunked"), "{protocol:?}");
    }
}

#[test]
fn content_is_awaited_where_the_client_expects_so() {
    let origin = telling();
    let holm = Holm::before(origin.url());
    for protocol in [Protocol::Http1, Protocol::Https1] {
        let content = Pattern::new(200_000).bytes();
        let request = ask("PUT", "/").body(content.clone()).field("expect", "100-continue").over(protocol);
        // curl sends the content on 100, or after this many seconds: far more than it may take.
        let response = holm.curl(&request).args(&["--expect100-timeout", "20"]).run().expect(200);
        assert_eq!(response.interim.first().map(|(status, _)| *status), Some(100), "{}", response.show());
        assert_eq!(response.text(), format!("PUT 200000 {}", sha256(&content)));
        assert!(!origin.last("/").fields.has("expect"), "the expectation ends at the edge, which reads the content");
    }
}

#[test]
fn an_answer_before_the_content_is_sent() {
    // nginx refuses at the head, and reads on for a while so that its answer is not lost.
    let nginx = Nginx::start("client_max_body_size 1k; location / { proxy_pass http://127.0.0.1:9; }");
    let holm = Holm::before(nginx.url());
    let content = Pattern::new(20_000_000).bytes();
    for protocol in Protocol::VERSIONS {
        let response = holm.ask(&ask("PUT", "/").body(content.clone()).over(protocol));
        assert_eq!((response.status, response.text().contains("nginx")), (413, true), "{}", response.show());
    }
}
