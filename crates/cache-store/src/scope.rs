//! Scopes: what of an object a purge can select it by.

use std::hash::Hasher;
use std::ops::Range;

use holm_model::ids::SiteName;
use holm_model::purge::Selector;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

/// An object's site, URL and tags. Purges are matched by 64-bit hashes: a collision costs a miss, never a wrong hit.
///
/// One run of bytes, for there is one with every object; it goes to disk as it is. The hashes that follow from the names are
/// made when a purge asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The version; the length of the site's name (1 byte), of the host's, of the path (2 each); the number of tags (4); the
    /// hash of the URL with its query (8); site, host, path; the hashes of tags, of groups.
    run: Box<[u8]>,
}

/// What a purge mark is found by. It outlives the process on disk: how it is made never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MarkId(u64);

/// The host of a response that all hosts of its site share: a purge of any one of them selects it.
pub const ANY_HOST: &str = "";

impl Scope {
    /// The scope of a URL's response: `host` in lower case without port, or [`ANY_HOST`]; `path` and `query` as in the
    /// cache key.
    #[must_use]
    pub fn new(site: &SiteName, host: &str, path: &str, query: Option<&str>, tags: &[&str]) -> Self {
        let site = site.as_str();
        let url = MarkId::url(site, host, path, Some(query.unwrap_or_default()));
        let tags = tags.iter().map(|tag| MarkId::tag(site, tag));
        Self::of(url, (site, host, path), tags, std::iter::empty())
    }

    /// The same scope with these tags.
    #[must_use]
    pub fn with_tags(&self, tags: &[&str]) -> Self {
        let tags = tags.iter().map(|tag| MarkId::tag(self.site_name(), tag));
        Self::of(self.with_query(), self.names(), tags, self.groups())
    }

    /// The same scope in these cache groups (RFC 9875), one or more, of an origin: its scheme, host and port.
    #[must_use]
    pub fn with_groups<'a>(self, origin: &str, groups: impl IntoIterator<Item = &'a str>) -> Self {
        let site = self.site_name();
        let named = groups.into_iter().map(|group| MarkId::named_group(site, origin, group));
        let groups: SmallVec<[MarkId; 4]> = std::iter::once(MarkId::group_of_any(site, origin)).chain(named).collect();
        Self::of(self.with_query(), self.names(), self.tags(), groups.into_iter())
    }

    /// The same scope with the tags and groups of another one too.
    #[must_use]
    pub fn united(self, other: &Self) -> Self {
        let tags: SmallVec<[MarkId; 8]> = union(self.tags(), other.tags());
        let groups: SmallVec<[MarkId; 8]> = union(self.groups(), other.groups());
        Self::of(self.with_query(), self.names(), tags.into_iter(), groups.into_iter())
    }

    /// The same scope for a response that answers several queries of its path: a purge of any one of them selects it.
    #[must_use]
    pub fn of_several_queries(self) -> Self {
        let (site, host, path) = self.names();
        Self::of(MarkId::any_path_query(site, host, path), self.names(), self.tags(), self.groups())
    }

    /// Adds the form in which it outlives the process.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.run);
    }

    /// Reads what [`Scope::encode`] wrote; `None` where it did not.
    #[must_use]
    pub fn decode(run: &[u8]) -> Option<Self> {
        let (&[version, site, ..], true) = (run, run.len() >= NAMES) else { return None };
        let scope = Self { run: run.into() };
        let [host, path] = scope.lengths();
        let host_at = NAMES + usize::from(site);
        let path_at = host_at + host;
        let end = path_at + path;
        let marks = run.len().checked_sub(end)?;
        if version != VERSION || !marks.is_multiple_of(MARK) || scope.tag_count() > marks / MARK {
            return None;
        }
        let names = std::str::from_utf8(&run[NAMES..end]).ok()?;
        let parted = names.is_char_boundary(host_at - NAMES) && names.is_char_boundary(path_at - NAMES);
        parted.then_some(scope)
    }

    /// Bytes that it occupies beside itself.
    pub(crate) fn weight(&self) -> usize {
        self.run.len()
    }

    pub(crate) fn site(&self) -> MarkId {
        MarkId::hash(SITE, &[Some(self.site_name())])
    }

    pub(crate) fn path_only(&self) -> MarkId {
        let (site, host, path) = self.names();
        MarkId::url(site, host, path, None)
    }

    pub(crate) fn with_query(&self) -> MarkId {
        MarkId::read(&self.run[NAMES - MARK..NAMES])
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = MarkId> {
        let tags = self.tag_count() * MARK;
        self.marks()[..tags].chunks_exact(MARK).map(MarkId::read)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = MarkId> {
        let tags = self.tag_count() * MARK;
        self.marks()[tags..].chunks_exact(MARK).map(MarkId::read)
    }

    /// The mark ids of every path prefix, whole segments, from the root on: with the host and for all hosts.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = MarkId> {
        let (site, host, path) = self.names();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.flat_map(move |end| {
            let prefix = &path[..end];
            [MarkId::prefix(site, None, prefix), MarkId::prefix(site, Some(host), prefix)]
        })
    }

    fn of(
        url: MarkId,
        (site, host, path): (&str, &str, &str),
        tags: impl Iterator<Item = MarkId>,
        groups: impl Iterator<Item = MarkId>,
    ) -> Self {
        let names = site.len() + host.len() + path.len();
        let mut run = Vec::with_capacity(NAMES + names + tags.size_hint().0 * MARK + groups.size_hint().0 * MARK);
        run.extend_from_slice(&[VERSION, u8::try_from(site.len()).expect("invariant: a site's name is a DNS label")]);
        for length in [host.len(), path.len()] {
            let length = u16::try_from(length).expect("invariant: a URL is short");
            run.extend_from_slice(&length.to_le_bytes());
        }
        run.extend_from_slice(&[0; TAG_COUNT.end - TAG_COUNT.start]);
        run.extend_from_slice(&url.0.to_le_bytes());
        for name in [site, host, path] {
            run.extend_from_slice(name.as_bytes());
        }
        tags.for_each(|tag| run.extend_from_slice(&tag.0.to_le_bytes()));
        let tag_count = u32::try_from((run.len() - NAMES - names) / MARK).expect("invariant: a head is short");
        run[TAG_COUNT].copy_from_slice(&tag_count.to_le_bytes());
        groups.for_each(|group| run.extend_from_slice(&group.0.to_le_bytes()));
        Self { run: run.into() }
    }

    /// Of the host, of the path.
    fn lengths(&self) -> [usize; 2] {
        [2, 4].map(|at| usize::from(u16::from_le_bytes([self.run[at], self.run[at + 1]])))
    }

    fn tag_count(&self) -> usize {
        u32::from_le_bytes(self.run[TAG_COUNT].try_into().expect("invariant: four bytes")) as usize
    }

    /// Site, host and path.
    fn names(&self) -> (&str, &str, &str) {
        let [host, path] = self.lengths();
        let (site, rest) = self.run[NAMES..].split_at(usize::from(self.run[1]));
        let (host, rest) = rest.split_at(host);
        (text(site), text(host), text(&rest[..path]))
    }

    fn site_name(&self) -> &str {
        self.names().0
    }

    fn marks(&self) -> &[u8] {
        let [host, path] = self.lengths();
        &self.run[NAMES + usize::from(self.run[1]) + host + path..]
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("invariant: it was text, or was checked when it was read")
}

fn union<const N: usize>(
    own: impl Iterator<Item = MarkId>,
    others: impl Iterator<Item = MarkId>,
) -> SmallVec<[MarkId; N]> {
    let mut all: SmallVec<[MarkId; N]> = own.collect();
    for other in others {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

impl MarkId {
    /// The id under which a purge with this selector is kept.
    pub(crate) fn of(site: &SiteName, selector: &Selector) -> Self {
        match selector {
            Selector::Url { host, path, query } => Self::url(site.as_str(), host, path, query.as_deref()),
            Selector::Tag(tag) => Self::tag(site.as_str(), tag),
            Selector::Prefix { host, path } => Self::prefix(site.as_str(), host.as_deref(), path),
            Selector::All => Self::site(site),
        }
    }

    /// The further ids under which a purge is kept: that of one query, for responses that answer several; that of one
    /// host, for responses that its site's hosts share.
    pub(crate) fn further(site: &SiteName, selector: &Selector) -> SmallVec<[Self; 3]> {
        let site = site.as_str();
        match selector {
            Selector::Url { host, path, query } => {
                let shared = Self::url(site, ANY_HOST, path, query.as_deref());
                let several =
                    query.iter().flat_map(|_| [host, ANY_HOST]).map(|host| Self::any_path_query(site, host, path));
                std::iter::once(shared).chain(several).collect()
            }
            Selector::Prefix { host: Some(_), path } => SmallVec::from_iter([Self::prefix(site, Some(ANY_HOST), path)]),
            Selector::Prefix { host: None, .. } | Selector::Tag(_) | Selector::All => SmallVec::new(),
        }
    }

    /// The ids of what has changed where an unsafe method succeeded: one URL, and what answers several of its queries; both
    /// also of what hosts share.
    pub(crate) fn changed_url(site: &SiteName, host: &str, path: &str, query: Option<&str>) -> [Self; 4] {
        let site = site.as_str();
        let url = |host| Self::url(site, host, path, Some(query.unwrap_or_default()));
        let several = |host| Self::any_path_query(site, host, path);
        [url(host), several(host), url(ANY_HOST), several(ANY_HOST)]
    }

    /// The id of a cache group.
    pub(crate) fn group(site: &SiteName, origin: &str, group: &str) -> Self {
        Self::named_group(site.as_str(), origin, group)
    }

    /// The id of all cache groups of an origin.
    pub(crate) fn any_group(site: &SiteName, origin: &str) -> Self {
        Self::group_of_any(site.as_str(), origin)
    }

    /// The id of a site.
    pub(crate) fn site(site: &SiteName) -> Self {
        Self::hash(SITE, &[Some(site.as_str())])
    }

    fn url(site: &str, host: &str, path: &str, query: Option<&str>) -> Self {
        Self::hash(URL, &[Some(site), Some(host), Some(path), query])
    }

    fn any_path_query(site: &str, host: &str, path: &str) -> Self {
        Self::hash(ANY_QUERY, &[Some(site), Some(host), Some(path)])
    }

    fn tag(site: &str, tag: &str) -> Self {
        Self::hash(TAG, &[Some(site), Some(tag)])
    }

    fn prefix(site: &str, host: Option<&str>, path: &str) -> Self {
        Self::hash(PREFIX, &[Some(site), host, Some(path)])
    }

    fn named_group(site: &str, origin: &str, group: &str) -> Self {
        Self::hash(GROUP, &[Some(site), Some(origin), Some(group)])
    }

    fn group_of_any(site: &str, origin: &str) -> Self {
        Self::hash(ANY_GROUP, &[Some(site), Some(origin)])
    }

    /// SipHash-1-3 with a key of zeros over the kind and, of each part, its length (all ones for none) and its bytes.
    fn hash(kind: u8, parts: &[Option<&str>]) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(&[kind]);
        for part in parts {
            hasher.write(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            hasher.write(part.unwrap_or_default().as_bytes());
        }
        Self(hasher.finish())
    }

    /// For keeping.
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    /// What [`MarkId::raw`] gave.
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    fn read(bytes: &[u8]) -> Self {
        Self(u64::from_le_bytes(bytes.try_into().expect("invariant: eight bytes")))
    }
}

const VERSION: u8 = 1;

/// Where in a scope's run the number of tags is.
const TAG_COUNT: Range<usize> = 6..10;

/// How long a mark id is.
const MARK: usize = 8;

/// Where the names begin.
const NAMES: usize = TAG_COUNT.end + MARK;

/// Kinds of marks: they enter the ids.
const SITE: u8 = 1;
const URL: u8 = 2;
const ANY_QUERY: u8 = 3;
const TAG: u8 = 4;
const PREFIX: u8 = 5;
const GROUP: u8 = 6;
const ANY_GROUP: u8 = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope() -> Scope {
        let site = "shop".parse().unwrap();
        let scope = Scope::new(&site, "www.shop.example", "/a/b", Some("q=1"), &["t", "u"]);
        scope.with_groups("https://www.shop.example:443", ["g"])
    }

    /// They are on disks: none of these numbers ever changes.
    #[test]
    fn ids_are_for_ever() {
        let scope = scope();
        let ids = [scope.site(), scope.path_only(), scope.with_query()];
        let ids = ids.into_iter().chain(scope.tags()).chain(scope.groups()).chain(scope.prefixes());
        let ids: Vec<String> = ids.map(|id| format!("{:016x}", id.0)).collect();
        assert_eq!(ids, IDS);
    }

    #[test]
    fn what_is_written_is_read() {
        let check = |scope: Scope| {
            let mut bytes = Vec::new();
            scope.encode(&mut bytes);
            assert_eq!(Scope::decode(&bytes).as_ref(), Some(&scope));
            for length in 0..bytes.len() - scope.groups().count() * MARK {
                assert_eq!(Scope::decode(&bytes[..length]), None, "cut at {length}");
            }
        };
        check(scope());
        check(scope().of_several_queries().united(&Scope::new(&"s".parse().unwrap(), ANY_HOST, "", None, &["v"])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(at in 0_usize..200, byte: u8, cut in 0_usize..200) {
            let mut bytes = Vec::new();
            scope().encode(&mut bytes);
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % 3);
            if let Some(read) = Scope::decode(&bytes) {
                prop_assert!(read.prefixes().chain(read.tags()).chain(read.groups()).count() > 0);
            }
        }
    }

    const IDS: [&str; 13] = [
        "1b38c450414a44e0",
        "eeb46da9aa7cef71",
        "0acf192a7dfd11b4",
        "e1cb65fb88d528c7",
        "df2e5fa4608b6e8c",
        "8f810a053ead0348",
        "7f6d70584f802711",
        "41c0e2bb51ad35d2",
        "97e4906465d4be99",
        "c8e6432832860e02",
        "2aadf65787770ed4",
        "5f9c3633e5824d36",
        "98e93d0157c4e5f5",
    ];
}
