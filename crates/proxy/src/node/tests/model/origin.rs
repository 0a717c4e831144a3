//! An origin whose content has versions, and which answers step by step where it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use holm_transport::body::{Body, BodySender};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::unreachable;
use crate::hop::{Answer, HopError, NextHop, Way};

/// A URL of the model, and how its responses may be stored.
pub(super) struct Url {
    pub(super) path: &'static str,
    pub(super) query: Option<&'static str>,
    cache: &'static str,
    /// Has it an ETag?
    tagged: bool,
    varies: bool,
    /// Does a POST say what the URL is then?
    located: bool,
    /// In bytes, at least.
    length: usize,
}

impl Url {
    const fn new(path: &'static str, cache: &'static str) -> Self {
        Self { path, query: None, cache, tagged: true, varies: false, located: false, length: 96 }
    }

    pub(super) fn target(&self) -> String {
        self.query.map_or_else(|| self.path.to_owned(), |query| format!("{}?{query}", self.path))
    }
}

/// What the model asks for.
pub(super) const URLS: [Url; 8] = [
    Url { located: true, ..Url::new("/d0/fresh", "max-age=60") },
    Url { query: Some("q=1"), ..Url::new("/d0/fresh", "max-age=60") },
    Url::new("/d0/stale", "max-age=0, stale-if-error=60"),
    Url::new("/d1/swr", "max-age=60, stale-while-revalidate=60"),
    Url::new("/d1/old", "max-age=0, stale-while-revalidate=60"),
    Url { varies: true, ..Url::new("/d1/vary", "max-age=60") },
    Url { tagged: false, ..Url::new("/d1/plain", "max-age=60") },
    Url { length: 9 << 18, ..Url::new("/d1/large", "max-age=60") },
];

/// The one whose content is kept in three slices.
pub(super) const LARGE: usize = URLS.len() - 1;

/// The content of a URL at a version.
pub(super) fn content(url: usize, version: u64, language: &str) -> Bytes {
    let language = if URLS[url].varies { language } else { "" };
    let line = format!("[{} {version} {language}]", URLS[url].target());
    // Of the large one some bytes are looked at many times.
    let make = || Bytes::from(line.repeat(URLS[url].length / line.len() + 1));
    if url != LARGE {
        return make();
    }
    static MADE: Mutex<BTreeMap<u64, Bytes>> = Mutex::new(BTreeMap::new());
    MADE.lock().entry(version).or_insert_with(make).clone()
}

/// A position in the content of the URL that stands for this one in a content of about a hundred bytes.
pub(super) fn scaled(url: usize, at: u64) -> u64 {
    at * (URLS[url].length as u64).div_ceil(100)
}

/// The tags of a version: of its folder, and whether it is odd.
pub(super) fn tags(url: usize, version: u64) -> [&'static str; 2] {
    [if URLS[url].path.starts_with("/d0") { "d0" } else { "d1" }, if version % 2 == 1 { "odd" } else { "even" }]
}

#[derive(Debug, Default)]
pub(super) struct Origin(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    versions: [u64; URLS.len()],
    /// How many times content was read here.
    fetches: u64,
    holding: bool,
    failing: bool,
    held: Vec<Held>,
}

/// An exchange that waits to go on.
#[derive(Debug)]
enum Held {
    Head(oneshot::Sender<()>),
    Body(BodySender, VecDeque<Bytes>),
}

impl NextHop for Arc<Origin> {
    fn send(&self, request: Request<Body>, way: Way) -> BoxFuture<'static, Result<Answer, HopError>> {
        let origin = Arc::clone(self);
        Box::pin(async move {
            let wait = origin.hold_head();
            if let Some(wait) = wait {
                wait.await.map_err(|_| unreachable())?;
            }
            let response = origin.answer(&request)?;
            Ok(Answer { response, as_of: way.begun.applied, aged: false, bridged: None })
        })
    }
}

impl Origin {
    pub(super) fn versions(&self) -> [u64; URLS.len()] {
        self.0.lock().versions
    }

    pub(super) fn fetches(&self) -> u64 {
        self.0.lock().fetches
    }

    pub(super) fn change(&self, url: usize) {
        self.0.lock().versions[url] += 1;
    }

    pub(super) fn hold(&self, holding: bool) {
        self.0.lock().holding = holding;
    }

    pub(super) fn fail_once(&self) {
        self.0.lock().failing = true;
    }

    pub(super) fn held(&self) -> usize {
        self.0.lock().held.len()
    }

    /// One of the exchanges that wait goes a step on.
    pub(super) async fn go_on(&self, any: usize) {
        match self.take(any) {
            None => {}
            Some(Held::Head(head)) => drop(head.send(())),
            Some(Held::Body(mut sender, mut chunks)) => match chunks.pop_front() {
                Some(chunk) => {
                    if sender.send_data(chunk).await.is_ok() {
                        self.0.lock().held.push(Held::Body(sender, chunks));
                    }
                }
                None => drop(sender.finish().await),
            },
        }
    }

    /// One of them ends as it is.
    pub(super) fn break_off(&self, any: usize) {
        drop(self.take(any));
    }

    fn take(&self, any: usize) -> Option<Held> {
        let held = &mut self.0.lock().held;
        (!held.is_empty()).then(|| held.remove(any % held.len()))
    }

    fn hold_head(&self) -> Option<oneshot::Receiver<()>> {
        let state = &mut *self.0.lock();
        let (go, wait) = oneshot::channel();
        state.holding.then(|| state.held.push(Held::Head(go)))?;
        Some(wait)
    }

    fn answer(&self, request: &Request<Body>) -> Result<Response<Body>, HopError> {
        let state = &mut *self.0.lock();
        if std::mem::take(&mut state.failing) {
            return Err(unreachable());
        }
        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let url = URLS.iter().position(|url| url.target() == target).expect("a URL of the model");
        if *request.method() == Method::POST {
            state.versions[url] += 1;
        }
        state.fetches += 1;
        let (version, fetch) = (state.versions[url], state.fetches);
        let (status, fields, bytes) = script(url, request, version, fetch);
        let body = match bytes {
            Some(bytes) if state.holding => {
                let length = (fetch % 2 == 0).then_some(bytes.len() as u64);
                let (sender, body) = Body::channel_with_length(4, length);
                let chunks = bytes.chunks(40.max(bytes.len() / 3)).map(Bytes::copy_from_slice).collect();
                state.held.push(Held::Body(sender, chunks));
                body
            }
            Some(bytes) => Body::full(bytes),
            None => Body::empty(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        Ok(response)
    }
}

/// What the origin says to a request.
fn script(url: usize, request: &Request<Body>, version: u64, fetch: u64) -> (StatusCode, HeaderMap, Option<Bytes>) {
    let asked = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let language = asked("accept-language").unwrap_or("en");
    let Url { cache, tagged, varies, located, .. } = URLS[url];
    let etag = tagged.then(|| etag(url, version, language));
    let mut fields = HeaderMap::new();
    let mut put = |name: &'static str, value: String| {
        fields.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).expect("visible"));
    };
    put("cache-control", cache.to_owned());
    put("x-version", version.to_string());
    put("surrogate-key", tags(url, version).join(" "));
    put("x-fetch", fetch.to_string());
    varies.then(|| put("vary", "accept-language".to_owned()));
    etag.iter().for_each(|etag| put("etag", etag.clone()));
    let get = *request.method() == Method::GET;
    if get && etag.as_deref().is_some_and(|etag| asked("if-none-match") == Some(etag)) {
        return (StatusCode::NOT_MODIFIED, fields, None);
    }
    if *request.method() == Method::HEAD {
        return (StatusCode::OK, fields, None);
    }
    put("x-made", fetch.to_string());
    if !get && located {
        put("content-location", URLS[url].target());
    }
    let bytes = content(url, version, language);
    let same = asked("if-range").is_none_or(|tag| etag.as_deref() == Some(tag));
    match asked("range").filter(|_| get && same).and_then(|range| part(range, bytes.len())) {
        Some((first, last)) => {
            put("content-range", format!("bytes {first}-{last}/{}", bytes.len()));
            (StatusCode::PARTIAL_CONTENT, fields, Some(bytes.slice(first..=last)))
        }
        None => (StatusCode::OK, fields, Some(bytes)),
    }
}

/// The ETag of a version.
pub(super) fn etag(url: usize, version: u64, language: &str) -> String {
    let language = if URLS[url].varies { language } else { "" };
    format!("\"{version}{language}\"")
}

fn part(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last = last.parse().unwrap_or(usize::MAX).min(length - 1);
    (first <= last).then_some((first, last))
}
