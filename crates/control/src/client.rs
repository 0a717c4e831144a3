//! The client of the control API: what `holm publish`, `purge`, `stats` and the others say to a node.

mod call;
mod error;
mod upload;

use std::time::Duration;

use holm_model::ids::{ReleaseNumber, SiteName};
use holm_model::units::HumanDuration;
use holm_telemetry::StatsReport;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, IF_MATCH};
use reqwest::{Certificate, Url};

use self::call::{Call, Repeat};
pub use self::error::ClientError;
pub use self::upload::{BlobSource, BlobState, Progress, Uploaded};
use crate::wire::{
    ActivateRequest, Activated, MAX_WAIT, NodeStatus, PublishRequest, PurgeRequest, Purged, ReleaseSummary,
    SiteSummary, Wait,
};

/// Where a node's admin listener is and what to show it.
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    /// Its address, such as `http://127.0.0.1:8081`.
    pub admin: String,
    /// The token. Never in a log: [`HeaderValue::set_sensitive`].
    pub token: Option<String>,
    /// The certificates (PEM) that an https address must be signed by; none: those of the system.
    pub ca: Option<Vec<u8>>,
}

/// A client of one cluster, through one of its nodes. Cloning it is cheap and shares the connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client of the node at `config.admin`. Nothing is sent yet.
    ///
    /// # Errors
    /// The address, the token or the certificates are none.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let base = address(&config.admin)?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &config.token {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT)
            // A redirect would carry the token to an address that nobody has named.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("holm/", env!("CARGO_PKG_VERSION")));
        let http = match (&config.ca, base.scheme()) {
            (Some(pem), "https") => http.tls_certs_only(certificates(pem)?),
            (None, "https") => http,
            // The system's certificates may be missing, and are not needed.
            _ => http.tls_certs_only([]),
        };
        let http = http.build().map_err(|error| ClientError::Certificates(error::cause(&error)))?;
        Ok(Self { http, base })
    }

    /// The address of the node.
    #[must_use]
    pub fn admin(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Does the token cross a network in the clear?
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let loopback = host.parse::<std::net::IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
        self.base.scheme() == "http" && !loopback
    }

    /// Makes a release of `site`, whose content is there already. A server makes none where the latest is the same, so a
    /// call whose answer was lost is repeated like a read.
    ///
    /// # Errors
    /// The manifest or the content is refused; see [`ClientError`] for the others.
    pub async fn publish(&self, site: &SiteName, request: &PublishRequest) -> Result<ReleaseSummary, ClientError> {
        let call = Call::post(self.url(&["v1", "sites", site.as_str(), "releases"])).json(request)?;
        self.fetch(call.repeat(Repeat::Always).timeout(LONG_CALL)).await
    }

    /// Serves `request.release` of `site` from now on if `expected` is the one that is active now.
    ///
    /// # Errors
    /// 412: another release is active; see [`ClientError`] for the others.
    pub async fn activate(
        &self,
        site: &SiteName,
        expected: Option<ReleaseNumber>,
        request: &ActivateRequest,
    ) -> Result<Activated, ClientError> {
        let tag = format!("\"{}\"", expected.unwrap_or_default());
        let call = Call::put(self.url(&["v1", "sites", site.as_str(), "active"])).json(request)?;
        self.fetch(call.header(IF_MATCH, &tag).timeout(patience(request.wait))).await
    }

    /// The releases of `site`, oldest first.
    ///
    /// # Errors
    /// There is no such site; see [`ClientError`] for the others.
    pub async fn releases(&self, site: &SiteName) -> Result<Vec<ReleaseSummary>, ClientError> {
        self.fetch(Call::get(self.url(&["v1", "sites", site.as_str(), "releases"]))).await
    }

    /// The cluster's sites.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn sites(&self) -> Result<Vec<SiteSummary>, ClientError> {
        self.fetch(Call::get(self.url(&["v1", "sites"]))).await
    }

    /// Purges content of `site`. A purge that was sent twice because the first answer was lost does no harm, so it is
    /// repeated like a read.
    ///
    /// # Errors
    /// A selector is refused; see [`ClientError`] for the others.
    pub async fn purge(&self, site: &SiteName, request: &PurgeRequest) -> Result<Purged, ClientError> {
        let call = Call::post(self.url(&["v1", "sites", site.as_str(), "purge"])).json(request)?;
        self.fetch(call.repeat(Repeat::Always).timeout(patience(request.wait))).await
    }

    /// Traffic within the last `window`, of one site or of all.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stats(&self, site: Option<&SiteName>, window: HumanDuration) -> Result<StatsReport, ClientError> {
        let mut url = self.url(&["v1", "stats"]);
        url.query_pairs_mut().append_pair("window", &window.to_string());
        if let Some(site) = site {
            url.query_pairs_mut().append_pair("site", site.as_str());
        }
        self.fetch(Call::get(url)).await
    }

    /// The cluster's nodes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn nodes(&self) -> Result<Vec<NodeStatus>, ClientError> {
        self.fetch(Call::get(self.url(&["v1", "nodes"]))).await
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

/// Reads an address as people write it: `http://` may be left out.
fn address(text: &str) -> Result<Url, ClientError> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let refuse = |reason: &str| ClientError::Address { url: text.to_owned(), reason: reason.to_owned() };
    let url = Url::parse(&whole).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refuse("it has to begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has no user, query or fragment"));
    }
    Ok(url)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, ClientError> {
    let found = Certificate::from_pem_bundle(pem).map_err(|error| ClientError::Certificates(error::cause(&error)))?;
    if found.is_empty() {
        return Err(ClientError::Certificates("there is none in the file".to_owned()));
    }
    Ok(found)
}

/// How long to wait for an answer that waits for nodes.
fn patience(wait: Wait) -> Duration {
    match wait {
        Wait::Durable => SHORT_CALL,
        Wait::Applied => MAX_WAIT + SHORT_CALL,
    }
}

/// For a connection to come up. An admin listener is near, or at least a round trip away.
const CONNECT: Duration = Duration::from_secs(5);

/// For an ordinary answer, from the call to the body's last byte.
const SHORT_CALL: Duration = Duration::from_secs(20);

/// For a release to be checked and stored: its components are validated.
const LONG_CALL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
