//! What must never be answered, and what was.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use holm_model::purge::{PurgeMode, Selector};
use http::{Method, StatusCode, response};

use super::origin::{self, LARGE, URLS};
use super::{How, world::HOST};

/// The selectors of the model are: all, two prefixes, three tags, and from here on each URL.
pub(super) const WIDE: usize = 6;

/// A purge, or a change by an unsafe method, and what the origin had when it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Purge {
    pub(super) what: What,
    pub(super) mode: PurgeMode,
    /// The origin's versions.
    pub(super) versions: [u64; URLS.len()],
    /// How many times the origin's content was read.
    pub(super) fetches: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Selector(usize),
    /// A successful POST.
    Posted(usize),
}

/// Of a request: what was acknowledged before it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) url: usize,
    pub(super) how: How,
    acknowledged: usize,
    /// Only the disk of the edge has it.
    on_disk: bool,
}

#[derive(Debug, Default)]
pub(super) struct Oracle {
    /// In the order of their acknowledgement.
    acknowledged: Vec<Purge>,
    wrong: Option<String>,
    pub(super) seen: Seen,
}

/// How often what occurred.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen(BTreeMap<&'static str, u64>);

impl Oracle {
    pub(super) fn asked(&self, url: usize, how: How, on_disk: bool) -> Asked {
        Asked { url, how, acknowledged: self.acknowledged.len(), on_disk }
    }

    pub(super) fn acknowledge(&mut self, purge: Purge) {
        self.seen.one(match (purge.what, purge.mode) {
            (What::Posted(_), _) => "posted",
            (_, PurgeMode::Hard) => "hard acknowledged",
            (_, PurgeMode::Soft) => "soft acknowledged",
        });
        self.acknowledged.push(purge);
    }

    pub(super) fn wrong(&self) -> Option<&String> {
        self.wrong.as_ref()
    }

    /// Judges the head of an answer.
    pub(super) fn head(&mut self, asked: &Asked, head: &response::Parts) {
        self.count(asked, head);
        let number = |name: &str| -> Option<u64> { head.headers.get(name)?.to_str().ok()?.parse().ok() };
        let (Some(version), Some(fetch)) = (number("x-version"), number("x-fetch")) else { return };
        let made = number("x-made");
        if asked.how == How::Post {
            let mut versions = [0; URLS.len()];
            versions[asked.url] = version;
            let (what, mode) = (What::Posted(asked.url), PurgeMode::Hard);
            return self.acknowledge(Purge { what, mode, versions, fetches: fetch - 1 });
        }
        let said = head.headers.get("cache-status").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let fresh = said.contains("; hit; ttl=") && !said.contains("detail=");
        for purge in self.acknowledged[..asked.acknowledged].iter().filter(|purge| purge.matches(asked.url, version)) {
            let outdated = version < purge.versions[asked.url] || made.is_some_and(|made| made <= purge.fetches);
            let wrong = match purge.mode {
                PurgeMode::Hard => outdated,
                PurgeMode::Soft => fresh && fetch <= purge.fetches,
            };
            if wrong && self.wrong.is_none() {
                self.wrong = Some(format!(
                    "{asked:?} began after the acknowledgement of {purge:?} and was given version {version}, made by \
                     fetch {made:?}, validated by {fetch}: {} {said}",
                    head.status
                ));
            }
        }
    }

    /// Judges the bytes of an answer, all of them or those that came before it broke off.
    pub(super) fn body(&mut self, asked: &Asked, head: &response::Parts, bytes: &Bytes, whole: bool) {
        self.seen.one(if whole { "whole" } else { "broke off" });
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(version) = text("x-version").and_then(|text| text.parse().ok()) else { return };
        let language = if asked.how == How::German { "de" } else { "en" };
        let content = origin::content(asked.url, version, language);
        let expected = match head.status {
            _ if asked.how == How::Head => Bytes::new(),
            StatusCode::OK => content,
            StatusCode::PARTIAL_CONTENT => {
                let range = text("content-range").and_then(|range| range.strip_prefix("bytes ")?.split_once('/'));
                let ends = range.and_then(|(range, _)| range.split_once('-'));
                let (first, last) = ends.expect("a part says which");
                let (first, last): (usize, usize) = (first.parse().expect("a number"), last.parse().expect("a number"));
                content.slice(first..=last)
            }
            _ => Bytes::new(),
        };
        let right = if whole { expected == bytes } else { expected.starts_with(bytes) };
        if !right && self.wrong.is_none() {
            let same = bytes.iter().zip(&expected).take_while(|(given, expected)| given == expected).count();
            let near = |bytes: &Bytes| bytes.slice(same.min(bytes.len())..bytes.len().min(same + 100));
            self.wrong = Some(format!(
                "{asked:?} was given {} bytes for {}, from {same} on {:?} for {:?}, whole: {whole}; {head:?}",
                bytes.len(),
                expected.len(),
                near(bytes),
                near(&expected)
            ));
        }
    }

    fn count(&mut self, asked: &Asked, head: &response::Parts) {
        let said = head.headers.get("cache-status").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let hit = said.contains("; hit");
        let has = |text: &str| said.contains(text);
        let occurred = [
            ("hit", hit && !has("detail=")),
            ("hit stale", hit && has("detail=")),
            ("miss", has("fwd=uri-miss") || has("fwd=vary-miss")),
            ("joined", has("collapsed")),
            ("confirmed by 304", has("fwd-status=304")),
            ("disk hit", hit && asked.on_disk),
            ("slices hit", hit && asked.url == LARGE),
            ("slices disk hit", hit && asked.url == LARGE && asked.on_disk),
            ("slices fetched", has("fwd=partial") && asked.url == LARGE),
            ("206 hit", hit && head.status == StatusCode::PARTIAL_CONTENT),
            ("304 to client", head.status == StatusCode::NOT_MODIFIED),
            ("purged", has("detail=purged")),
            ("soft-purged", has("detail=soft-purged")),
            ("invalidated", has("detail=invalidated")),
            ("stale for an error", has("detail=stale-if-error")),
            ("superseded", has("fill-superseded")),
            ("error", head.status.is_server_error()),
            ("answer", true),
            ("POST", asked.how == How::Post),
        ];
        occurred.iter().filter(|(_, so)| *so).for_each(|(what, _)| self.seen.one(what));
    }
}

impl Purge {
    fn matches(&self, url: usize, version: u64) -> bool {
        match self.what {
            What::Posted(posted) => posted == url,
            What::Selector(0) => true,
            What::Selector(1) => URLS[url].path.starts_with("/d0/"),
            What::Selector(2) => URLS[url].path.starts_with("/d1/"),
            What::Selector(at @ 3..=5) => origin::tags(url, version).contains(&TAGS[at - 3]),
            What::Selector(at) => {
                let purged = &URLS[at - WIDE];
                purged.path == URLS[url].path && (purged.query.is_none() || purged.query == URLS[url].query)
            }
        }
    }
}

/// The selector of this number.
pub(super) fn selector(number: usize) -> Selector {
    match number {
        0 => Selector::All,
        1 => Selector::Prefix { host: None, path: "/d0".into() },
        2 => Selector::Prefix { host: Some(HOST.into()), path: "/d1".into() },
        3..=5 => Selector::Tag(TAGS[number - 3].into()),
        _ => {
            let url = &URLS[number - WIDE];
            Selector::Url { host: HOST.into(), path: url.path.into(), query: url.query.map(Into::into) }
        }
    }
}

const TAGS: [&str; 3] = ["odd", "even", "d0"];

impl Seen {
    pub(super) fn one(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self.0.iter().map(|(what, count)| format!("{what}: {count}")).collect();
        f.write_str(&counts.join(", "))
    }
}

/// The method of a request.
pub(super) fn method(how: How) -> Method {
    match how {
        How::Head => Method::HEAD,
        How::Post => Method::POST,
        _ => Method::GET,
    }
}
