//! What a node would look up for a request: for `holm check --key`, by the code that answers requests.

use holm_cache_policy::{CacheKey, Explanation};
use holm_model::manifest::{Manifest, Route};
use holm_transport::body::Body;
use http::Request;

use crate::address::Authority;
use crate::edge;
use crate::internal::Scheme;
use crate::node::key_input;
use crate::respond::bypass_reason;

/// Where a request goes and what its response is stored under.
#[derive(Debug)]
pub struct LookUp<'a> {
    /// The route whose handler runs first, if one does.
    pub handler: Option<&'a Route>,
    /// The route whose cache is looked up; `None` where the handler is all there is.
    pub route: Option<&'a Route>,
    /// The path in its normal form.
    pub path: String,
    /// Why nothing is looked up.
    pub bypass: Option<&'static str>,
    /// What enters the key and what does not.
    pub explanation: Explanation,
    /// `None` for files: the number of their release enters.
    pub key: Option<CacheKey>,
}

impl<'a> LookUp<'a> {
    /// What the nodes of the manifest's site look up for `request`, whose target is an absolute URL.
    ///
    /// # Errors
    /// The named reason why they refuse it.
    pub fn of(manifest: &'a Manifest, request: Request<()>) -> Result<Self, &'static str> {
        let mut request = request.map(|()| Body::empty());
        edge::check_target(&mut request).map_err(|(_, reason)| reason)?;
        let authority = Authority::of(&request)?;
        if !manifest.hosts.iter().any(|host| host.matches(authority.host())) {
            return Err("no-such-site");
        }
        let scheme = if request.uri().scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
        edge::enter(&mut request);
        let path = request.uri().path().to_owned();
        let first = |wanted: &dyn Fn(&Route) -> bool| {
            manifest.routes.iter().position(|route| wanted(route) && route.path.matches(&path))
        };
        let viewer = first(&|_| true).ok_or("no-route")?;
        let handler = Some(&manifest.routes[viewer]).filter(|route| route.handler.is_some());
        let Some(index) = first(&Route::has_content) else {
            let (explanation, bypass) = (Explanation::default(), Some("handler"));
            return Ok(Self { handler, route: None, path, bypass, explanation, key: None });
        };
        let route = &manifest.routes[index];
        let files = route.files.is_some();
        let site = if files { format!("{}@RELEASE#{index}", manifest.name) } else { manifest.name.to_string() };
        let input = key_input(&site, scheme, &authority, &request, &route.cache.key);
        let (explanation, key) = (input.explain(), CacheKey::primary(&input));
        let bypass = bypass_reason(&route.cache, &request);
        Ok(Self { handler, route: Some(route), path, bypass, explanation, key: (!files).then_some(key) })
    }
}

#[cfg(test)]
mod tests {
    use holm_model::manifest::parse;

    use super::*;

    const SITE: &str = r#"
name = "shop"
hosts = ["shop.example", "*.shop.example"]
routes = [
    { path = "/api/*", handler = "api" },
    { path = "/assets/*", origin = "web", cache = { key = { query = ["v"] } } },
    { path = "/live/*", origin = "web", cache = false },
    { path = "/files/*", files = "." },
    { path = "/web/*", origin = "web" },
]
[handlers.api]
component = "api"
[origins.web]
endpoints = ["http://127.0.0.1:1"]
"#;

    #[track_caller]
    fn check(line: &str, expected: Result<(Option<&str>, Option<&str>), &str>) {
        let manifest = parse("holm.toml", SITE).unwrap_or_else(|errors| panic!("{errors}"));
        let (method, url) = line.split_once(' ').expect("a method");
        let request = Request::builder().method(method).uri(url).body(()).expect("a request");
        let found = LookUp::of(&manifest, request);
        let found = found.map(|found| (found.route.map(|route| route.name().to_owned()), found.bypass));
        let expected = expected.map(|(route, bypass)| (route.map(str::to_owned), bypass));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn where_requests_go() {
        check("GET https://shop.example/assets/a.css?v=1", Ok((Some("/assets/*"), None)));
        check("GET https://shop.example/x/../%61ssets/a.css", Ok((Some("/assets/*"), None)));
        check("GET http://www.SHOP.example:8080/web/", Ok((Some("/web/*"), None)));
        check("POST https://shop.example/web/", Ok((Some("/web/*"), Some("method"))));
        check("GET https://shop.example/live/", Ok((Some("/live/*"), Some("route"))));
        check("GET https://shop.example/api/x", Ok((None, Some("handler"))));
        check("GET https://shop.example/", Err("no-route"));
        check("GET https://other.example/web/", Err("no-such-site"));
        check("GET https://shop.example/web/..%2fx", Err("target-invalid"));
        check("TRACE https://shop.example/web/", Err("method"));
    }

    #[test]
    fn keys_are_those_of_the_normal_form() {
        let manifest = parse("holm.toml", SITE).unwrap_or_else(|errors| panic!("{errors}"));
        let key = |url: &str| {
            let request = Request::builder().uri(url).body(()).expect("a request");
            LookUp::of(&manifest, request).expect("a route").key
        };
        let plain = key("https://shop.example/assets/a.css?v=1");
        assert!(plain.is_some());
        assert_eq!(key("https://Shop.example:443/x/../%61ssets/a.css?w=2&v=1"), plain);
        assert_ne!(key("https://shop.example/assets/a.css?v=2"), plain);
        assert_eq!(key("https://shop.example/files/a.css"), None, "a release's number is not known");
    }
}
