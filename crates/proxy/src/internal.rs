//! What the tiers tell each other on an internal hop (edge → shield), as `Holm-…` fields under mutual TLS.
//!
//! None of these fields may cross an outside boundary in either direction: [`strip`] runs on every request from a client and on
//! every response to one.

use holm_model::ids::{LogId, Seq, SiteName};
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::reasons;

/// Request: the sender's `applied` when the fetch began. Response: the seq that the answer is good for, in the same log.
pub(crate) const AS_OF: HeaderName = HeaderName::from_static("holm-as-of");
/// Request: the purge log that the sender's `applied` counts in, if it follows one.
pub(crate) const LOG: HeaderName = HeaderName::from_static("holm-log");
/// The site that the edge routed the request to.
pub(crate) const SITE: HeaderName = HeaderName::from_static("holm-site");
/// The scheme the client used; the hop itself is always https.
pub(crate) const SCHEME: HeaderName = HeaderName::from_static("holm-scheme");
/// On a tunnel's POST: the protocol the client asks to upgrade to.
pub(crate) const UPGRADE: HeaderName = HeaderName::from_static("holm-upgrade");
/// On a tunnel's answer: present when the origin switched protocols.
pub(crate) const UPGRADED: HeaderName = HeaderName::from_static("holm-upgraded");
/// On an error answer made by a tier: the reason that the client's `Cache-Status` shall name.
pub(crate) const REASON: HeaderName = HeaderName::from_static("holm-reason");

/// On an answer: its `Age` holds the time that its fetch took.
pub(crate) const AGED: HeaderName = HeaderName::from_static("holm-aged");

/// On an answer that is a stale one in an error's stead (RFC 5861 §4): the error's status and reason.
pub(crate) const BRIDGED: HeaderName = HeaderName::from_static("holm-bridged");

const ALL: [HeaderName; 9] = [AS_OF, LOG, SITE, SCHEME, UPGRADE, UPGRADED, REASON, AGED, BRIDGED];

/// Removes every internal field.
pub(crate) fn strip(headers: &mut HeaderMap) {
    for name in ALL {
        headers.remove(name);
    }
}

/// The part of a request that only the next tier reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) site: SiteName,
    pub(crate) scheme: Scheme,
    pub(crate) log: Option<LogId>,
    pub(crate) applied: Seq,
}

impl Envelope {
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(AS_OF, HeaderValue::from(self.applied.get()));
        headers.insert(SCHEME, HeaderValue::from_static(self.scheme.as_str()));
        if let Some(log) = self.log.and_then(|log| HeaderValue::from_str(&log.to_string()).ok()) {
            headers.insert(LOG, log);
        }
        if let Ok(site) = HeaderValue::from_str(self.site.as_str()) {
            headers.insert(SITE, site);
        }
    }

    /// `None` where a field is missing or malformed: the sender is no Holm tier of this version.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
        Some(Self {
            site: text(&SITE)?.parse().ok()?,
            scheme: Scheme::parse(text(&SCHEME)?)?,
            log: text(&LOG).and_then(|log| log.parse().ok()),
            applied: as_of(headers)?,
        })
    }
}

/// The `Holm-As-Of` field.
pub(crate) fn as_of(headers: &HeaderMap) -> Option<Seq> {
    headers.get(&AS_OF)?.to_str().ok()?.parse::<u64>().ok().map(Seq::new)
}

/// Writes the `Holm-As-Of` field.
pub(crate) fn write_as_of(headers: &mut HeaderMap, seq: Seq) {
    headers.insert(AS_OF, HeaderValue::from(seq.get()));
}

/// Writes the `Holm-Bridged` field.
pub(crate) fn write_bridged(headers: &mut HeaderMap, status: StatusCode, reason: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("{} {reason}", status.as_u16())) {
        headers.insert(BRIDGED, value);
    }
}

/// The `Holm-Bridged` field.
pub(crate) fn bridged(headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let (status, reason) = headers.get(&BRIDGED)?.to_str().ok()?.split_once(' ')?;
    Some((status.parse().ok()?, reasons::known(reason)))
}

/// How the client reached the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS or QUIC.
    Https,
}

impl Scheme {
    /// The URI scheme's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URI of this scheme need not name (RFC 9110 §4.2).
    pub(crate) const fn default_port(self) -> &'static str {
        match self {
            Self::Http => "80",
            Self::Https => "443",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }
}
