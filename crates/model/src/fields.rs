//! Request fields that no client's word counts in: those that the tiers write or remove, and so neither keys nor origins
//! see as a client sent them. Names are in lower case; an underscore counts as a hyphen, which it is for CGI and its heirs
//! (RFC 3875 §4.1.18).

use std::borrow::Cow;

/// Does it tell of the client, or of another target than the request's? An origin that believes such a field answers by
/// what no cache key holds (docs/cache-safety.md).
#[must_use]
pub fn is_about_the_client(name: &str) -> bool {
    let name = hyphenated(name);
    ABOUT_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || ABOUT.contains(&name.as_ref())
}

/// Does it ask for another method than the request's? A stored response would be that of the other method.
#[must_use]
pub fn overrides_method(name: &str) -> bool {
    METHOD_OVERRIDES.contains(&hyphenated(name).as_ref())
}

/// Does it concern one connection only (RFC 9110 §7.6.1)?
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

/// Do the tiers add to it or make it anew on the way?
#[must_use]
pub fn is_written_by_tiers(name: &str) -> bool {
    matches!(name, "via" | "cdn-loop") || name.starts_with("holm-")
}

fn hyphenated(name: &str) -> Cow<'_, str> {
    if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) }
}

const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// Families of fields that proxies write for what is behind them.
const ABOUT_PREFIXES: [&str; 3] = ["x-forwarded", "x-forward-", "x-envoy-"];

const ABOUT: [&str; 29] = [
    "client-ip",
    "fastly-client-ip",
    "fastly-ssl",
    "forwarded",
    "front-end-https",
    "proxy",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-backend-host",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-host-override",
    "x-middleware-subrequest",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-path",
    "x-original-proto",
    "x-original-remote-addr",
    "x-original-scheme",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_overrides() {
        let check = |name: &str, overrides: bool| assert_eq!(overrides_method(name), overrides, "{name}");
        check("x-http-method-override", true);
        check("x_method_override", true);
        check("x-http-method", true);
        check("x-method", false);
    }

    #[test]
    fn families() {
        let check = |name: &str, about: bool| assert_eq!(is_about_the_client(name), about, "{name}");
        check("forwarded", true);
        check("x-forwarded-host", true);
        check("x-forwarded", true);
        check("x-original-url", true);
        check("x-host", true);
        check("x_forwarded_host", true);
        check("x-forwarded_proto", true);
        check("x_plan", false);
        check("x-original-filename", false);
        check("x-plan", false);
        check("host", false);
        check("user-agent", false);
    }
}
