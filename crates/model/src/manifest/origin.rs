//! `[origins.NAME]`: a pool of endpoints and how it is asked.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A pool of endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OriginSpec {
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Where it may go; never empty.
    pub endpoints: Vec<Endpoint>,
    /// The `Host` to send instead of the client's.
    pub host: Option<String>,
    /// The TLS server name to ask for instead of the host's.
    pub sni: Option<String>,
    /// How often to try.
    pub retry: Retry,
    /// How long to wait, by phase.
    pub timeout: Timeouts,
}

impl OriginSpec {
    /// A pool of these endpoints with every default.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            balance: Balance::default(),
            endpoints,
            host: None,
            sni: None,
            retry: Retry::default(),
            timeout: Timeouts::default(),
        }
    }
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// One after the other, as often as its weight says, spread evenly.
    Weighted,
}

/// One endpoint of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it is.
    pub url: EndpointUrl,
    /// Its share under [`Balance::Weighted`], at least 1.
    pub weight: u32,
}

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP/1.1 in the clear.
    Http,
    /// TLS; HTTP/2 or HTTP/1.1 by ALPN.
    Https,
    /// HTTP/2 in the clear by prior knowledge (`h2c://`).
    H2c,
}

/// Where an endpoint is: scheme, host and port. A path, query or user part is refused: it would be ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointUrl {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// DNS name or IP literal (IPv6 without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// Not a URL at all.
    #[error("`{0}` is not a URL; write it like http://10.0.0.1:8080 or https://web.internal")]
    NotUrl(String),
    /// An unknown scheme.
    #[error("`{0}` has a scheme that is not known here; use http://, https:// or h2c://")]
    Scheme(String),
    /// More than scheme, host and port.
    #[error("`{0}` has more than scheme, host and port; paths belong to routes")]
    Extra(String),
}

impl EndpointUrl {
    /// Host and port as they stand in a `Host` field; the scheme's own port is left out.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl Scheme {
    const fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::H2c => 80,
            Self::Https => 443,
        }
    }
}

impl FromStr for EndpointUrl {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let own = || text.to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(|| InvalidEndpoint::NotUrl(own()))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "h2c" => Scheme::H2c,
            _ => return Err(InvalidEndpoint::Scheme(own())),
        };
        // The url crate gives `https` its special rules, whatever the scheme was; the port is then ours to default.
        let url = url::Url::parse(&format!("https://{rest}")).map_err(|_| InvalidEndpoint::NotUrl(own()))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| InvalidEndpoint::NotUrl(own()))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidEndpoint::Extra(own()));
        }
        let explicit_443 = rest.trim_end_matches('/').ends_with(":443");
        let port = url.port().or(explicit_443.then_some(443)).unwrap_or(scheme.default_port());
        Ok(Self { scheme, host: host.trim_matches(['[', ']']).to_owned(), port })
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::H2c => "h2c",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl TryFrom<String> for EndpointUrl {
    type Error = InvalidEndpoint;

    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl From<EndpointUrl> for String {
    fn from(url: EndpointUrl) -> Self {
        url.to_string()
    }
}

/// How often a request is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Tries in all, the first one too; at least 1.
    pub attempts: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 2 }
    }
}

/// How long to wait, by phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// For a connection, its TLS handshake included.
    pub connect: Duration,
    /// From the sent request to the response's head.
    pub first_byte: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(1), first_byte: Duration::from_secs(15), idle: Duration::from_secs(60) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_urls() {
        let check = |text: &str, expected: Option<&str>| {
            let read = text.parse::<EndpointUrl>().map(|url| format!("{url} {}", url.port));
            assert_eq!(read.as_deref().ok(), expected, "{text}: {read:?}");
        };
        check("http://127.0.0.1:8080", Some("http://127.0.0.1:8080 8080"));
        check("http://a.example/", Some("http://a.example 80"));
        check("http://a.example:443", Some("http://a.example:443 443"));
        check("https://a.example", Some("https://a.example 443"));
        check("h2c://[::1]:81", Some("h2c://[::1]:81 81"));
        check("a.example", None);
        check("ftp://a.example", None);
        check("http://a.example/path", None);
        check("http://u:p@a.example", None);
        check("http://", None);
    }
}
