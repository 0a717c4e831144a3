//! Interim responses (RFC 9110 §15.2) from the origin through both tiers to clients of every protocol.

use std::io::Write as _;

use holm_e2e::{Ask, Gate, HintingOrigin, Holm, Origin, Protocol, Response, ask, built_wasm, get, head};

const CSS: &str = "</a.css>; rel=preload; as=style";

/// Sends a 103, with what must not get through as well, then answers; `/none…` without.
fn hinting() -> Origin {
    Origin::start(|asked, exchange| {
        exchange.content()?;
        if !asked.path().starts_with("/none") {
            let hints = [("link", CSS), ("x-hint", "1"), ("connection", "x-hop"), ("x-hop", "1"), ("keep-alive", "5")];
            exchange.head(103, &hints)?;
            exchange.head(103, &[("link", "</b.css>"), ("holm-as-of", "7"), ("surrogate-key", "a")])?;
            exchange.head(102, &[])?;
        }
        let cache = if asked.path().starts_with("/stored") { "max-age=60" } else { "no-store" };
        exchange.reply(200, &[("cache-control", cache)], "whole")
    })
}

/// Status, names and links of the interim responses: `103 link=… x-hint, 102`.
fn heard(response: &Response) -> String {
    let one = |(status, fields): &(u16, holm_e2e::Fields)| {
        let mut names: Vec<_> = fields.names().map(|name| format!(" {name}={}", fields.get(name))).collect();
        names.sort();
        format!("{status}{}", names.concat())
    };
    response.interim.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn they_reach_clients_of_every_protocol() {
    let origin = hinting();
    let holm = Holm::before(origin.url());
    let all = format!("103 link={CSS} x-hint=1, 103 link=</b.css>, 102");
    for protocol in Protocol::ALL {
        let check = |response: Response, expected: &str| {
            let response = response.expect(200);
            assert_eq!(heard(&response), expected, "{}", response.show());
        };
        let stored = format!("/stored?{protocol:?}");
        check(holm.ask(&get(&stored).over(protocol)), &all);
        check(holm.ask(&get(&stored).over(protocol)).expect_hit(), "");
        check(holm.ask(&get("/passed").over(protocol)), &all);
        check(holm.ask(&get("/passed").over(protocol)), &all);
        check(holm.ask(&head("/passed").over(protocol)), &all);
        check(holm.ask(&ask("PUT", "/passed").body("x").over(protocol)), &all);
        check(holm.ask(&get("/none").over(protocol)), "");
    }
}

#[test]
fn they_come_while_the_answer_is_waited_for() {
    let gate = Gate::new();
    let passing = gate.clone();
    let origin = Origin::start(move |_, exchange| {
        exchange.head(103, &[("link", CSS), ("set-cookie", "a=b")])?;
        passing.pass();
        exchange.reply(200, &[("cache-control", "max-age=60")], "whole")
    });
    let holm = sharing(&origin, "");
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut first = holm.raw().send(request);
    let hints = first.until("\r\n\r\n");
    assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\n") && hints.contains("set-cookie: a=b"), "{hints}");
    // One who joins hears what was said, but for what is the first one's own.
    let mut second = holm.raw().send(request);
    assert_eq!(second.until("\r\n\r\n"), format!("HTTP/1.1 103 Early Hints\r\nlink: {CSS}\r\n\r\n"));
    gate.open();
    for client in [first, second] {
        let answer = client.until_closed();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nwhole"), "{answer}");
    }
    assert_eq!(origin.asked("/"), 1);
}

#[test]
fn they_are_remembered_where_the_route_says_so() {
    let gate = Gate::new();
    let passing = gate.clone();
    let origin = Origin::start(move |asked, exchange| {
        if asked.fields.has("x-wait") {
            passing.pass();
        }
        exchange.head(103, &[("link", CSS), ("set-cookie", "a=b")])?;
        exchange.reply(200, &[("cache-control", "no-store")], "whole")
    });
    let holm = sharing(&origin, ", key = { query = [] }");
    let (first, kept) = (format!("103 link={CSS} set-cookie=a=b"), format!("103 link={CSS}"));
    let check = |ask: &Ask, expected: &str| {
        let response = holm.ask(ask).expect(200);
        assert_eq!(heard(&response), expected, "{}", response.show());
    };
    check(&get("/hints"), &first);
    // The origin's own is the same, and not said again.
    check(&get("/hints"), &kept);
    for protocol in [Protocol::Https1, Protocol::Http2, Protocol::Http3] {
        check(
            &get(format!("/hints?{protocol:?}")).over(protocol),
            if protocol == Protocol::Https1 { &first } else { &kept },
        );
    }
    // Before the origin has said anything.
    let request = "GET /hints HTTP/1.1\r\nhost: 127.0.0.1\r\nx-wait: 1\r\nconnection: close\r\n\r\n";
    let host = holm.http().to_owned();
    let mut waiting = holm.raw().send(request.replace("127.0.0.1", &host));
    assert_eq!(waiting.until("\r\n\r\n"), format!("HTTP/1.1 103 Early Hints\r\nlink: {CSS}\r\n\r\n"));
    gate.open();
    assert!(waiting.until_closed().ends_with("whole"));
    holm.cli(&format!("purge --url http://{host}/hints")).ok("");
    check(&get("/hints"), &first);
    check(&get("/hints"), &kept);
}

#[test]
fn http_1_0_gets_none() {
    let origin = hinting();
    let holm = Holm::before(origin.url());
    for path in ["/stored", "/passed"] {
        let answer = holm.raw().send(format!("GET {path} HTTP/1.0\r\nhost: a\r\n\r\n")).until_closed();
        assert!(answer.contains(" 200 OK\r\n") && !answer.contains(" 103 "), "{path}: {answer}");
    }
}

#[test]
fn an_origin_that_does_not_stop_hinting() {
    let origin = Origin::start(|_, exchange| {
        loop {
            exchange.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")?;
        }
    });
    let holm = Holm::before(origin.url());
    for protocol in Protocol::VERSIONS {
        let response = holm.ask(&get(format!("/{protocol:?}")).over(protocol)).expect(502);
        assert!(response.cache().ends_with("detail=protocol"), "{}", response.show());
        // Each is the same as the one before: one is enough.
        assert_eq!(heard(&response), "103 link=x", "{}", response.show());
    }
}

#[test]
fn handlers_are_told_of_answers_only() {
    let origin = Origin::start(|_, exchange| {
        exchange.head(103, &[("link", CSS)])?;
        exchange.reply(200, &[("content-type", "application/json")], "{}")
    });
    let holm = Holm::with_manifest(&format!(
        "name = \"shop\"\nhosts = [\"*\"]\n[[routes]]\npath = \"/api/*\"\nhandler = \"api\"\n\
         [[routes]]\npath = \"/*\"\norigin = \"web\"\n[handlers.api]\ncomponent = \"{}\"\n\
         [origins.web]\nendpoints = [\"{}\"]\n",
        built_wasm("shop/api", "api.wasm").display(),
        origin.url()
    ));
    for protocol in Protocol::VERSIONS {
        let response = holm.ask(&get("/api/offer").over(protocol)).expect(200);
        assert_eq!(heard(&response), "", "{}", response.show());
    }
    assert!(origin.asked("/origin/price") > 0);
}

#[test]
fn an_origin_over_http2() {
    let origin = HintingOrigin::start();
    let holm = Holm::with_manifest(&format!(
        "name = \"shop\"\nhosts = [\"*\"]\n[[routes]]\npath = \"/*\"\norigin = \"web\"\n\
         [origins.web]\nendpoints = [\"{}\"]\n",
        origin.url()
    ));
    for protocol in Protocol::ALL {
        let response = holm.ask(&get(format!("/{protocol:?}")).over(protocol)).expect(200);
        assert_eq!(heard(&response), "103 link=</node.css>; rel=preload", "{}", response.show());
        assert_eq!(response.text(), format!("/{protocol:?}"));
    }
}

/// A node whose route shares early hints.
fn sharing(origin: &Origin, more: &str) -> Holm {
    Holm::with_manifest(&format!(
        "name = \"shop\"\nhosts = [\"*\"]\n\
         [[routes]]\npath = \"/*\"\norigin = \"web\"\ncache = {{ early_hints = true{more} }}\n\
         [origins.web]\nendpoints = [\"{}\"]\n",
        origin.url()
    ))
}
