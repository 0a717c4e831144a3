//! Addresses: whom a request is for, as its client wrote it and as sites are found by it. No allocation in the usual case.

use http::header::{HOST, HeaderValue};
use http::{Request, uri};

use crate::internal::Scheme;

/// The authority of a request: host and port.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    text: Text,
    /// Where the port begins (its colon), or the end.
    host_end: usize,
}

#[derive(Debug, Clone)]
enum Text {
    Field(HeaderValue),
    Target(uri::Authority),
    Own(Box<str>),
}

impl Authority {
    /// RFC 9112 §3.2.2, RFC 9113 §8.3.1: the target's own authority, else `Host`.
    ///
    /// # Errors
    /// The named reason to refuse the request.
    pub(crate) fn of<B>(request: &Request<B>) -> Result<Self, &'static str> {
        if let Some(authority) = request.uri().authority() {
            return Self::new(Text::Target(authority.clone()));
        }
        let field = request.headers().get(HOST).ok_or("host-missing")?;
        Self::new(Text::Field(field.clone()))
    }

    /// Reads `host` or `host:port`.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        Self::new(Text::Own(text.into()))
    }

    fn new(text: Text) -> Result<Self, &'static str> {
        let written = text.as_str();
        if !holm_transport::is_valid_host(written.as_bytes()) {
            return Err("host-invalid");
        }
        let host_end = match written.rfind(':') {
            Some(at) if !written[at..].contains(']') => at,
            _ => written.len(),
        };
        // RFC 9110 §4.2.3: case says nothing, so neither origins nor keys shall see any.
        let lower = written.bytes().any(|b| b.is_ascii_uppercase()).then(|| written.to_ascii_lowercase());
        Ok(Self { host_end, text: lower.map_or(text, |lower| Text::Own(lower.into())) })
    }

    /// Host, in lower case, and port.
    pub(crate) fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The host in lower case, without the port; an IPv6 literal keeps its brackets.
    pub(crate) fn host(&self) -> &str {
        &self.as_str()[..self.host_end]
    }

    /// The port; empty where there is none, or where it is the scheme's own.
    pub(crate) fn port(&self, scheme: Scheme) -> &str {
        let written = self.as_str()[self.host_end..].trim_start_matches(':');
        if written == scheme.default_port() { "" } else { written }
    }
}

impl Text {
    fn as_str(&self) -> &str {
        match self {
            // A field that is not visible ASCII is refused as invalid.
            Self::Field(value) => value.to_str().unwrap_or_default(),
            Self::Target(authority) => authority.as_str(),
            Self::Own(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_are_not_the_schemes_own() {
        let check = |text: &str, scheme: Scheme, expected: &str| {
            assert_eq!(Authority::parse(text).unwrap().port(scheme), expected, "{text}");
        };
        check("a.example", Scheme::Http, "");
        check("a.example:80", Scheme::Http, "");
        check("a.example:80", Scheme::Https, "80");
        check("a.example:443", Scheme::Https, "");
        check("[::1]:8080", Scheme::Http, "8080");
        check("[::1]", Scheme::Http, "");
    }

    #[test]
    fn hosts_and_ports() {
        let check = |target: &str, host: Option<&str>, expected: Result<(&str, &str), &str>| {
            let mut request = Request::builder().uri(target);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let found = Authority::of(&request.body(()).unwrap());
            let found =
                found.as_ref().map(|authority| (authority.as_str(), authority.host())).map_err(|reason| *reason);
            assert_eq!(found, expected, "{target} {host:?}");
        };
        check("/", Some("Shop.example:80"), Ok(("shop.example:80", "shop.example")));
        check("/", Some("shop.example"), Ok(("shop.example", "shop.example")));
        check("http://a.example/x", Some("b.example"), Ok(("a.example", "a.example")));
        check("/", Some("[::1]:8080"), Ok(("[::1]:8080", "[::1]")));
        check("/", Some("[::1]"), Ok(("[::1]", "[::1]")));
        check("/", None, Err("host-missing"));
        check("/", Some(""), Err("host-invalid"));
        check("/", Some("a b"), Err("host-invalid"));
        check("http://user@a.example/", None, Err("host-invalid"));
    }
}
