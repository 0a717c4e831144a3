//! Handlers: components built from examples/, on top of the cache, and what broken ones cost.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use holm_e2e::{Holm, Origin, Pattern, Process, Protocol, Raw, ask, built_command, built_wasm, cli, get, sha256};
use serde_json::Value;

/// The shop of examples/, with short limits.
fn shop(origin: &Origin, limits: &str) -> Holm {
    let manifest = format!(
        "name = \"shop\"\nhosts = [\"*\"]\n\
         [[routes]]\npath = \"/api/*\"\nhandler = \"api\"\n\
         [[routes]]\npath = \"/*\"\norigin = \"web\"\n\
         [handlers.api]\ncomponent = \"{}\"\n{limits}\nenv = {{ CURRENCY = \"NOK\" }}\n\
         [origins.web]\nendpoints = [\"{}\"]\n",
        built_wasm("shop/api", "api.wasm").display(),
        origin.url()
    );
    Holm::with_manifest(&manifest)
}

fn origin() -> Origin {
    Origin::start(|asked, exchange| {
        let fields =
            [("cache-control", "max-age=60"), ("surrogate-key", "goods"), ("content-type", "application/json")];
        exchange.reply(200, &fields, format!("{{\"path\": \"{}\"}}", asked.path()))
    })
}

#[test]
fn a_handler_fetches_through_the_cache() {
    let origin = origin();
    let holm = shop(&origin, "memory = \"32MiB\"");
    let offer = |protocol| -> Value {
        let response = holm.ask(&get("/api/offer").over(protocol)).expect(200);
        assert!(response.cache().contains("detail=handler") && !response.is_hit(), "{}", response.show());
        assert!(!response.fields.has("surrogate-key"), "{}", response.show());
        serde_json::from_slice(&response.body).expect("JSON")
    };
    let first = offer(Protocol::Http1);
    assert_eq!((&first["currency"], &first["price"]["said"]["path"]), (&"NOK".into(), &"/origin/price".into()));
    let cache = |offer: &Value| offer["price"]["cache"].as_str().expect("Cache-Status").to_owned();
    assert!(cache(&first).contains("fwd=uri-miss"), "{first}");
    let second = offer(Protocol::Http1);
    assert!(cache(&second).contains("hit"), "{second}");
    // What it fetched is the site's own, for everyone.
    holm.ask(&get("/origin/price")).expect_hit();
    assert_eq!((origin.asked("/origin/price"), origin.asked("/origin/stock")), (1, 1));
    for protocol in Protocol::VERSIONS {
        offer(protocol);
    }
    assert_eq!(origin.asked("/origin/price"), 2, "once for each scheme");
    holm.cli("purge --tag goods").ok("shop: 1 tag purged on 2 nodes");
    assert!(cache(&offer(Protocol::Http1)).contains("fwd="), "after a purge it is fetched anew");
    assert_eq!(origin.asked("/origin/price"), 3);
    assert_eq!(holm.ask(&get("/api/none")).expect(404).text(), "There is nothing at /api/none.\n");
}

#[test]
fn an_echo_streams() {
    let origin = origin();
    let holm = shop(&origin, "cpu = \"5s\"");
    let content = Pattern::new(3_000_000).bytes();
    for protocol in Protocol::ALL {
        let response = holm.ask(&ask("POST", "/api/echo").body(content.clone()).over(protocol)).expect(200);
        assert_eq!(sha256(&response.body), sha256(&content), "{}", response.show());
    }
    // Each piece comes back before the next one is sent.
    let mut raw =
        holm.raw().send("POST /api/echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    raw.until("first");
    raw = raw.send("6\r\nsecond\r\n");
    raw.until("second");
    raw = raw.send("0\r\n\r\n");
    raw.until("0\r\n\r\n");
}

#[test]
fn a_fault_costs_its_own_request_alone() {
    let origin = origin();
    let holm = shop(&origin, "memory = \"32MiB\"\ncpu = \"200ms\"\nwall = \"1s\"");
    let check = |path: &str, statuses: &[u16], reason: &str| {
        for protocol in Protocol::VERSIONS {
            let begun = Instant::now();
            let response = holm.ask(&get(path).over(protocol));
            assert!(statuses.contains(&response.status) && response.error.is_empty(), "{path}: {}", response.show());
            assert!(response.cache().contains(reason), "{path}: {}", response.show());
            assert!(begun.elapsed() < Duration::from_secs(10), "{path} took {:?}", begun.elapsed());
            holm.ask(&get("/api/offer").over(protocol)).expect(200);
        }
    };
    check("/api/trap", &[500], "detail=");
    check("/api/spin", &[500, 504], "detail=");
    check("/api/hoard", &[500], "detail=");
    check("/api/silent", &[504], "detail=");
    for path in ["/api/cut", "/api/short"] {
        for protocol in Protocol::ALL {
            let response = holm.ask(&get(path).over(protocol));
            let told = !response.error.is_empty() || response.status >= 500;
            assert!(told, "{path}: a short response that looks whole: {}", response.show());
            holm.ask(&get("/api/offer").over(protocol)).expect(200);
        }
    }
    assert!(
        holm.process.log().contains("asked to panic"),
        "the log has the guest's last words:\n{}",
        holm.process.log()
    );
}

#[test]
fn hits_go_on_while_handlers_spin() {
    let origin = origin();
    let holm = shop(&origin, "cpu = \"1s\"\nwall = \"20s\"");
    holm.ask(&get("/hit")).expect(200);
    let spinning: Vec<_> = (0..4).map(|_| holm.curl(&get("/api/spin")).start()).collect();
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let asked = Instant::now();
        holm.ask(&get("/hit")).expect_hit();
        slowest = slowest.max(asked.elapsed());
    }
    println!("20 hits in {:?}, the slowest in {slowest:?}", begun.elapsed());
    assert!(slowest < Duration::from_millis(1500), "a hit took {slowest:?} while handlers spun");
    for curl in spinning {
        let response = curl.finish();
        assert!(matches!(response.status, 500 | 503 | 504), "{}", response.show());
    }
    holm.ask(&get("/api/offer")).expect(200);
}

#[test]
fn many_calls_at_once() {
    let origin = origin();
    let holm = shop(&origin, "");
    let curls: Vec<_> = (0..50).map(|_| holm.curl(&get("/api/offer").over(Protocol::Http2)).start()).collect();
    for curl in curls {
        curl.finish().expect(200);
    }
    assert_eq!(origin.asked("/origin/price"), 1, "fifty handlers, one fetch");
}

#[test]
fn serve_runs_one_handler() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = built_command("holm");
    command.args(["serve", "--addr", "127.0.0.1:0"]).arg(built_wasm("hello", "hello.wasm")).stdin(Stdio::null());
    let mut process = Process::start("holm serve", &mut command, &dir.path().join("log"));
    let line = process.line();
    let authority = line.rsplit("http://").next().expect("an address").to_owned();
    let answer =
        Raw::connect(&authority).send("GET /path HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").until_closed();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("You asked for /path.\n"), "{answer}");
    process.terminate();
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn what_is_no_component_is_refused() {
    let holm = Holm::up().start();
    let site = |component: &str| {
        holm.write("holm.toml", format!("name = \"shop\"\nhosts = [\"*\"]\n[[routes]]\npath = \"/*\"\nhandler = \"api\"\n[handlers.api]\ncomponent = \"{component}\"\n"));
    };
    // WebAssembly's preamble: version 1 of a core module, then a component's that ends there.
    let core = b"\0asm\x01\0\0\0";
    holm.write("core.wasm", core);
    holm.write("text.wasm", "(module)");
    holm.write("none.wasm", "hello");
    holm.write("empty.wasm", b"\0asm\x0d\0\x01\0");
    let cut = std::fs::read(built_wasm("hello", "hello.wasm")).expect("a component");
    holm.write("cut.wasm", &cut[..cut.len() / 2]);
    for (file, words) in [
        ("missing.wasm", "cannot be opened"),
        ("core.wasm", "is a core module, not a component"),
        ("text.wasm", "is WebAssembly text, not binary"),
        ("none.wasm", "is not WebAssembly"),
        ("empty.wasm", "handler"),
        ("cut.wasm", "error"),
    ] {
        site(file);
        holm.cli("publish").fails(1, words);
        cli(&holm.site(), &format!("serve --addr 127.0.0.1:0 {file}")).fails(1, "error");
    }
    holm.cli("releases --site shop").fails(1, "no site named `shop`");
    // The node is none the worse for it.
    site(built_wasm("hello", "hello.wasm").to_str().expect("UTF-8"));
    holm.cli("publish").ok("shop: release 1 is live");
    assert!(holm.ask(&get("/x")).expect(200).text().contains("You asked for /x."));
}

#[test]
fn a_fault_leaves_the_connection_and_tells_the_client_nothing() {
    let origin = origin();
    let holm = shop(&origin, "");
    let mut stream = holm.raw().send(
        "GET /api/trap HTTP/1.1\r\nhost: a\r\n\r\nGET /api/offer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    let mut all = String::new();
    stream.stream().flush().expect("a connection");
    stream.stream().read_to_string(&mut all).expect("text");
    // The connection goes on after a fault: it was this request's alone.
    assert!(all.starts_with("HTTP/1.1 500") && all.contains("HTTP/1.1 200"), "{all}");
    assert!(!all.contains("panicked") && !all.contains("wasm backtrace"), "{all}");
}
