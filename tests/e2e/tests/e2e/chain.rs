//! The chain: what crosses edge and shield between a client and nginx, over every protocol.

use holm_e2e::{Holm, Nginx, Pattern, Protocol, Response, get, head};

/// nginx with files that are fresh for a minute, and `holm up` before it.
fn chain() -> (Nginx, Holm) {
    let nginx = Nginx::start("add_header Cache-Control max-age=60;");
    let holm = Holm::before(nginx.url());
    (nginx, holm)
}

#[test]
fn a_miss_then_hits_over_every_protocol() {
    let (nginx, holm) = chain();
    let content = Pattern::new(100_000).bytes();
    nginx.file("a.txt", &content);
    let mut etags = Vec::new();
    for (protocol, hit) in
        [(Protocol::Http1, false), (Protocol::Https1, false), (Protocol::Http2, true), (Protocol::Http3, true)]
    {
        let response = holm.ask(&get("/a.txt").over(protocol)).expect(200);
        // The scheme is part of the key: the two that share one share what is stored.
        let response =
            if hit { response.expect_hit() } else { response.expect_miss("fwd=uri-miss; fwd-status=200; stored") };
        assert!(response.body == content, "{}", response.show());
        check_common(&response);
        etags.push(response.fields.get("etag").to_owned());
        let again = holm.ask(&get("/a.txt").over(protocol)).expect(200).expect_hit();
        assert!(again.body == content && matches!(again.ttl(), Some(1..=60)), "{}", again.show());
        check_common(&again);
    }
    assert!(etags[0].starts_with('"') && etags.iter().all(|etag| *etag == etags[0]), "{etags:?}");
    assert_eq!(nginx.asked("/a.txt"), 2, "one fetch for each scheme");
}

/// What every response from the chain bears.
#[track_caller]
fn check_common(response: &Response) {
    let show = response.show();
    let fields = &response.fields;
    let version = match response.protocol {
        Protocol::Http1 | Protocol::Https1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
        Protocol::Http3 => "HTTP/3",
    };
    assert_eq!(response.version, version, "{show}");
    assert_eq!(fields.all("via").collect::<Vec<_>>(), ["1.1 holm-shield", "3 holm-edge"], "{show}");
    assert_eq!(fields.all("date").count(), 1, "{show}");
    assert!(fields.get("age").parse::<u64>().is_ok_and(|age| age < 60), "{show}");
    assert_eq!(fields.get("content-length"), "100000", "{show}");
    // RFC 7838: told to those who could do better.
    let told = matches!(response.protocol, Protocol::Https1 | Protocol::Http2);
    assert_eq!(fields.get("alt-svc").starts_with("h3=\":"), told, "{show}");
    assert!(!fields.names().any(|name| name.starts_with("holm-")), "{show}");
}

#[test]
fn head_has_the_fields_of_get() {
    let (nginx, holm) = chain();
    nginx.file("a.txt", "hello");
    for protocol in Protocol::VERSIONS {
        let (path, cold) = (format!("/a.txt?{protocol:?}"), head(format!("/a.txt?{protocol:?}")).over(protocol));
        let before = holm.ask(&cold).expect(200).expect_miss("fwd=uri-miss");
        holm.ask(&get(&path).over(protocol)).expect(200).expect_miss("fwd=uri-miss");
        let after = holm.ask(&cold).expect(200).expect_hit();
        for response in [before, after] {
            let show = response.show();
            assert_eq!((response.fields.get("content-length"), response.body.len()), ("5", 0), "{show}");
            assert_eq!(response.fields.get("content-type"), "text/plain", "{show}");
        }
    }
}

#[test]
fn ranges() {
    let (nginx, holm) = chain();
    let content = Pattern::new(1000).bytes();
    nginx.file("a.txt", &content);
    for protocol in Protocol::VERSIONS {
        // First what nginx says, then what the cache makes of the whole.
        for warm in [false, true] {
            let path = format!("/a.txt?{protocol:?}");
            if warm {
                holm.ask(&get(&path).over(protocol)).expect(200);
            }
            let check = |range: &str, status: u16, told: &str, expected: &[u8]| {
                let response = holm.ask(&get(&path).field("range", range).over(protocol)).expect(status);
                let show = response.show();
                assert_eq!(response.is_hit(), warm, "{range}: {show}");
                assert_eq!(response.fields.get("content-range"), told, "{range}: {show}");
                if status != 416 {
                    assert!(response.body == expected, "{range}: {show}");
                    assert_eq!(response.fields.get("content-length"), expected.len().to_string(), "{range}: {show}");
                }
            };
            check("bytes=0-9", 206, "bytes 0-9/1000", &content[..10]);
            check("bytes=990-", 206, "bytes 990-999/1000", &content[990..]);
            check("bytes=-16", 206, "bytes 984-999/1000", &content[984..]);
            check("bytes=500-5000", 206, "bytes 500-999/1000", &content[500..]);
            check("bytes=1000-", 416, "bytes */1000", &[]);
            check("lines=0-9", 200, "", &content);
        }
    }
}

#[test]
fn conditions() {
    let (nginx, holm) = chain();
    nginx.file("a.txt", "hello");
    for protocol in Protocol::VERSIONS {
        let path = format!("/a.txt?{protocol:?}");
        let whole = holm.ask(&get(&path).over(protocol)).expect(200);
        let (etag, modified) = (whole.fields.get("etag"), whole.fields.get("last-modified"));
        let check = |name: &str, value: &str, status: u16| {
            let response = holm.ask(&get(&path).field(name, value).over(protocol)).expect(status);
            let show = response.show();
            // RFC 9111 §4.3.2: what guards the state at the origin is for the origin.
            assert_eq!(response.is_hit(), name != "if-match", "{name}: {value}: {show}");
            if status == 304 {
                assert_eq!((response.fields.get("etag"), response.body.len()), (etag, 0), "{show}");
                assert!(response.fields.has("date") && response.fields.has("cache-control"), "{show}");
            }
        };
        check("if-none-match", etag, 304);
        check("if-none-match", &format!("\"x\", W/{etag}"), 304);
        check("if-none-match", "*", 304);
        check("if-none-match", "\"x\"", 200);
        check("if-modified-since", modified, 304);
        check("if-modified-since", "Mon, 01 Jan 2001 00:00:00 GMT", 200);
        check("if-match", etag, 200);
        check("if-match", "\"x\"", 412);
        let part = get(&path).fields(&[("range", "bytes=0-0"), ("if-range", etag)]).over(protocol);
        holm.ask(&part).expect(206);
        let part = get(&path).fields(&[("range", "bytes=0-0"), ("if-range", "\"x\"")]).over(protocol);
        holm.ask(&part).expect(200);
    }
    assert_eq!(nginx.asked("/a.txt?Http3"), 3, "the first, and the two for the origin to judge");
}

#[test]
fn an_origin_over_tls_and_http2() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    // The certificate of the origin: holm believes it because this machine's authorities are replaced by it.
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=origin", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(at("key.pem"))
        .arg("-out")
        .arg(at("cert.pem"))
        .output()
        .expect("openssl: run `cargo xtask setup`");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let nginx = Nginx::start_tls(&at("cert.pem"), &at("key.pem"), "add_header Cache-Control max-age=60;");
    let content = Pattern::new(3_000_000).bytes();
    nginx.file("a.bin", &content);
    let believing = Holm::up().args(&["--origin", &nginx.url()]).env("SSL_CERT_FILE", at("cert.pem")).start();
    for protocol in Protocol::VERSIONS {
        let response = believing.ask(&get("/a.bin").over(protocol)).expect(200);
        assert!(response.body == content, "{}", response.show());
        // The shield says how it was reached: 2, by ALPN.
        assert_eq!(response.fields.get("via"), "2 holm-shield", "{}", response.show());
    }
    assert_eq!(nginx.log(), ["GET /a.bin 200 HTTP/2.0"; 2]);
    let doubting = Holm::before(nginx.url());
    let response = doubting.ask(&get("/a.bin")).expect(502);
    assert!(response.cache().ends_with("detail=tls"), "{}", response.show());
}
