//! Load: h2load, bounded by a number of requests.

use anyhow::{Context as _, Result, ensure};

use super::client::Clients;
use crate::command;

/// Sends `requests` over HTTP/2 with TLS, spread over the paths. All must succeed.
pub(super) fn http2(clients: &Clients, requests: u64, paths: &[String]) -> Result<String> {
    let urls = paths.iter().map(|path| format!("{}{path}", clients.https));
    h2load(&["-c", "16", "-m", "8"], requests, urls)
}

/// The same over HTTP/1.1 in the clear.
pub(super) fn http1(clients: &Clients, requests: u64, paths: &[String]) -> Result<String> {
    let urls = paths.iter().map(|path| format!("{}{path}", clients.http));
    h2load(&["--h1", "-c", "16"], requests, urls)
}

/// Runs it. Returns its line about the rate.
fn h2load(words: &[&str], requests: u64, urls: impl Iterator<Item = String>) -> Result<String> {
    let mut h2load = command::program("h2load");
    h2load.args(words).args(["-n", &requests.to_string()]);
    println!("   $ h2load {} -n {requests} …", words.join(" "));
    let text = command::text(h2load.args(urls))?;
    let succeeded = succeeded(&text).with_context(|| format!("h2load printed no counts: {text}"))?;
    ensure!(succeeded == requests, "of {requests} requests {succeeded} got a 2xx:\n{text}");
    Ok(text.lines().find_map(|line| line.strip_prefix("finished in ")).unwrap_or_default().to_owned())
}

/// Of the line `status codes: 100 2xx, 0 3xx, …`.
fn succeeded(text: &str) -> Option<u64> {
    let codes = text.lines().find_map(|line| line.strip_prefix("status codes: "))?;
    codes.split(' ').next()?.parse().ok()
}
