//! Poisoning and deception: one client tries to choose what others get, or to have kept what is another's
//! (docs/cache-safety.md). The origin believes all that it is told, and everything it says may be stored.

use std::fmt::Write as _;

use holm_e2e::{Ask, Holm, Origin, ask, get};

/// An origin that repeats the request, whatever it was, as a page for everyone.
fn gullible() -> Origin {
    Origin::start(|asked, exchange| {
        let mut page = format!("{} {}\n{:?}\n", asked.method, asked.target, asked.fields);
        let _ = write!(page, "{}", String::from_utf8_lossy(&exchange.content()?));
        exchange.reply(200, &[("cache-control", "public, max-age=60")], page)
    })
}

fn site(origin: &Origin, hosts: &str, cache: &str) -> Holm {
    Holm::with_manifest(&format!(
        "name = \"shop\"\nhosts = {hosts}\n[[routes]]\npath = \"/*\"\norigin = \"web\"\ncache = {cache}\n\
         [origins.web]\nendpoints = [\"{}\"]\n",
        origin.url()
    ))
}

/// What the attacker sends comes first; the victim then gets a page without the attacker's words.
#[track_caller]
fn check(holm: &Holm, attack: &Ask, victim: &Ask) {
    let attacker = holm.ask(attack);
    let got = holm.ask(victim).expect(200);
    assert!(!got.text().contains("evil"), "after {attack:?}, answered by:\n{}\n{}", attacker.show(), got.text());
}

#[test]
fn fields_that_origins_believe() {
    let origin = gullible();
    let holm = Holm::before(origin.url());
    for name in [
        "forwarded",
        "x-forwarded-host",
        "x_forwarded_host",
        "x-forwarded-scheme",
        "x-forwarded-prefix",
        "x-forwarded-for",
        "x-host",
        "x-http-host-override",
        "x-original-url",
        "x-original-host",
        "x-rewrite-url",
        "x-real-ip",
        "true-client-ip",
        "proxy",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-middleware-subrequest",
        "holm-site",
    ] {
        let path = format!("/{}", name.replace('_', "."));
        check(&holm, &get(&path).field(name, "evil"), &get(&path));
        assert!(holm.ask(&get(&path)).is_hit(), "{name}: the page is stored");
    }
    // Where nothing is stored, a client may say what it means.
    holm.ask(&ask("POST", "/").field("x-http-method-override", "PATCH").body("x")).expect(200);
    assert_eq!(origin.last("/").fields.get("x-http-method-override"), "PATCH");
}

#[test]
fn content_hosts_and_ports() {
    let origin = gullible();
    let holm = Holm::before(origin.url());
    check(&holm, &get("/content").body("evil"), &get("/content"));
    check(&holm, &get("/host").field("host", "evil.example"), &get("/host"));
    let absolute = "GET http://evil.example/absolute HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    let answer = holm.raw().send(absolute).until_closed();
    assert!(answer.contains("evil.example"), "the target's host counts:\n{answer}");
    let got = holm.ask(&get("/absolute").field("host", "shop.example")).expect(200);
    assert!(!got.text().contains("evil"), "{}", got.text());
    let port = |port: &str| get("/port").field("host", format!("shop.example:{port}"));
    assert!(holm.ask(&port("1337")).expect(200).text().contains("shop.example:1337"));
    assert!(!holm.ask(&port("80")).expect(200).text().contains("1337"));
}

#[test]
fn what_hosts_share_names_none_of_them() {
    let origin = gullible();
    let holm = site(&origin, "[\"*\", \"shop.example\"]", "{ key = { share_hosts = true } }");
    let at = |host: &str| get("/").field("host", host);
    check(&holm, &at("evil.example:666"), &at("shop.example"));
    let other = holm.ask(&at("other.example")).expect_hit();
    assert!(other.text().contains("shop.example"), "{}", other.text());
    holm.cli("purge --url http://third.example/").ok("");
    assert!(!holm.ask(&at("shop.example")).is_hit(), "any host's URL purges what all share");
    // What is not stored goes on in the name that it was sent to.
    holm.ask(&ask("POST", "/post").field("host", "other.example").body("x")).expect(200);
    assert_eq!(origin.last("/post").fields.get("x-forwarded-host"), "other.example");
}

#[test]
fn parameters_and_cookies_under_a_cloak() {
    let origin = gullible();
    let holm = site(&origin, "[\"*\"]", "{ key = { query = [\"v\"], cookies = [\"currency\"] } }");
    for cloaked in ["/?%76=evil", "/?V=evil", "/?v[]=evil", "/?+v=evil", "/?x=1;v=evil"] {
        check(&holm, &get(cloaked), &get("/"));
    }
    for cloaked in ["id=1,currency=evil", "id=\"; currency=EUR; x=\"evil", "Currency=evil"] {
        check(&holm, &get("/c").field("cookie", cloaked), &get("/c").field("cookie", "currency=EUR"));
        check(&holm, &get("/c").field("cookie", cloaked), &get("/c"));
    }
    let holm = site(&origin, "[\"*\"]", "{ key = { query = { ignore = [\"utm_*\"] } } }");
    check(&holm, &get("/?utm_x=1;v=evil"), &get("/?utm_x=2"));
    check(&holm, &get("/?%75tm_x=evil"), &get("/?utm_x=2"));
}

#[test]
fn paths_that_lead_elsewhere_at_the_origin() {
    let origin = gullible();
    let holm = Holm::before(origin.url());
    for path in ["/a/..%2faccount", "/a/%2e%2e%5caccount", "/a/..\\account", "/a/..;/account", "/account%00.css"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = holm.raw().send(head).until_closed();
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}:\n{answer}");
        assert!(answer.contains("detail=target-invalid"), "{path}:\n{answer}");
    }
    assert!(origin.log().is_empty(), "none reached the origin");
    // Encoded slashes alone are names (npm), and not those of the plain path.
    holm.ask(&get("/@scope%2fname")).expect(200);
    assert!(!holm.ask(&get("/@scope/name")).expect(200).is_hit());
    assert!(holm.ask(&get("/@scope%2Fname")).expect(200).is_hit());
}

/// An extension makes nothing cacheable: the response alone says so.
#[test]
fn a_page_that_looks_like_a_file() {
    let origin = Origin::start(|_, exchange| exchange.reply(200, &[("content-type", "text/html")], "secret"));
    let holm = Holm::before(origin.url());
    for path in ["/account/x.css", "/account;x.css", "/account%3Fx.css", "/account%0Ax.css"] {
        holm.ask(&get(path)).expect(200);
        let again = holm.ask(&get(path)).expect(200);
        assert!(again.cache().contains("detail=no-freshness"), "{path}: {}", again.show());
    }
}
