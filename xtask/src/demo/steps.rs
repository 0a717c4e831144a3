//! The steps of the tour. Each does one thing, checks that it did, and says what was seen.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::chain::Chain;
use super::client::Protocol::{Http1, Http2, Http3};
use super::load;

/// One step.
pub(super) struct Step {
    pub(super) title: &'static str,
    /// Returns what was seen, in a few words.
    pub(super) run: fn(&mut Chain) -> Result<String>,
}

/// In this order: later ones build on what earlier ones have cached.
pub(super) const STEPS: &[Step] = &[
    Step { title: "a site, published", run: publish },
    Step { title: "static files of the release", run: files },
    Step { title: "a burst of traffic", run: burst },
    Step { title: "misses, then hits", run: hits },
    Step { title: "100 first requests at once", run: at_once },
    Step { title: "a purge by URL", run: purge_url },
    Step { title: "a purge by tag", run: purge_tag },
    Step { title: "a handler's response", run: handler },
    Step { title: "hit ratio and latency", run: numbers },
];

fn publish(chain: &mut Chain) -> Result<String> {
    let site = chain.site.display().to_string();
    let released = chain.holm_json(&["publish", &site])?;
    let number = released["release"].as_u64().with_context(|| format!("no release in {released}"))?;
    let listed = chain.holm(&["releases", "--site", SITE])?;
    print_indented(&listed);
    Ok(format!("release {number} of `{SITE}`"))
}

fn files(chain: &mut Chain) -> Result<String> {
    let answer = chain.clients.get(Http1, "/")?;
    let kind = answer.header("content-type");
    ensure!(kind.starts_with("text/html"), "the front page is `{kind}`");
    Ok(format!("200, {kind}"))
}

fn hits(chain: &mut Chain) -> Result<String> {
    let path = "/origin/price";
    let first = chain.clients.get(Http1, path)?;
    first.expect_hit(false)?;
    chain.clients.get(Http1, path)?.expect_hit(true)?;
    // The scheme is part of the key: https begins with a miss of its own, and HTTP/3 then shares its hit.
    chain.clients.get(Http2, path)?.expect_hit(false)?;
    chain.clients.get(Http2, path)?.expect_hit(true)?;
    chain.clients.get(Http3, path)?.expect_hit(true)?;
    Ok(format!("`{}`, then `hit` over HTTP/1.1, HTTP/2 and HTTP/3", reason(first.cache())))
}

fn at_once(chain: &mut Chain) -> Result<String> {
    let path = "/origin/first";
    // The origin takes its time, so that all requests are there before its answer is.
    let got = chain.clients.get_at_once(&format!("{path}?delay=500&size=20000"), AT_ONCE)?;
    ensure!(got == AT_ONCE, "of {AT_ONCE} requests {got} got a 200");
    let asked: u64 = chain.asked(path)?.iter().sum();
    println!("   the origins were asked for {path}: {asked} ×");
    ensure!(asked == 1, "{AT_ONCE} requests at once made {asked} origin fetches");
    Ok(format!("{got} × 200, {asked} origin fetch"))
}

fn purge_url(chain: &mut Chain) -> Result<String> {
    let path = "/origin/purged";
    chain.clients.get(Http1, path)?.expect_hit(false)?;
    chain.clients.get(Http1, path)?.expect_hit(true)?;
    let url = format!("{}{path}", chain.clients.http);
    let purged = chain.holm_json(&["purge", "--site", SITE, "--url", &url])?;
    let nodes = applied(&purged)?;
    let next = chain.clients.get(Http1, path)?;
    next.expect_hit(false)?;
    chain.clients.get(Http1, path)?.expect_hit(true)?;
    Ok(format!("hit → purge ({nodes}) → `{}`", reason(next.cache())))
}

fn purge_tag(chain: &mut Chain) -> Result<String> {
    let paths = ["/origin/a?tag=sale", "/origin/b?tag=sale,new", "/origin/c?tag=new"];
    for path in paths {
        chain.clients.get(Http1, path)?.expect_hit(false)?;
    }
    applied(&chain.holm_json(&["purge", "--site", SITE, "--tag", "sale"])?)?;
    for (path, hit) in paths.into_iter().zip([false, false, true]) {
        chain.clients.get(Http1, path)?.expect_hit(hit)?;
    }
    Ok("2 of 3 pages bore the tag, and were fetched anew".into())
}

fn handler(chain: &mut Chain) -> Result<String> {
    let answer = chain.clients.get(Http2, "/api/offer")?;
    // It was told its currency by the manifest, and asked its site's origins for the price.
    for part in ["\"EUR\"", "to /origin/price"] {
        ensure!(answer.body.contains(part), "the handler's response is without {part}: {}", answer.body);
    }
    Ok(format!("200, `{}`", answer.beginning()))
}

fn burst(chain: &mut Chain) -> Result<String> {
    let paths: Vec<_> = (1..=20).map(|item| format!("/origin/item/{item}?size={}", item * 1000)).collect();
    println!("   HTTP/2  {}", load::http2(&chain.clients, BURST, &paths)?);
    println!("   HTTP/1  {}", load::http1(&chain.clients, BURST, &paths)?);
    let asked = chain.asked_in_all()?;
    println!("   the origins were asked {asked:?} ×, in all");
    ensure!(asked.iter().all(|count| *count > 0), "the pool's endpoints were asked {asked:?} times: not in turn");
    Ok(format!("{} requests, {} origin fetches", 2 * BURST, asked.iter().sum::<u64>()))
}

fn numbers(chain: &mut Chain) -> Result<String> {
    print_indented(&chain.holm(&["stats", "--window", "5m"])?);
    let stats = chain.holm_json(&["stats", "--window", "5m"])?;
    let edge = &stats["tiers"]["edge"];
    let ratio = edge["hit_ratio"].as_f64().with_context(|| format!("no hit ratio in {stats}"))?;
    let latency = |class: &str| edge["latency"][class]["p50_us"].as_u64().unwrap_or_default();
    ensure!(ratio > LEAST_RATIO, "the hit ratio is {:.1} %", ratio * 100.0);
    Ok(format!(
        "{:.1} % (> {:.0} %) of {} requests; p50 hit {} µs, miss {} µs, handler {} µs",
        ratio * 100.0,
        LEAST_RATIO * 100.0,
        edge["requests"],
        latency("hit"),
        latency("miss"),
        latency("handler")
    ))
}

/// Has every node applied the purge? Says when.
fn applied(purged: &Value) -> Result<String> {
    let nodes = purged["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lagging = purged["lagging"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(!nodes.is_empty() && lagging.is_empty(), "not every node has applied the purge: {purged}");
    let slowest = nodes.iter().filter_map(|node| node["ms"].as_u64()).max().unwrap_or_default();
    Ok(format!("{} nodes within {slowest} ms", nodes.len()))
}

/// The `fwd=…` of what `Cache-Status` says.
fn reason(cache: &str) -> &str {
    cache.split(';').map(str::trim).find(|parameter| parameter.starts_with("fwd=")).unwrap_or(cache)
}

fn print_indented(text: &str) {
    for line in text.lines() {
        println!("   {line}");
    }
}

/// The name in examples/shop/holm.toml.
const SITE: &str = "shop";
const AT_ONCE: usize = 100;
/// Requests of each half of the burst.
const BURST: u64 = 15_000;
const LEAST_RATIO: f64 = 0.9;
