//! A node before a scripted next hop: what is fetched, what is served, and what is said of it.

mod keys;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use holm_model::disk::DiskPlace;
use holm_model::limits::MIN_DISK;
use holm_model::manifest::{EndpointUrl, KeyRule, Manifest, OriginSpec};
use holm_model::purge::{PurgeMode, Selector};
use holm_model::release::Release;
use holm_telemetry::Telemetry;
use holm_transport::body::BodySender;
use holm_transport::interim::Interims;
use holm_upstream::Pool;
use http::HeaderMap;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::*;
use crate::hop::{Answer, HopError};
use crate::site::Parts;

mod fills;
mod interim;
mod logs;
mod memory;
mod model;
mod renewing;
mod slices;

type Respond = Box<dyn Fn(&Request<Body>) -> Result<Response<Body>, HopError> + Send + Sync>;

/// Answers as it is told, and counts.
struct Origin {
    respond: Mutex<Respond>,
    asked: AtomicUsize,
}

impl NextHop for Arc<Origin> {
    fn send(&self, request: Request<Body>, way: Way) -> BoxFuture<'static, Result<Answer, HopError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let response = (self.respond.lock())(&request);
        Box::pin(async move {
            response.map(|response| Answer { response, as_of: way.begun.applied, aged: false, bridged: None })
        })
    }
}

struct Fixture {
    node: Arc<Node>,
    origin: Arc<Origin>,
    site: Arc<Site>,
    seq: AtomicUsize,
    store: StoreConfig,
    control: Arc<Control>,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new(respond: impl Fn(&Request<Body>) -> Result<Response<Body>, HopError> + Send + Sync + 'static) -> Self {
        Self::sized(ByteSize::mib(16), respond)
    }

    fn sized(
        memory: ByteSize,
        respond: impl Fn(&Request<Body>) -> Result<Response<Body>, HopError> + Send + Sync + 'static,
    ) -> Self {
        Self::stored(memory, false, respond)
    }

    /// With a disk tier, or without.
    fn stored(
        memory: ByteSize,
        disk: bool,
        respond: impl Fn(&Request<Body>) -> Result<Response<Body>, HopError> + Send + Sync + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let control = Control::open(dir.path(), Telemetry::new()).expect("a store");
        let origin = Arc::new(Origin { respond: Mutex::new(Box::new(respond)), asked: AtomicUsize::new(0) });
        let mut store = StoreConfig::memory_only(memory);
        if disk {
            store.disk = vec![DiskPlace { path: dir.path().join("disk"), offset: 0, size: MIN_DISK }];
            store.journal = Some(dir.path().join("journal"));
        }
        let node = Node::new(Role::Edge, &store, Arc::new(Arc::clone(&origin)), &control).expect("a store");
        Self { node, origin, site: Arc::new(site()), seq: AtomicUsize::new(0), store, control, dir }
    }

    /// The same after a clean stop and a new start.
    async fn restart(self) -> Self {
        let Self { node, origin, site, seq, store, control, dir } = self;
        while Arc::strong_count(&node) > 1 {
            tokio::task::yield_now().await;
        }
        node.close();
        drop(node);
        let node = Node::new(Role::Edge, &store, Arc::new(Arc::clone(&origin)), &control).expect("a store");
        Self { node, origin, site, seq, store, control, dir }
    }

    fn now_respond(
        &self,
        respond: impl Fn(&Request<Body>) -> Result<Response<Body>, HopError> + Send + Sync + 'static,
    ) {
        *self.origin.respond.lock() = Box::new(respond);
    }

    async fn reply(&self, request: Request<Body>) -> Reply {
        self.reply_to(&Listener::new(&Interims::nowhere()), request).await
    }

    async fn reply_to(&self, listener: &Listener<'_>, request: Request<Body>) -> Reply {
        let authority = Authority::parse("shop.example").expect("a host");
        let route = self.site.content_route(request.uri().path()).expect("a route");
        let content = route.content.as_ref().expect("content");
        let client = ([127, 0, 0, 1].into(), listener);
        let target = Target::of_client(&self.site, (route, content), Scheme::Http, &authority, client);
        self.node.respond(target, request).await
    }

    /// Sends a request; status, `Cache-Status` and body in one line.
    async fn ask(&self, request: Request<Body>) -> String {
        let reply = self.reply(request).await;
        let said = reply.report.cache_status().value();
        let status = reply.response.status().as_u16();
        let body = reply.response.into_body().collect(1 << 20).await;
        let body =
            body.map_or_else(|error| error.kind.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        format!("{status} {} {body}", said.to_str().expect("visible").trim_start_matches("holm-edge; "))
    }

    async fn check(&self, path: &str, fields: &[(&'static str, &str)], expected: &str) {
        let said = self.ask(get(path, fields)).await;
        assert_eq!(said, expected, "GET {path} {fields:?}");
    }

    fn purge(&self, selector: Selector, mode: PurgeMode) {
        let seq = Seq::new(self.seq.fetch_add(1, Ordering::SeqCst) as u64 + 1);
        self.node.apply(&[PurgeEntry { seq, site: self.site.name().clone(), selector, mode, time: now() }]);
    }

    fn asked(&self) -> usize {
        self.origin.asked.load(Ordering::SeqCst)
    }
}

fn site() -> Site {
    let url: EndpointUrl = "http://127.0.0.1:9".parse().expect("a URL");
    let mut manifest = Manifest::for_origins(vec![url]);
    let mut hinted = manifest.routes[0].clone();
    hinted.path = "/hinted/*".parse().expect("a pattern");
    hinted.cache.early_hints = true;
    manifest.routes.insert(0, hinted);
    site_of(manifest)
}

fn site_of(manifest: Manifest) -> Site {
    let pools = manifest.origins.iter().map(|(name, spec): (_, &OriginSpec)| {
        (name.clone(), Arc::new(Pool::new(name, spec, None, Arc::new(|_: &holm_upstream::Fetch<'_>| {}))))
    });
    let parts = Parts { handlers: Default::default(), pools: pools.collect() };
    let release = Release {
        site: manifest.name.clone(),
        number: holm_model::ids::ReleaseNumber::new(1),
        manifest,
        components: Default::default(),
        files: Default::default(),
        created: Timestamp::default(),
    };
    Site::new(Arc::new(release), &parts)
}

fn get(path: &str, fields: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::builder().uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("a request")
}

fn response(status: u16, fields: &[(&'static str, &str)], body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(Body::full(body)).expect("a response")
}

fn unreachable() -> HopError {
    HopError::new(StatusCode::BAD_GATEWAY, "connect-refused", "nobody there")
}

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test]
async fn a_miss_then_hits() {
    let origin = Fixture::new(|_| Ok(response(200, &[FRESH], "hello")));
    origin.check("/a", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss hello").await;
    origin.check("/a", &[], "200 hit; ttl=60 hello").await;
    origin.check("/a?q", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss hello").await;
    origin.check("/a", &[("range", "bytes=1-2")], "206 hit; ttl=60 el").await;
    origin
        .check(
            "/b",
            &[("cache-control", "only-if-cached")],
            "504 detail=only-if-cached 504 Gateway Timeout: only-if-cached\n",
        )
        .await;
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn what_is_not_stored_is_not_queued_for() {
    let origin = Fixture::new(|_| Ok(response(200, &[("cache-control", "no-store")], "x")));
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; detail=no-store x").await;
    origin.check("/", &[], "200 fwd=miss; fwd-status=200; detail=no-store x").await;
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn a_stale_response_is_confirmed() {
    let origin = Fixture::new(|request| match request.headers().get("if-none-match") {
        Some(_) => Ok(response(304, &[FRESH, ("etag", "\"1\"")], "")),
        None => Ok(response(200, &[("cache-control", "max-age=0"), ("etag", "\"1\"")], "body")),
    });
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss body").await;
    origin.check("/", &[], "200 fwd=stale; fwd-status=304; stored; detail=expired body").await;
    origin.check("/", &[], "200 hit; ttl=60 body").await;
    origin.check("/", &[("if-none-match", "\"1\"")], "304 hit; ttl=60 ").await;
}

#[tokio::test]
async fn variants_are_kept_apart() {
    let origin = Fixture::new(|request| {
        let language = request.headers().get("accept-language").map_or("none", |value| value.to_str().unwrap());
        Ok(response(200, &[FRESH, ("vary", "accept-language")], language.to_owned()))
    });
    origin
        .check("/", &[("accept-language", "de")], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss de")
        .await;
    origin
        .check("/", &[("accept-language", "en")], "200 fwd=vary-miss; fwd-status=200; stored; detail=vary-miss en")
        .await;
    origin.check("/", &[("accept-language", "de")], "200 hit; ttl=60 de").await;
    origin.check("/", &[("accept-language", "en")], "200 hit; ttl=60 en").await;
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn errors_are_bridged_where_the_origin_allows_it() {
    let rule = ("cache-control", "max-age=0, stale-if-error=60");
    let origin = Fixture::new(move |_| Ok(response(200, &[rule], "old")));
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss old").await;
    origin.now_respond(|_| Err(unreachable()));
    origin.check("/", &[], "200 fwd=stale; ttl=0; detail=stale-if-error old").await;
    origin.now_respond(|_| Ok(response(500, &[], "broken")));
    origin.check("/", &[], "200 fwd=stale; fwd-status=500; ttl=0; detail=stale-if-error old").await;
    origin.now_respond(|_| Err(unreachable()));
    origin.check("/other", &[], "502 fwd=uri-miss; detail=connect-refused 502 Bad Gateway: connect-refused\n").await;
}

#[tokio::test]
async fn stale_while_revalidate_renews_once_behind() {
    let (done, mut renewed) = mpsc::unbounded_channel();
    let rule = ("cache-control", "max-age=0, stale-while-revalidate=60");
    let origin = Fixture::new(move |_| Ok(response(200, &[rule], "old")));
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss old").await;
    origin.now_respond(move |_| {
        let _ = done.send(());
        Ok(response(200, &[FRESH], "new"))
    });
    origin.check("/", &[], "200 hit; ttl=0; detail=stale-while-revalidate old").await;
    renewed.recv().await.expect("a renewal");
    while origin.node.fills.contains(CacheKey::primary(&key("/")).0) {
        tokio::task::yield_now().await;
    }
    origin.check("/", &[], "200 hit; ttl=60 new").await;
    assert_eq!(origin.asked(), 2);
}

fn key(path: &str) -> KeyInput<'_> {
    static RULE: LazyLock<KeyRule> = LazyLock::new(KeyRule::default);
    static FIELDS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    let (host, request) = ("shop.example", &*FIELDS);
    let (query, content) = (None, None);
    KeyInput { site: "default", scheme: "http", host, port: "", path, query, request, content, rule: &RULE }
}

/// A response whose body is written by the test.
fn streaming(fields: &[(&'static str, &str)]) -> (BodySender, Arc<Mutex<Option<Response<Body>>>>) {
    let (sender, body) = Body::channel(4);
    let response = response(200, fields, "").map(|_| body);
    (sender, Arc::new(Mutex::new(Some(response))))
}

#[tokio::test]
async fn many_ask_once() {
    let (mut sender, first) = streaming(&[FRESH]);
    let origin = Fixture::new(move |_| Ok(first.lock().take().expect("one fetch only")));
    let all = futures_util::future::join_all((0..100).map(|_| origin.ask(get("/", &[]))));
    let write = async {
        sender.send_data(Bytes::from_static(b"all ")).await.expect("a reader");
        sender.send_data(Bytes::from_static(b"of it")).await.expect("a reader");
        sender.finish().await.expect("a reader");
    };
    let (answers, ()) = tokio::join!(all, write);
    let collapsed = answers.iter().filter(|answer| answer.contains("collapsed")).count();
    assert!(answers.iter().all(|answer| answer.ends_with("all of it")), "{answers:?}");
    assert_eq!((collapsed, origin.asked()), (99, 1));
}

#[tokio::test]
async fn a_broken_fill_is_an_error_and_not_stored() {
    let (mut sender, first) = streaming(&[FRESH]);
    let origin = Fixture::new(move |_| Ok(first.lock().take().unwrap_or_else(|| response(200, &[FRESH], "whole"))));
    let write = async {
        sender.send_data(Bytes::from_static(b"half")).await.expect("a reader");
        drop(sender);
    };
    let (answer, ()) = tokio::join!(origin.ask(get("/", &[])), write);
    assert_eq!(answer, "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss body incomplete");
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss whole").await;
}

#[tokio::test]
async fn purges_reject_what_is_older() {
    let origin = Fixture::new(|_| Ok(response(200, &[FRESH, ("surrogate-key", "shoes red"), ("etag", "\"1\"")], "x")));
    let miss = "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss x";
    let purged = "200 fwd=uri-miss; fwd-status=200; stored; detail=purged x";
    let check = async |selector: &str, mode: PurgeMode, expected: &str| {
        origin.ask(get("/a/b", &[])).await;
        let selector = match selector.split_once(' ') {
            Some(("url", url)) => Selector::parse_url(url),
            Some(("tag", tag)) => Selector::parse_tag(tag),
            Some((_, prefix)) => Selector::parse_prefix(prefix),
            None => Ok(Selector::All),
        };
        origin.purge(selector.expect("a selector"), mode);
        origin.check("/a/b", &[], expected).await;
    };
    let hit = "200 hit; ttl=60 x";
    origin.check("/a/b", &[], miss).await;
    check("url http://shop.example/a/b", PurgeMode::Hard, purged).await;
    check("url https://shop.example/a/b", PurgeMode::Hard, purged).await;
    check("url http://shop.example/a", PurgeMode::Hard, hit).await;
    check("tag shoes", PurgeMode::Hard, purged).await;
    check("tag blue", PurgeMode::Hard, hit).await;
    check("prefix /a", PurgeMode::Hard, purged).await;
    check("prefix /a/bb", PurgeMode::Hard, hit).await;
    check("all", PurgeMode::Hard, purged).await;
    check("tag red", PurgeMode::Soft, "200 fwd=stale; fwd-status=200; stored; detail=soft-purged x").await;
}

#[tokio::test]
async fn a_purge_in_mid_fill_leaves_nothing_behind() {
    let (mut sender, first) = streaming(&[FRESH]);
    let origin = Fixture::new(move |_| Ok(first.lock().take().unwrap_or_else(|| response(200, &[FRESH], "new"))));
    sender.send_data(Bytes::from_static(b"old")).await.expect("a reader");
    let begun = origin.reply(get("/", &[])).await;
    origin.purge(Selector::All, PurgeMode::Hard);
    // Who asks now must not be given what is on its way.
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss new").await;
    sender.finish().await.expect("a reader");
    let body = begun.response.into_body().collect(10).await.expect("a whole body");
    assert_eq!(body, "old", "whoever had begun gets the rest of what they began");
    origin.check("/", &[], "200 hit; ttl=60 new").await;
}

#[tokio::test]
async fn unsafe_methods_invalidate() {
    let origin = Fixture::new(|request| Ok(response(200, &[FRESH], request.method().as_str().to_owned())));
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss GET").await;
    let post = Request::post("/").body(Body::empty()).expect("a request");
    assert_eq!(origin.ask(post).await, "200 fwd=method; fwd-status=200; detail=method POST");
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=invalidated GET").await;
}

#[tokio::test]
async fn what_an_unsafe_method_changed_is_not_stored_by_a_fill_under_way() {
    let (mut sender, first) = streaming(&[FRESH, ("vary", "accept-language")]);
    let origin = Fixture::new(move |_| {
        Ok(first.lock().take().unwrap_or_else(|| response(200, &[FRESH, ("vary", "accept-language")], "new")))
    });
    sender.send_data(Bytes::from_static(b"old")).await.expect("a reader");
    let begun = origin.reply(get("/", &[("accept-language", "de")])).await;
    origin.ask(Request::post("/").body(Body::empty()).expect("a request")).await;
    sender.finish().await.expect("a reader");
    assert_eq!(begun.response.into_body().collect(10).await.expect("a whole body"), "old");
    let again = origin.ask(get("/", &[("accept-language", "de")])).await;
    assert!(again.ends_with("new"), "{again}");
}

#[tokio::test]
async fn look_ups_wait_for_the_senders_purges() {
    let origin = Fixture::new(|_| Ok(response(200, &[FRESH], "x")));
    assert!(!origin.node.has_applied(Seq::new(1), Duration::from_millis(1)).await);
    let (waited, ()) = tokio::join!(origin.node.has_applied(Seq::new(1), Duration::from_secs(60)), async {
        origin.purge(Selector::All, PurgeMode::Hard);
    });
    assert!(waited);
}

#[tokio::test]
async fn what_was_purged_in_mid_revalidation_is_neither_served_nor_confirmed() {
    let check = async |confirmed: bool, expected: &str| {
        let rule = ("cache-control", "max-age=0, stale-if-error=60");
        let origin = Fixture::new(move |_| Ok(response(200, &[rule, ("etag", "\"1\"")], "old")));
        origin.ask(get("/", &[])).await;
        let (node, site) = (Arc::clone(&origin.node), origin.site.name().clone());
        origin.now_respond(move |request| {
            if !request.headers().contains_key("if-none-match") {
                return Ok(response(200, &[FRESH, ("etag", "\"1\"")], "new"));
            }
            let (selector, mode) = (Selector::All, PurgeMode::Hard);
            node.apply(&[PurgeEntry { seq: Seq::new(1), site: site.clone(), selector, mode, time: now() }]);
            if confirmed { Ok(response(304, &[FRESH, ("etag", "\"1\"")], "")) } else { Err(unreachable()) }
        });
        origin.check("/", &[], expected).await;
    };
    check(true, "200 fwd=stale; fwd-status=200; stored; detail=expired new").await;
    check(false, "502 fwd=stale; detail=connect-refused 502 Bad Gateway: connect-refused\n").await;
}

#[tokio::test]
async fn what_outgrows_the_cache_before_its_reader_looks_is_whole() {
    const LENGTH: usize = 3 << 20;
    let (mut sender, first) = streaming(&[FRESH]);
    let origin = Fixture::new(move |_| Ok(first.lock().take().expect("one fetch only")));
    sender.send_data(Bytes::from(vec![0; LENGTH])).await.expect("a reader");
    sender.finish().await.expect("a reader");
    let body = origin.reply(get("/", &[])).await.response.into_body();
    assert_eq!(body.collect(LENGTH as u64).await.map(|bytes| bytes.len()), Ok(LENGTH));
}

#[tokio::test]
async fn each_variant_is_asked_for_once() {
    let (sender, first) = streaming(&[FRESH, ("vary", "accept-language")]);
    let origin = Fixture::new(move |_| match first.lock().take() {
        Some(response) => Ok(response),
        None => Ok(response(200, &[FRESH, ("vary", "accept-language")], "en")),
    });
    // The first is under way until the others have been told that it is not theirs.
    let first = origin.ask(get("/", &[("accept-language", "de")]));
    let others = (0..10).map(|_| origin.ask(get("/", &[("accept-language", "en")])));
    let others = async {
        let answers = futures_util::future::join_all(others).await;
        sender.finish().await.expect("a reader");
        answers
    };
    let (_, answers) = tokio::join!(first, others);
    assert!(answers.iter().all(|answer| answer.ends_with("en")), "{answers:?}");
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn what_depends_on_the_clients_address_is_not_shared() {
    let origin = Fixture::new(|_| Ok(response(200, &[FRESH, ("vary", "x-forwarded-for")], "x")));
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; detail=vary-client x").await;
    origin.check("/", &[], "200 fwd=miss; fwd-status=200; detail=vary-client x").await;
}
