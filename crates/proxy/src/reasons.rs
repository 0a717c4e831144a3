//! Reasons: every `detail` of `Cache-Status`, with what it means. Logs and the tiers use the same words.

/// A reason and what it means.
#[derive(Debug, Clone, Copy)]
pub struct Reason {
    /// The word.
    pub name: &'static str,
    /// What it tells.
    pub meaning: &'static str,
}

/// Every reason, by what it is about.
pub const REASONS: &[(&str, &[Reason])] = &[
    (
        "Nothing usable was stored",
        &[
            reason("uri-miss", "nothing is stored for the URL"),
            reason("vary-miss", "something is, for other values of the fields in `Vary`"),
            reason("purged", "a purge rejected it"),
            reason(
                "invalidated",
                "the success of an unsafe method, or a cache group, rejected it (RFC 9111 §4.4, RFC 9875)",
            ),
            reason("incomplete", "parts of it are stored, but not what the request wants"),
            reason("hit-for-miss", "the last response could not be stored: requests do not queue for the next"),
        ],
    ),
    (
        "The stored response is stale, or was served although it is",
        &[
            reason("expired", "its lifetime is over"),
            reason("no-cache", "it says `no-cache`"),
            reason("soft-purged", "a soft purge made it stale"),
            reason("request", "the request wants a younger one (`no-cache`, `max-age`, `min-fresh`)"),
            reason("stale-while-revalidate", "served while a new one is fetched (RFC 5861 §3)"),
            reason("stale-if-error", "served because the origin failed (RFC 5861 §4)"),
            reason("max-stale", "served because the request allows it"),
        ],
    ),
    (
        "The route changed the lifetime",
        &[
            reason("route-ttl", "`ttl`"),
            reason("route-default-ttl", "`default_ttl`"),
            reason("route-min-ttl", "`min_ttl`"),
            reason("route-max-ttl", "`max_ttl`"),
            reason("route-negative-ttl", "`negative_ttl`"),
            reason("route-negative-max", "`negative_max`"),
        ],
    ),
    (
        "The response is not stored",
        &[
            reason("request-no-store", "the request says `no-store`"),
            reason("authorization", "the request has credentials, and the response does not say that it may be shared"),
            reason("no-store", "the response says so"),
            reason("private", "the response says so"),
            reason("no-freshness", "it states no lifetime and nothing to derive one from, or one that is over"),
            reason("status", "a status that is not stored, or not understood under `must-understand`"),
            reason("vary-star", "`Vary: *`, a member that names no field, or more than 32 fields"),
            reason("vary-client", "it varies by a field that the tier writes anew for each client"),
            reason("set-cookie", "it sets a cookie, and no directive says that everyone may have it"),
            reason("partial", "a 206 that does not say in one `Content-Range` which part it is"),
            reason("too-many-tags", "more tags or groups than are kept"),
            reason("too-large", "the body is larger than the store takes"),
        ],
    ),
    (
        "The request goes by the cache",
        &[
            reason("method", "its method is not looked up, or not allowed"),
            reason("route", "`cache = false`"),
            reason("request-body", "it has a body (a QUERY: more than enters the key), or the body broke off"),
            reason("upgrade", "it asks to leave HTTP (WebSocket)"),
            reason("precondition", "`If-Match` or `If-Unmodified-Since`: for the origin to judge (RFC 9111 §4.3.2)"),
            reason("head", "a HEAD for what is not stored"),
            reason("purge-lag", "this tier has not applied the purges that the sender knows of"),
            reason("fill-wait", "someone else's fetch took too long to wait for"),
            reason("fill-ended", "someone else's fetch ended without a response"),
            reason("fill-superseded", "what was fetched was purged or changed again and again"),
            reason("only-if-cached", "504: the request wants a stored response or none"),
        ],
    ),
    (
        "No answer from the next hop",
        &[
            reason("no-endpoint", "no endpoint of the pool is up"),
            reason("dns", "the name does not resolve"),
            reason("connect-failed", "no connection"),
            reason("connect-refused", "the endpoint refuses connections"),
            reason("connect-timeout", "no connection in time"),
            reason("tls", "the TLS handshake failed"),
            reason("first-byte-timeout", "no response in time"),
            reason("silent", "the connection went silent"),
            reason("closed", "the connection was closed before the response"),
            reason("reset", "the connection or stream was reset"),
            reason("broke-off", "the response broke off"),
            reason("protocol", "the other side does not keep to the protocol"),
            reason("head-too-large", "a head is too large: the response's, or (431) the request's"),
            reason("busy", "too many requests are under way"),
            reason("origin-error", "the origin answered with an error"),
            reason("upstream", "another failure, named in the log"),
            reason("no-origin", "the route has no origin"),
            reason("no-files", "the route has no files"),
            reason("file-unreadable", "a file of the release cannot be read"),
            reason("not-an-edge", "the shield was asked by someone else"),
        ],
    ),
    (
        "The request was refused",
        &[
            reason("host-missing", "no `Host`"),
            reason("host-invalid", "a `Host` that is none"),
            reason("scheme", "a target of another scheme than http or https"),
            reason("target-invalid", "a target that is no URI, or a path that climbs"),
            reason("no-such-site", "no site answers for the host"),
            reason("no-route", "no route of the site matches"),
            reason("loop", "the request has passed this CDN too often (RFC 8586)"),
            reason("options", "`OPTIONS *`"),
            reason("malformed-head", "no HTTP head"),
            reason("http-version", "a version that is not spoken here"),
            reason("too-many-fields", "more header fields than are read"),
            reason("fields-malformed", "a field that HTTP/2 or HTTP/3 does not allow"),
            reason("uri-too-long", "a target longer than is read"),
            reason("host-duplicate", "several `Host` fields"),
            reason("host-conflict", "`Host` and `:authority` differ"),
            reason("authority-invalid", "a target whose authority is none"),
            reason("length-duplicate", "several `Content-Length` fields"),
            reason("length-invalid", "a `Content-Length` that is none, or not the body's"),
            reason("length-and-transfer-encoding", "both at once: the sign of request smuggling (RFC 9112 §6.1)"),
            reason("transfer-encoding-duplicate", "several `Transfer-Encoding` fields"),
            reason("transfer-encoding-unknown", "a coding that is not `chunked`"),
            reason("head-timeout", "the head took too long to arrive"),
            reason("connect-accepted", "a `CONNECT` was answered as if there were a tunnel"),
            reason("interim-response", "an interim response in the place of a final one"),
        ],
    ),
    (
        "Handlers",
        &[
            reason("handler", "a handler answered"),
            reason("trap", "it trapped"),
            reason("cpu-limit", "it used up its CPU time"),
            reason("wall-limit", "it took too long"),
            reason("memory-limit", "it wanted more memory than it may have"),
            reason("no-response", "it gave no response"),
            reason("bad-response", "its response is none"),
            reason("too-many-calls", "it made more requests than it may"),
            reason("queue-full", "too many calls wait"),
            reason("instantiate", "it could not be started"),
            reason("stopping", "the node is stopping"),
        ],
    ),
];

const fn reason(name: &'static str, meaning: &'static str) -> Reason {
    Reason { name, meaning }
}

/// What another tier says, as one of the names that are published.
pub(crate) fn known(text: &str) -> &'static str {
    REASONS
        .iter()
        .flat_map(|(_, reasons)| *reasons)
        .find(|known| known.name == text)
        .map_or("upstream", |known| known.name)
}
