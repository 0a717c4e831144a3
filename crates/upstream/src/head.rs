//! Heads: a request as the next hop's protocol wants it.

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri, Version};

use holm_transport::body::Body;

/// Whom the request is for: its URI's authority, or its `Host`.
pub(crate) fn authority(request: &Request<Body>) -> Option<Authority> {
    let named = request.uri().authority().cloned();
    named.or_else(|| request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok()))
}

/// RFC 9112 §3.2.1: origin-form and a `Host`.
pub(crate) fn for_http1(request: &mut Request<Body>, authority: &Authority) {
    if request.method() != Method::CONNECT {
        let path = path(request.uri());
        *request.uri_mut() = Uri::from(path);
    }
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        request.headers_mut().insert(HOST, host);
    }
    *request.version_mut() = Version::HTTP_11;
}

/// RFC 9113 §8.3.1, RFC 9114 §4.3.1: scheme and authority beside the path, no `Host`.
pub(crate) fn for_multiplexed(request: &mut Request<Body>, scheme: Scheme, authority: &Authority, version: Version) {
    request.headers_mut().remove(HOST);
    *request.version_mut() = version;
    if request.method() == Method::CONNECT {
        *request.uri_mut() = Uri::from(authority.clone());
        return;
    }
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path(request.uri()));
    parts.scheme = Some(scheme);
    parts.authority = Some(authority.clone());
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, uri: &str, host: Option<&str>) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        request.body(Body::empty()).expect("a valid test request")
    }

    #[test]
    fn forms() {
        let check = |uri: &str, host: Option<&str>, h1: (&str, &str), h2: &str| {
            let mut one = request(Method::GET, uri, host);
            let whom = authority(&one).unwrap_or_else(|| Authority::from_static("origin:81"));
            for_http1(&mut one, &whom);
            assert_eq!(
                (one.uri().to_string().as_str(), one.headers()[HOST].to_str().ok()),
                (h1.0, Some(h1.1)),
                "{uri}"
            );
            let mut two = request(Method::GET, uri, host);
            for_multiplexed(&mut two, Scheme::HTTPS, &whom, Version::HTTP_2);
            assert_eq!((two.uri().to_string().as_str(), two.headers().get(HOST)), (h2, None), "{uri}");
        };
        check("/a?b", Some("x:1"), ("/a?b", "x:1"), "https://x:1/a?b");
        check("http://y/a?b", Some("x:1"), ("/a?b", "y"), "https://y/a?b");
        check("http://y", None, ("/", "y"), "https://y/");
        check("/a", None, ("/a", "origin:81"), "https://origin:81/a");
        check("*", Some("x"), ("*", "x"), "https://x*");
    }
}
