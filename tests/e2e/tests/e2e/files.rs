//! Static files of a release, as clients see them.

use holm_e2e::{Holm, Pattern, Protocol, ask, get, head};

const SITE: &str = r#"
name = "docs"
hosts = ["*"]
[[routes]]
path = "/static/*"
files = "assets"
[[routes]]
path = "/*"
files = "public"
"#;

/// More than is read at once, and more than a cache of 4 MiB holds.
const LARGE: u64 = 20 << 20;

fn site() -> Holm {
    let holm = Holm::up().start();
    for (name, content) in [
        ("holm.toml", SITE),
        ("public/index.html", "<h1>home</h1>"),
        ("public/guide/index.html", "<h1>guide</h1>"),
        ("public/a b.txt", "spaced"),
        ("public/data.json", "{}"),
        ("public/.hidden", "secret"),
        ("assets/style.css", "body {}"),
        ("assets/app.js", "1;"),
        ("assets/icon.svg", "<svg/>"),
        ("secret.txt", "secret"),
    ] {
        holm.write(name, content);
    }
    holm.write("public/large.bin", Pattern::new(LARGE).bytes());
    holm.cli("publish").ok("docs: release 1 is live on");
    holm
}

#[test]
fn paths_types_and_methods() {
    let holm = site();
    let check = |path: &str, status: u16, kind: &str, content: &str| {
        for protocol in Protocol::VERSIONS {
            let response = holm.ask(&get(path).over(protocol)).expect(status);
            let show = response.show();
            assert!(response.fields.get("content-type").starts_with(kind), "{path}: {show}");
            assert!(response.text().contains(content) && !response.text().contains("secret"), "{path}: {show}");
            if status == 200 {
                let of_head = holm.ask(&head(path).over(protocol)).expect(200);
                for name in ["content-type", "content-length", "etag"] {
                    assert_eq!(of_head.fields.get(name), response.fields.get(name), "{path}: {name}");
                }
            }
        }
    };
    check("/", 200, "text/html", "home");
    check("/?query=1", 200, "text/html", "home");
    check("/index.html", 200, "text/html", "home");
    check("/guide/", 200, "text/html", "guide");
    check("/data.json", 200, "application/json", "{}");
    check("/a%20b.txt", 200, "text/plain", "spaced");
    check("/static/style.css", 200, "text/css", "body");
    check("/static/app.js", 200, "text/javascript", "1;");
    check("/static/icon.svg", 200, "image/svg+xml", "<svg/>");
    for path in [
        "/none",
        "/none/",
        "/static/",
        "/static/none",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/guide/../../secret.txt",
        "/public/index.html",
        "/holm.toml",
        "/%ff",
    ] {
        check(path, 404, "text/plain", "404");
    }
    for path in ["/..%2fsecret.txt", "/a%00b"] {
        check(path, 400, "text/plain", "400");
    }
    for (path, location) in [("/guide", "/guide/"), ("/guide?a=1", "/guide/?a=1")] {
        let response = holm.ask(&get(path)).expect(301);
        assert_eq!(response.fields.get("location"), location);
    }
    // Two slashes would name another host.
    let response = holm.ask(&get("//guide"));
    assert!(!response.fields.get("location").starts_with("//"), "{}", response.show());
    let response = holm.ask(&ask("POST", "/").body("x")).expect(405);
    assert_eq!(response.fields.get("allow"), "GET, HEAD");
}

#[test]
fn validators_and_ranges() {
    let holm = site();
    let content = Pattern::new(LARGE).bytes();
    for protocol in Protocol::VERSIONS {
        let small = holm.ask(&get("/data.json").over(protocol)).expect(200);
        let etag = small.fields.get("etag");
        assert!(etag.starts_with('"') && small.fields.get("accept-ranges") == "bytes", "{}", small.show());
        holm.ask(&get("/data.json").field("if-none-match", etag).over(protocol)).expect(304);
        let other = holm.ask(&get("/static/app.js").over(protocol)).expect(200);
        assert_ne!(other.fields.get("etag"), etag);
        for (range, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=10485000-10486000", 10_485_000, 10_486_000),
            ("bytes=-5", LARGE - 5, LARGE - 1),
            ("bytes=20971000-", 20_971_000, LARGE - 1),
        ] {
            let response = holm.ask(&get("/large.bin").field("range", range).over(protocol)).expect(206);
            let at = |place: u64| usize::try_from(place).expect("small");
            assert!(response.body == content[at(first)..=at(last)], "{range}: {}", response.show());
            assert_eq!(response.fields.get("content-range"), format!("bytes {first}-{last}/{LARGE}"));
        }
        holm.ask(&get("/large.bin").field("range", "bytes=99999999-").over(protocol)).expect(416);
    }
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let whole = holm.ask(&get("/large.bin").over(protocol)).expect(200);
        assert!(whole.body == content, "{}", whole.show());
    }
}

#[test]
fn a_new_release_is_seen_at_once() {
    let holm = site();
    let first = holm.ask(&get("/")).expect(200);
    holm.ask(&get("/")).expect_hit();
    // The clients of a site confirm what they hold, so that they see it, too.
    assert!(first.fields.get("cache-control").contains("must-revalidate"), "{}", first.show());
    holm.write("public/index.html", "<h1>changed</h1>");
    holm.write("public/404.html", "<h1>nothing here</h1>");
    holm.cli("publish").ok("docs: release 2 is live on 2 nodes, after release 1");
    let second = holm.ask(&get("/").field("if-none-match", first.fields.get("etag"))).expect(200);
    assert_eq!(second.text(), "<h1>changed</h1>", "{}", second.show());
    let missing = holm.ask(&get("/none")).expect(404);
    assert_eq!(
        (missing.text().as_str(), missing.fields.get("content-type")),
        ("<h1>nothing here</h1>", "text/html; charset=utf-8")
    );
    holm.cli("rollback").ok("docs: release 1 is live on 2 nodes, after release 2");
    assert_eq!(holm.ask(&get("/")).expect(200).text(), "<h1>home</h1>");
}
