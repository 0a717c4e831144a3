//! Header and trailer fields: which cross the chain, which are written on the way, and which stay where they belong.

use std::sync::Mutex;

use holm_e2e::{Fields, Holm, Origin, Protocol, ask, get, ok};

#[test]
fn what_the_origin_is_told_of_the_client() {
    let origin = Origin::start(|_, exchange| ok(exchange, "x"));
    let holm = Holm::before(origin.url());
    for protocol in Protocol::ALL {
        let path = format!("/{protocol:?}");
        let request = get(&path)
            .fields(&[
                ("x-forwarded-for", "6.6.6.6"),
                ("x-forwarded-proto", "gopher"),
                ("x-forwarded-host", "evil.example"),
                ("forwarded", "for=6.6.6.6"),
                ("cdn-loop", "other"),
                ("via", "1.1 mine"),
                ("x-own", "kept"),
                ("accept-encoding", "gzip"),
            ])
            .over(protocol);
        holm.ask(&request).expect(200);
        let told = origin.last(&path).fields;
        let own = if protocol == Protocol::Http1 { holm.http() } else { holm.https() };
        let check = |name: &str, expected: &[&str]| {
            assert_eq!(told.all(name).collect::<Vec<_>>(), expected, "{name} over {protocol:?} in:\n{told:?}");
        };
        check("host", &[own]);
        check("x-forwarded-for", &["127.0.0.1"]);
        check("x-forwarded-proto", &[if protocol == Protocol::Http1 { "http" } else { "https" }]);
        check("x-forwarded-host", &[own]);
        check("forwarded", &[]);
        check("x-own", &["kept"]);
        let hop = match protocol {
            Protocol::Http1 | Protocol::Https1 => "1.1 holm-edge",
            Protocol::Http2 => "2 holm-edge",
            Protocol::Http3 => "3 holm-edge",
        };
        check("via", &["1.1 mine", hop, "3 holm-shield"]);
        check("cdn-loop", &["other", "holm"]);
    }
}

#[test]
fn a_request_that_goes_in_circles_is_ended() {
    let origin = Origin::start(|_, exchange| ok(exchange, "x"));
    let holm = Holm::before(origin.url());
    let response = holm.ask(&get("/").field("cdn-loop", "holm, holm, holm")).expect(508);
    assert!(response.cache().ends_with("detail=loop"), "{}", response.show());
    assert_eq!(origin.asked("/"), 0);
}

#[test]
fn what_concerns_one_connection_does_not_cross() {
    let origin = Origin::start(|_, exchange| {
        let fields = [
            ("connection", "x-listed, keep-alive"),
            ("x-listed", "origin's"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("upgrade", "h2c"),
            ("x-kept", "1"),
            ("cache-control", "max-age=60"),
        ];
        exchange.reply(200, &fields, "x")
    });
    let holm = Holm::before(origin.url());
    for protocol in [Protocol::Http1, Protocol::Https1] {
        let path = format!("/{protocol:?}");
        let request = get(&path)
            .fields(&[
                ("connection", "x-listed, x-absent, close"),
                ("x-listed", "client's"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "keep-alive"),
                ("proxy-authorization", "Basic x"),
                ("te", "gzip, trailers"),
                ("x-kept", "1"),
            ])
            .over(protocol);
        let response = holm.ask(&request).expect(200);
        let told = origin.last(&path).fields;
        for name in
            ["x-listed", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "upgrade"]
        {
            assert!(!told.has(name), "{name} reached the origin:\n{told:?}");
            assert!(!response.fields.has(name), "{name} reached the client: {}", response.show());
        }
        assert_eq!((told.get("x-kept"), response.fields.get("x-kept")), ("1", "1"));
        assert!(["", "trailers"].contains(&told.get("te")), "{told:?}");
        assert!(!told.get("connection").contains("x-"), "{told:?}");
    }
}

#[test]
fn what_tiers_tell_each_other_stays_with_them() {
    let internal = [
        ("holm-as-of", "999"),
        ("holm-site", "other"),
        ("holm-scheme", "https"),
        ("holm-upgrade", "websocket"),
        ("holm-upgraded", "1"),
        ("holm-reason", "tls"),
    ];
    let origin = Origin::start(move |_, exchange| {
        let fields = [
            ("cache-control", "max-age=60"),
            ("surrogate-key", "a b"),
            ("cache-tag", "c"),
            ("surrogate-control", "max-age=5"),
            ("cdn-cache-control", "max-age=70"),
            ("cache-status", "origin; hit"),
        ];
        exchange.reply(200, &[&fields[..], &internal[..]].concat(), "x")
    });
    let holm = Holm::before(origin.url());
    for protocol in Protocol::VERSIONS {
        let path = format!("/{protocol:?}");
        let request = get(&path).fields(&internal).over(protocol);
        // A miss, then a hit; then what is not looked up at all.
        for request in [request.clone(), request.clone(), ask("POST", &path).fields(&internal).body("y").over(protocol)]
        {
            let response = holm.ask(&request).expect(200);
            let told = origin.last(&path).fields;
            for names in [told.names().collect::<Vec<_>>(), response.fields.names().collect()] {
                assert!(!names.iter().any(|name| name.starts_with("holm-")), "{names:?}");
            }
            for name in ["surrogate-key", "cache-tag", "surrogate-control", "cdn-cache-control"] {
                assert!(!response.fields.has(name), "{name} reached the client: {}", response.show());
            }
            assert!(response.cache().starts_with("holm-edge;"), "{}", response.show());
        }
    }
    // `CDN-Cache-Control` is for us (RFC 9213), and obeyed.
    holm.ask(&get("/ttl")).expect_miss("stored");
    let ttl = holm.ask(&get("/ttl")).expect_hit().ttl();
    assert!(matches!(ttl, Some(61..=70)), "{ttl:?}");
}

#[test]
fn fields_of_a_response_keep_their_number_and_order() {
    let origin = Origin::start(|_, exchange| {
        let fields = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("link", "<a>"), ("link", "<b>"), ("x-empty", "")];
        exchange.reply(200, &fields, "x")
    });
    let holm = Holm::before(origin.url());
    for protocol in Protocol::VERSIONS {
        let response = holm.ask(&get("/").over(protocol)).expect(200);
        assert_eq!(response.fields.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"], "{}", response.show());
        assert_eq!(response.fields.all("link").collect::<Vec<_>>(), ["<a>", "<b>"], "{}", response.show());
        assert!(response.fields.has("x-empty"), "{}", response.show());
    }
}

#[test]
fn trailers_of_a_response() {
    let origin = Origin::start(|asked, exchange| {
        let cache = if asked.path() == "/stored" { "max-age=60" } else { "no-store" };
        exchange.head(200, &[("transfer-encoding", "chunked"), ("trailer", "x-sum"), ("cache-control", cache)])?;
        exchange.chunk("hello, ")?;
        exchange.chunk("world")?;
        exchange.end_chunks(&[("x-sum", "12")])
    });
    let holm = Holm::before(origin.url());
    for protocol in Protocol::ALL {
        for path in ["/stored", "/passed"] {
            let request = get(format!("{path}?{protocol:?}")).field("te", "trailers").over(protocol);
            let response = holm.ask(&request).expect(200);
            assert_eq!(response.text(), "hello, world", "{}", response.show());
            assert_eq!(response.trailers.get("x-sum"), "12", "{path}: {}", response.show());
        }
    }
}

#[test]
fn trailers_of_a_request() {
    let seen = std::sync::Arc::new(Mutex::new((Vec::new(), Fields::default())));
    let seeing = std::sync::Arc::clone(&seen);
    let origin = Origin::start(move |_, exchange| {
        let content = exchange.content()?;
        *seeing.lock().expect("unpoisoned") = (content, exchange.trailers().clone());
        exchange.reply(204, &[], "")
    });
    let holm = Holm::before(origin.url());
    let check = |what: &str| {
        let (content, trailers) = std::mem::take(&mut *seen.lock().expect("unpoisoned"));
        assert_eq!(String::from_utf8_lossy(&content), "hello", "{what}");
        assert_eq!(trailers.get("x-sum"), "5", "{what}: {trailers:?}");
    };
    let over_h3 =
        ask("PUT", "/h3").chunked("hello").trailer("x-sum", "5").field("trailer", "x-sum").over(Protocol::Http3);
    holm.ask(&over_h3).expect(204);
    check("HTTP/3");
    let answer = holm
        .raw()
        .send(
            "PUT /h1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nconnection: close\r\n\r\n\
             2\r\nhe\r\n3\r\nllo\r\n0\r\nx-sum: 5\r\n\r\n",
        )
        .until_closed();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    check("HTTP/1.1");
}
