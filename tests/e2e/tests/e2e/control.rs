//! The commands against a running node: releases, purges, numbers, and what they say to mistakes.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use holm_e2e::{Gate, Holm, Origin, Protocol, cli, get, ok};
use serde_json::Value;

/// Two sites: one by name in front of an origin, one for every other host.
fn site(origin: &Origin) -> String {
    format!(
        "name = \"shop\"\nhosts = [\"*\"]\n[[routes]]\npath = \"/*\"\norigin = \"web\"\n\
         [origins.web]\nendpoints = [\"{}\"]\n",
        origin.url()
    )
}

/// An origin whose answers are numbered, and bear their path's first segment as a tag.
fn numbering() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |asked, exchange| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let tag = asked.path().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        let fields = [("cache-control", "max-age=600"), ("surrogate-key", tag.as_str()), ("vary", "accept-language")];
        exchange.reply(200, &fields, format!("answer {number}"))
    })
}

#[test]
fn purges_hold_at_both_tiers() {
    let origin = numbering();
    let holm = Holm::with_manifest(&site(&origin));
    let paths = ["/sale/a", "/sale/b?x=1", "/sale/b?x=2", "/news/a", "/newsletter"];
    let http = holm.ready("http").to_owned();
    let check = |options: &str, gone: &[&str], said: &str| {
        let before = paths.map(|path| {
            holm.ask(&get(path)).expect(200);
            holm.ask(&get(path)).expect(200).expect_hit().text()
        });
        let purged = holm.cli(&format!("purge {}", options.replace("HTTP", &http))).ok(said);
        assert!(
            purged.out.contains("edge") && purged.out.contains("shield") && purged.out.contains("ms"),
            "{purged:?}"
        );
        for (path, before) in paths.into_iter().zip(before) {
            let fetched = origin.asked(path);
            let after = holm.ask(&get(path)).expect(200);
            let purged = gone.contains(&path);
            assert_eq!(
                (after.text() != before, after.is_hit()),
                (purged, !purged),
                "{options}: {path}: {}",
                after.show()
            );
            // It was fetched from the origin: the shield did not give the edge what was purged.
            assert_eq!(origin.asked(path) - fetched, usize::from(purged), "{options}: {path}");
        }
    };
    check("--url HTTP/sale/a", &["/sale/a"], "shop: 1 URL purged on 2 nodes");
    check("--url HTTP/sale/b?x=1", &["/sale/b?x=1"], "1 URL purged");
    check("--url HTTP/sale/b", &["/sale/b?x=1", "/sale/b?x=2"], "1 URL purged");
    check("--url HTTP/sale/a HTTP/news/a", &["/sale/a", "/news/a"], "2 URLs purged");
    check("--tag sale", &["/sale/a", "/sale/b?x=1", "/sale/b?x=2"], "1 tag purged");
    check("--tag sale --tag news", &["/sale/a", "/sale/b?x=1", "/sale/b?x=2", "/news/a"], "2 tags purged");
    check("--prefix /news", &["/news/a"], "1 prefix purged");
    check("--prefix HTTP/sale/", &["/sale/a", "/sale/b?x=1", "/sale/b?x=2"], "1 prefix purged");
    check("--all --site shop", &paths, "everything purged");
    check("--tag other", &[], "1 tag purged");
    check("--url HTTP/none", &[], "1 URL purged");
}

#[test]
fn a_purge_takes_every_variant_and_both_schemes() {
    let origin = numbering();
    let holm = Holm::up().args(&["--origin", &origin.url()]).start();
    let ask = |language: &str, protocol| {
        // One host for both schemes: the ports differ, and are no part of a key.
        holm.ask(&get("/page").field("accept-language", language).over(protocol)).expect(200)
    };
    let all = || {
        let mut answers = Vec::new();
        for protocol in [Protocol::Http1, Protocol::Http2] {
            answers.extend(["de", "fr"].map(|language| ask(language, protocol)));
        }
        answers
    };
    all();
    assert!(all().iter().all(|response| response.is_hit()));
    holm.cli("purge --url http://127.0.0.1/page").ok("1 URL purged");
    for response in all() {
        assert!(!response.is_hit(), "{}", response.show());
    }
}

#[test]
fn a_purge_holds_against_a_fetch_that_is_under_way() {
    // The first answer is under way, with its head here or not; it is from before the purge.
    for head_is_here in [false, true] {
        let gate = Gate::new();
        let passing = gate.clone();
        let count = AtomicUsize::new(0);
        let origin = Origin::start(move |_, exchange| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            if number == 0 && !head_is_here {
                passing.pass();
            }
            exchange.head(200, &[("content-length", "8"), ("cache-control", "max-age=600")])?;
            exchange.write_all(b"answer ")?;
            if number == 0 {
                passing.pass();
            }
            exchange.write_all(number.to_string().as_bytes())
        });
        let holm = Holm::with_manifest(&site(&origin));
        let before = holm.curl(&get("/")).start();
        origin.wait_asked("/", 1);
        holm.cli("purge --all").ok("everything purged");
        // Who asks after the purge gets what is from after it, though the first fetch goes on.
        let during = holm.ask(&get("/")).expect(200).expect_miss("fwd=uri-miss");
        assert_eq!((during.text().as_str(), origin.asked("/")), ("answer 1", 2));
        gate.open();
        before.finish().expect(200);
        for _ in 0..3 {
            let after = holm.ask(&get("/")).expect_hit();
            assert_ne!(after.text(), "answer 0", "what was purged is served: {}", after.show());
        }
    }
}

#[test]
fn sites_are_apart() {
    let (one, two) = (numbering(), numbering());
    let holm = Holm::up().start();
    let manifest = |name: &str, origin: &Origin| {
        site(origin).replace("\"shop\"", &format!("\"{name}\"")).replace("\"*\"", &format!("\"{name}.example\""))
    };
    for (name, origin) in [("one", &one), ("two", &two)] {
        holm.write("holm.toml", manifest(name, origin));
        holm.cli("publish").ok(&format!("{name}: release 1 is live"));
    }
    let ask = |name: &str| holm.ask(&get("/a").field("host", format!("{name}.example"))).expect(200);
    for name in ["one", "two"] {
        ask(name).expect_miss("stored");
        ask(name).expect_hit();
    }
    assert_eq!((one.asked("/a"), two.asked("/a")), (1, 1));
    for options in ["--all", "--tag a", "--prefix /", "--url http://one.example/a"] {
        holm.cli(&format!("purge --site one {options}")).ok("one: ");
        ask("one").expect_miss("fwd=uri-miss");
        ask("two").expect_hit();
    }
    // Another site's host is none of this site's business.
    holm.cli("purge --site one --url http://two.example/a");
    ask("two").expect_hit();
    let sites = holm.cli("stats --site two --json").json();
    assert_eq!(sites["tiers"]["edge"]["requests"], 7, "{sites}");
}

#[test]
fn a_soft_purge_makes_stale() {
    let origin = Origin::start(|asked, exchange| {
        let cache = if asked.path() == "/swr" { "max-age=600, stale-while-revalidate=60" } else { "max-age=600" };
        let fields = [("cache-control", cache), ("etag", "\"a\"")];
        let known = asked.fields.get("if-none-match") == "\"a\"";
        if known { exchange.reply(304, &fields, "") } else { exchange.reply(200, &fields, "x") }
    });
    let holm = Holm::with_manifest(&site(&origin));
    for path in ["/", "/swr"] {
        holm.ask(&get(path)).expect(200);
        holm.ask(&get(path)).expect_hit();
    }
    holm.cli("purge --all --soft").ok("shop: everything made stale on 2 nodes");
    let confirmed = holm.ask(&get("/")).expect(200);
    assert!(confirmed.cache().contains("fwd=stale; fwd-status=304"), "{}", confirmed.show());
    assert!(origin.last("/").fields.has("if-none-match"), "the origin itself confirmed it");
    holm.ask(&get("/")).expect_hit();
    let stale = holm.ask(&get("/swr")).expect_hit();
    assert!(stale.cache().contains("detail=stale-while-revalidate"), "{}", stale.show());
}

#[test]
fn purges_as_json_and_their_mistakes() {
    let origin = numbering();
    let holm = Holm::with_manifest(&site(&origin));
    let purged = holm.cli("purge --all --json").json();
    assert_eq!((texts(&purged["nodes"], "node"), &purged["lagging"]), (both(), &Value::Array(vec![])), "{purged}");
    let later = holm.cli("purge --all --no-wait --json").json();
    assert!(later["seq"].as_u64() > purged["seq"].as_u64(), "{later} after {purged}");
    holm.cli("purge").fails(2, "--url");
    holm.cli("purge --soft").fails(2, "--url");
    holm.cli("purge --all --tag x").fails(2, "cannot be used with");
    holm.cli("purge --url /a").fails(2, "not an absolute URL");
    holm.cli("purge --all --site none").fails(1, "none");
}

#[test]
fn releases_are_immutable_and_rolled_back() {
    let (one, two) =
        (Origin::start(|_, exchange| ok(exchange, "one")), Origin::start(|_, exchange| ok(exchange, "two")));
    let holm = Holm::with_manifest(&site(&one));
    let served = || {
        holm.cli("purge --all").ok("purged");
        holm.ask(&get("/")).expect(200).text()
    };
    assert_eq!(served(), "one");
    holm.write("holm.toml", site(&two));
    holm.cli("publish --no-activate").ok("shop: release 2 is made, not live");
    assert_eq!(served(), "one");
    holm.cli("rollback 2").ok("shop: release 2 is live on 2 nodes, after release 1");
    assert_eq!(served(), "two");
    // What lies in the folder now says nothing of what was published.
    holm.cli("rollback").ok("shop: release 1 is live on 2 nodes, after release 2");
    assert_eq!(served(), "one");
    // The same once more is the same release; anything else is a new one.
    let published = holm.cli("publish --json").json();
    assert_eq!(
        (&published["release"], &published["active"], &published["previous"]),
        (&2.into(), &true.into(), &1.into())
    );
    holm.write("holm.toml", format!("{}retry = {{ attempts = 1 }}\n", site(&two)));
    assert_eq!(holm.cli("publish --json").json()["release"], 3);
    let releases = holm.cli("releases --json").json();
    let told: Vec<_> =
        releases.as_array().into_iter().flatten().map(|r| (r["release"].clone(), r["active"].clone())).collect();
    assert_eq!(told, [(3.into(), true.into()), (2.into(), false.into()), (1.into(), false.into())]);
    let table = holm.cli("releases").ok("release  created");
    assert!(table.out.lines().nth(1).is_some_and(|line| line.ends_with("live")), "{table:?}");
    holm.cli("rollback 9").fails(1, "release 9");
    holm.cli("rollback 0").fails(2, "holm releases");
    holm.cli("releases --site none").fails(1, "no site named `none`");
}

#[test]
fn numbers() {
    let origin = numbering();
    let holm = Holm::with_manifest(&site(&origin));
    for _ in 0..20 {
        holm.ask(&get("/a")).expect(200);
    }
    let stats = holm.cli("stats --json").json();
    let edge = &stats["tiers"]["edge"];
    assert_eq!((&edge["requests"], &edge["hits"], &edge["errors"]), (&20.into(), &19.into(), &0.into()), "{stats}");
    assert!((edge["hit_ratio"].as_f64().expect("a ratio") - 0.95).abs() < 1e-9, "{stats}");
    assert_eq!((&stats["origin_fetches"], &stats["tiers"]["shield"]["requests"]), (&1.into(), &1.into()), "{stats}");
    let hit = &edge["latency"]["hit"];
    let quantile = |name: &str| hit[name].as_u64().expect("microseconds");
    assert!(hit["count"] == 19 && quantile("p50_us") <= quantile("p99_us") && quantile("p99_us") > 0, "{stats}");
    holm.cli("stats").ok("95.0%");
    holm.cli("stats --window 10s --site shop").ok("edge");
    holm.cli("stats --window 2h").fails(2, "10s to 1h");
    assert_eq!(holm.metric("holm_requests_total{tier=\"edge\",cache=\"hit\",status=\"200\"}"), 19.0);
    assert_eq!(holm.metric("holm_upstream_requests_total"), 1.0);
    let nodes = holm.cli("nodes --json").json();
    assert_eq!((texts(&nodes, "role"), texts(&nodes, "node")), (both(), both()), "{nodes}");
    for node in nodes.as_array().into_iter().flatten() {
        assert_eq!((&node["releases"]["shop"], &node["purge_lag"]), (&1.into(), &0.into()), "{nodes}");
    }
    holm.cli("nodes").ok("shield");
}

/// A field of each object in a list, in the order of the alphabet.
fn texts(list: &Value, name: &str) -> Vec<String> {
    let field = |item: &Value| item[name].as_str().expect("text").to_owned();
    let mut texts: Vec<_> = list.as_array().into_iter().flatten().map(field).collect();
    texts.sort();
    texts
}

fn both() -> Vec<String> {
    vec!["edge".to_owned(), "shield".to_owned()]
}

#[test]
fn mistakes_in_a_manifest_are_shown_where_they_are() {
    let holm = Holm::up().start();
    let manifest = "name  = \"shop\"\nhosts = [\"*\"]\n\n[[routes]]\npath   = \"/*\"\norgin  = \"web\"\n\n\
                    [origins.web]\nendpoints = [\"gopher://a\"]\n";
    holm.write("holm.toml", manifest);
    for line in ["check", "publish", "check holm.toml"] {
        let ran = cli(&holm.site(), line);
        let ran = if line == "publish" { holm.cli(line) } else { ran }.fails(1, "holm.toml:6:1");
        for words in ["unknown key `orgin`", "did you mean `origin`?", "orgin  = \"web\"", "holm.toml:9:14", "gopher"] {
            assert!(ran.err.contains(words), "`{words}` is missing in {ran:?}");
        }
    }
    Holm::up().args(&["--site"]).arg(holm.site()).run().fails(1, "holm.toml:6:1");
    holm.write("holm.toml", "name = \"shop");
    cli(&holm.site(), "check").fails(1, "holm.toml:1:");
    holm.write("holm.toml", b"name = \"\xff\"");
    cli(&holm.site(), "check").fails(1, "UTF-8");
    let empty = tempfile::tempdir().expect("a folder");
    cli(empty.path(), "check").fails(1, "there is no holm.toml in");
    cli(empty.path(), "publish").fails(1, "there is no holm.toml in");
    holm.write("holm.toml", "name = \"shop\"\nhosts = [\"*\"]\n[[routes]]\npath = \"/*\"\nfiles = \"none\"\n");
    holm.cli("publish").fails(1, "none");
    holm.write("none/index.html", "x");
    cli(&holm.site(), "check").ok("");
    holm.cli("publish").ok("shop: release 1 is live");
}

#[test]
fn a_cluster_that_cannot_be_reached_or_does_not_know_us() {
    let holm = Holm::up().start();
    let dir = tempfile::tempdir().expect("a folder");
    cli(dir.path(), "nodes").fails(1, "--admin");
    let closed = holm_e2e::unused_port();
    let token = holm.ready("token_file");
    cli(dir.path(), &format!("nodes --admin http://127.0.0.1:{closed} --token-file {token}")).fails(1, "127.0.0.1");
    std::fs::write(dir.path().join("token"), "nonsense").expect("written");
    let admin = holm.ready("admin");
    cli(dir.path(), &format!("nodes --admin {admin} --token-file token")).fails(1, "token");
    cli(dir.path(), &format!("nodes --admin {admin} --token-file none")).fails(1, "none");
    cli(dir.path(), "wibble").fails(2, "wibble");
    // The admin listener wants a token for all but health and metrics.
    let status = |path: &str| holm_e2e::Curl::new(&get(path), admin, &holm.ca_file()).run().status;
    assert_eq!(["/healthz", "/readyz", "/metrics", "/v1/nodes", "/v1/sites"].map(status), [200, 200, 200, 401, 401]);
}

#[test]
fn addresses_in_use_are_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("an address").to_string();
    for option in ["--http", "--https", "--admin"] {
        let mut ports = [("--http", "127.0.0.1:0"), ("--https", "127.0.0.1:0"), ("--admin", "127.0.0.1:0")];
        ports.iter_mut().filter(|(name, _)| *name == option).for_each(|(_, port)| *port = &addr);
        let args = ports.map(|(name, port)| format!("{name} {port}")).join(" ");
        let dir = tempfile::tempdir().expect("a folder");
        let ran = cli(dir.path(), &format!("up --json --origin http://127.0.0.1:9 {args}")).fails(1, "in use");
        assert!(ran.err.contains(&addr) && ran.out.is_empty(), "{ran:?}");
    }
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let addr = udp.local_addr().expect("an address").to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let args = format!("up --http 127.0.0.1:0 --admin 127.0.0.1:0 --https {addr}");
    cli(dir.path(), &args).fails(1, "in use");
}

#[test]
fn what_was_published_is_there_after_a_restart() {
    let origin = Origin::start(|_, exchange| ok(exchange, "x"));
    let data = tempfile::tempdir().expect("a folder");
    let start = || Holm::up().arg("--data-dir").arg(data.path()).start();
    let holm = start();
    holm.write("holm.toml", site(&origin));
    holm.cli("publish").ok("release 1");
    holm.ask(&get("/")).expect(200);
    assert_eq!(holm.stop().code(), Some(0));
    let holm = start();
    holm.ask(&get("/")).expect(200);
    let releases = holm.cli("releases --site shop --json").json();
    assert_eq!(releases[0]["release"], 1, "{releases}");
    // Two processes do not share one folder.
    Holm::up().arg("--data-dir").arg(data.path()).run().fails(1, "in use");
}
