//! Values of options that need more than `FromStr`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use holm_model::ids::ReleaseNumber;
use holm_model::units::HumanDuration;
use http::{HeaderName, HeaderValue, Uri};

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or `:8080` for every address.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let usage = || format!("write it like 127.0.0.1:8080, [::1]:8080, localhost:8080 or :8080, not `{text}`");
    let (host, port) = text.rsplit_once(':').ok_or_else(usage)?;
    let port: u16 = port.parse().map_err(|_| usage())?;
    match host {
        "" => Ok(SocketAddr::from(([0, 0, 0, 0], port))),
        // Only this name is looked up: another one may take long, and belongs in a manifest.
        "localhost" => (host, port).to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(usage),
        _ => Err(usage()),
    }
}

/// `K=V`.
pub(super) fn env_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it like MODE=live".to_owned()),
    }
}

/// `https://shop.example/path?query`.
pub(super) fn absolute_url(text: &str) -> Result<Uri, String> {
    let uri = text.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    uri.ok_or_else(|| "write it like https://shop.example/path?query".to_owned())
}

/// `Name: value`.
pub(super) fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parse = || {
        let (name, value) = text.split_once(':')?;
        Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
    };
    parse().ok_or_else(|| "write it like 'Cookie: currency=EUR'".to_owned())
}

/// A release's number, from 1.
pub(super) fn release_number(text: &str) -> Result<ReleaseNumber, String> {
    match text.trim_start_matches('#').parse::<u64>() {
        Ok(number) if number > 0 => Ok(ReleaseNumber::new(number)),
        _ => Err("a release has a number from 1; `holm releases` lists them".to_owned()),
    }
}

/// A window of the statistics.
pub(super) fn window(text: &str) -> Result<HumanDuration, String> {
    let window: HumanDuration = text.parse().map_err(|error: holm_model::units::InvalidUnit| error.to_string())?;
    if window.0 < LEAST_WINDOW || window.0 > MOST_WINDOW {
        return Err("a window is from 10s to 1h".to_owned());
    }
    Ok(window)
}

/// An option that the command's language has, and this version does not.
pub(super) fn not_available(_: &str) -> Result<String, String> {
    Err("this option is not available in this version".to_owned())
}

/// The nodes count in buckets of this length.
const LEAST_WINDOW: Duration = Duration::from_secs(10);
/// The nodes keep their buckets for this long.
const MOST_WINDOW: Duration = Duration::from_secs(3600);
