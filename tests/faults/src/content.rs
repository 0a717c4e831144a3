//! Content: what the origin has, version by version, and what of it may still be served. The oracle.

use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;

use crate::client::Answer;

/// Every URL of the origin. Bodies are made from seed, URL and version, so that each can be told from all others.
pub(crate) struct Content {
    seed: u64,
    urls: Vec<Url>,
}

/// One URL.
pub(crate) struct Url {
    pub(crate) path: String,
    pub(crate) tags: [String; 2],
    /// What the origin serves.
    version: AtomicU64,
    /// The oldest version that the last acknowledged purge left.
    purged: AtomicU64,
    /// The same for unsafe requests, which nodes remember on their own.
    changed: AtomicU64,
}

/// What made older versions unservable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ruling {
    Purge,
    Change,
}

impl Content {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let url = |index: usize| Url {
            path: format!(
                "/{}/p{}/{index}",
                if index.is_multiple_of(2) { "always" } else { "second" },
                index % PREFIXES
            ),
            tags: [format!("t{}", index % 7), format!("g{}", index % 23)],
            version: AtomicU64::new(1),
            purged: AtomicU64::new(0),
            changed: AtomicU64::new(0),
        };
        Self { seed, urls: (0..count).map(url).collect() }
    }

    pub(crate) fn urls(&self) -> &[Url] {
        &self.urls
    }

    /// The URL with this path.
    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        let index: usize = path.rsplit('/').next()?.parse().ok()?;
        (self.urls.get(index)?.path == path).then_some(index)
    }

    /// Those that `selects` selects get a new version each; gives which, with it.
    pub(crate) fn change(&self, selects: impl Fn(&Url) -> bool) -> Vec<(usize, u64)> {
        let selected = self.urls.iter().enumerate().filter(|(_, url)| selects(url));
        selected.map(|(index, url)| (index, url.version.fetch_add(1, Ordering::SeqCst) + 1)).collect()
    }

    /// From now on, nothing older than these versions may be served.
    pub(crate) fn rule(&self, by: Ruling, versions: &[(usize, u64)]) {
        for (index, version) in versions {
            let url = &self.urls[*index];
            let ruled = match by {
                Ruling::Purge => &url.purged,
                Ruling::Change => &url.changed,
            };
            ruled.fetch_max(*version, Ordering::SeqCst);
        }
    }

    /// What nodes remember on their own was taken from them.
    pub(crate) fn forget_changes(&self) {
        self.urls.iter().for_each(|url| url.changed.store(0, Ordering::SeqCst));
    }

    /// The oldest version that a request which begins now may be answered with.
    pub(crate) fn oldest(&self, index: usize) -> u64 {
        let url = &self.urls[index];
        url.purged.load(Ordering::SeqCst).max(url.changed.load(Ordering::SeqCst))
    }

    pub(crate) fn version(&self, index: usize) -> u64 {
        self.urls[index].version.load(Ordering::SeqCst)
    }

    /// Most are small; some take several slices.
    fn size(&self, index: usize, version: u64) -> usize {
        let mut rng = self.rng(index, version);
        match rng.u8(..100) {
            0..80 => rng.usize(100..32 << 10),
            80..95 => rng.usize(32 << 10..512 << 10),
            95..97 => (1 << 20) * rng.usize(1..=3),
            _ => rng.usize((1 << 20) + 1..3 << 20),
        }
    }

    pub(crate) fn body(&self, index: usize, version: u64) -> Vec<u8> {
        let mut body = vec![0; self.size(index, version)];
        self.rng(index, version).fill(&mut body);
        body
    }

    fn rng(&self, index: usize, version: u64) -> Rng {
        let mut rng = Rng::with_seed(self.seed ^ ((index as u64) << 40) ^ version);
        // Seeds that differ in few bits begin alike.
        Rng::with_seed(rng.u64(..))
    }

    pub(crate) fn etag(index: usize, version: u64) -> String {
        format!("\"{index}-{version}\"")
    }

    /// Holds an answer to a request, which began when `oldest` was the oldest that it might get, against what the origin has
    /// served. `range` is what was asked for.
    pub(crate) fn check(
        &self,
        index: usize,
        oldest: u64,
        range: Option<&Range<usize>>,
        answer: &Answer,
    ) -> Result<(), String> {
        let newest = self.version(index);
        if answer.status == 416 {
            return self.check_beyond(index, oldest..=newest, range, answer);
        }
        let etag = answer.fields.get("etag");
        let version = etag.trim_matches('"').split_once('-').filter(|(url, _)| url.parse() == Ok(index));
        let Some(version) = version.and_then(|(_, version)| version.parse::<u64>().ok()) else {
            return Err(format!("another response's ETag, {etag}"));
        };
        if version < oldest || version > newest {
            return Err(format!("version {version}, where it had to be from {oldest} to {newest}"));
        }
        let body = self.body(index, version);
        let (status, expected) = match range.filter(|_| answer.status != 200) {
            None => (200, body.as_slice()),
            Some(range) => (206, body.get(range.start..range.end.min(body.len())).unwrap_or_default()),
        };
        if answer.status != status {
            return Err(format!("status {} instead of {status}", answer.status));
        }
        let told = answer.fields.get("content-range");
        if status == 206 && told.rsplit('/').next() != Some(&body.len().to_string()) {
            return Err(format!("`Content-Range: {told}` of {} bytes", body.len()));
        }
        if answer.body != expected {
            return Err(self.difference(index, version, &answer.body, expected));
        }
        Ok(())
    }

    /// 416: one of these versions has to end before the range begins.
    fn check_beyond(
        &self,
        index: usize,
        versions: RangeInclusive<u64>,
        range: Option<&Range<usize>>,
        answer: &Answer,
    ) -> Result<(), String> {
        let told = answer.fields.get("content-range");
        let size = told.strip_prefix("bytes */").and_then(|size| size.parse().ok());
        let beyond = range.zip(size).is_some_and(|(range, size)| range.start >= size);
        let is_one = versions.clone().any(|version| Some(self.size(index, version)) == size);
        if beyond && is_one { Ok(()) } else { Err(format!("416 with `{told}`, of a version from {versions:?}")) }
    }

    /// What is wrong with these bytes.
    fn difference(&self, index: usize, version: u64, got: &[u8], expected: &[u8]) -> String {
        let at = got.iter().zip(expected).position(|(got, expected)| got != expected);
        let at = at.unwrap_or(got.len().min(expected.len()));
        let piece = |bytes: &[u8]| bytes.get(at..at + 16).map(<[u8]>::to_vec);
        let other = (1..=self.version(index)).find(|other| {
            let body = self.body(index, *other);
            piece(got).is_some() && piece(&body) == piece(got)
        });
        format!(
            "{} bytes instead of {} of version {version}, wrong from byte {at} on (there of version {other:?})",
            got.len(),
            expected.len()
        )
    }
}

/// Folders below each route.
pub(crate) const PREFIXES: usize = 5;
