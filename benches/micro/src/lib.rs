//! The decisions whose cost is measured: what the policy does for every hit.

use std::hint::black_box;
use std::time::Duration;

use holm_cache_policy::{
    CacheKey, FetchTimes, KeyInput, RequestDirectives, StoredMeta, VarySpec, VaryValues, Verdict, storable,
};
use holm_model::manifest::{CacheRule, KeyRule, Languages};
use holm_model::units::Timestamp;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName};
use http::{HeaderValue, Method, StatusCode};

/// A request for a stored response, and that response as the policy remembers it.
#[derive(Debug)]
pub struct Hit {
    request: HeaderMap,
    stored: StoredMeta,
    now: Timestamp,
    rule: KeyRule,
    primary: CacheKey,
    spec: VarySpec,
}

/// What is measured. `xtask/src/bench/policy.rs` and the test of allocations know it by its name.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// The name.
    pub name: &'static str,
    /// Does it once.
    pub run: fn(&Hit),
    /// What the request's `Cache-Control` is.
    pub cache_control: Option<&'static str>,
}

impl Hit {
    /// A browser's request, with this `Cache-Control`, for a response that is fresh for an hour and a minute old.
    ///
    /// # Panics
    /// The policy refuses to store the response.
    #[must_use]
    pub fn new(cache_control: Option<&'static str>) -> Self {
        let mut request = fields(BROWSER);
        if let Some(value) = cache_control {
            request.insert(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        let received = Timestamp::from_secs(1_700_000_000);
        let times = FetchTimes { requested: received, received };
        let response = fields(RESPONSE);
        let stored = storable(&Method::GET, &fields(BROWSER), StatusCode::OK, &response, &CacheRule::default(), times)
            .expect("invariant: a response with max-age is stored");
        let spec = VarySpec::of(&response).expect("invariant: the response varies");
        let now = received.plus(Duration::from_secs(60));
        Self { request, stored, now, rule: KeyRule::default(), primary: CacheKey(0), spec }
    }

    /// One decision, parsed metadata in hand: the request's directives, the verdict, and what `Age` and `Cache-Status` say.
    ///
    /// # Panics
    /// The verdict is none to serve.
    pub fn decide(&self) {
        let hit = black_box(self);
        let directives = RequestDirectives::parse(&hit.request);
        let verdict = hit.stored.verdict(&directives, hit.now, None);
        assert_eq!(verdict, Verdict::Serve, "a fresh response is served");
        black_box((hit.stored.age(hit.now), hit.stored.ttl(hit.now)));
    }

    /// The key of a URL of usual length.
    pub fn key(&self) {
        let hit = black_box(self);
        black_box(CacheKey::primary(&KeyInput {
            site: "shop",
            scheme: "https",
            host: "www.example.com",
            port: "",
            path: "/products/2024/shoes/running/red-42.html",
            query: Some("utm_source=mail&page=2"),
            request: &hit.request,
            content: None,
            rule: &hit.rule,
        }));
    }

    /// The key of the variant that a browser selects.
    pub fn variant(&self) {
        let hit = black_box(self);
        let values = VaryValues::of(&hit.spec, &hit.request, &Languages::Normalised);
        black_box(hit.primary.variant(&values));
    }
}

/// All of them.
pub const MEASURED: &[Measured] = &[
    Measured { name: "hit", run: Hit::decide, cache_control: None },
    Measured {
        name: "hit-directives",
        run: Hit::decide,
        cache_control: Some("max-age=600, no-transform, ext=\"a, b\""),
    },
    Measured { name: "key", run: Hit::key, cache_control: None },
    Measured { name: "variant", run: Hit::variant, cache_control: None },
];

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    fields.iter().map(field).collect()
}

/// What a browser sends with a navigation.
const BROWSER: &[(&str, &str)] = &[
    ("host", "www.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "none"),
    ("priority", "u=0, i"),
];

const RESPONSE: &[(&str, &str)] = &[
    ("cache-control", "public, max-age=3600, stale-while-revalidate=60"),
    ("content-type", "text/html; charset=utf-8"),
    ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
    ("vary", "accept-encoding, accept-language"),
];
