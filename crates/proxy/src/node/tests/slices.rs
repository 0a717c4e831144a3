//! Large bodies: what is asked of the origin for which requests, and that every byte is the right one.

use std::ops::RangeInclusive;

use http::HeaderValue;

use super::*;
use crate::slices::{SLICE_BYTES, slice_key};

const S: u64 = SLICE_BYTES;
const ONE: &str = "\"1\"";

/// These bytes of the body of this tag: none of its slices is like another, nor like one of another tag.
fn bytes(range: RangeInclusive<u64>, tag: &str) -> Bytes {
    static PATTERN: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..PERIOD).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect());
    let (mut at, end) = (range.start() + u64::from(tag.as_bytes()[tag.len() / 2]), range.end() + 1);
    let mut left = (end - range.start()) as usize;
    let mut all = Vec::with_capacity(left);
    while left > 0 {
        let from = (at % PERIOD) as usize;
        let taken = left.min(PATTERN.len() - from);
        all.extend_from_slice(&PATTERN[from..from + taken]);
        (at, left) = (at + taken as u64, left - taken);
    }
    all.into()
}

/// A prime: no slice's length is a multiple.
const PERIOD: u64 = 65_521;

/// An origin of one large body, which it serves ranges of.
#[derive(Clone)]
struct Large {
    length: u64,
    tag: &'static str,
    cache: &'static str,
    /// Fields and bytes of an answer to a range end after so many.
    shortest: u64,
}

impl Large {
    fn new(length: u64) -> Self {
        Self { length, tag: ONE, cache: "max-age=60", shortest: u64::MAX }
    }

    fn serve(&self, request: &Request<Body>) -> Response<Body> {
        let field = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap());
        let fields = [("cache-control", self.cache), ("etag", self.tag), ("content-type", "x/y")];
        if field("if-none-match") == Some(self.tag) {
            return response(304, &fields, "");
        }
        let same = field("if-range").is_none_or(|tag| tag == self.tag);
        let Some(range) = field("range").filter(|_| same) else {
            let mut whole = response(200, &fields, bytes(0..=self.length - 1, self.tag));
            whole.headers_mut().insert("content-length", self.length.into());
            return whole;
        };
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let end = self.length - 1;
        let (first, last) = match (first, last) {
            ("", count) => (self.length - count.parse::<u64>().unwrap(), end),
            (first, "") => (first.parse().unwrap(), end),
            (first, last) => (first.parse().unwrap(), last.parse::<u64>().unwrap().min(end)),
        };
        let last = last.min(first.saturating_add(self.shortest - 1));
        let mut part = response(206, &fields, bytes(first..=last, self.tag));
        let range = format!("bytes {first}-{last}/{}", self.length);
        part.headers_mut().insert("content-range", range.parse().unwrap());
        part
    }
}

/// A node before such an origin.
struct Sliced {
    fixture: Fixture,
    /// What was asked for since it was looked at: the range, or `whole`, and after `if` the tag.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Sliced {
    fn new(large: Large) -> Self {
        let asked = Arc::new(Mutex::default());
        let fixture = Fixture::sized(ByteSize::mib(64), Self::respond(large, &asked));
        Self { fixture, asked }
    }

    fn respond(
        large: Large,
        asked: &Arc<Mutex<Vec<String>>>,
    ) -> impl Fn(&Request<Body>) -> Result<Response<Body>, HopError> + Send + Sync + use<> {
        let asked = Arc::clone(asked);
        move |request| {
            let field = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap());
            let mut said = field("range").unwrap_or("whole").trim_start_matches("bytes=").to_owned();
            if let Some(tag) = field("if-range").or(field("if-none-match")) {
                said += &format!(" if {tag}");
            }
            asked.lock().push(said);
            Ok(large.serve(request))
        }
    }

    fn now(&self, large: Large) {
        self.fixture.now_respond(Self::respond(large, &self.asked));
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }

    /// Asks; gives status, `Cache-Status`, and what came of the body: with its end, if that was not a clean one.
    async fn ask(&self, fields: &[(&'static str, &str)]) -> (Reply, Vec<u8>, Option<String>) {
        let mut reply = self.fixture.reply(get("/large", fields)).await;
        let mut body = std::mem::take(reply.response.body_mut());
        let mut all = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => all.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(error) => return (reply, all, Some(error.to_string())),
            }
        }
        (reply, all, None)
    }

    /// A request for a range (or the whole, where there is none) gets exactly these bytes, and asks this of the origin.
    async fn check(&self, range: &str, expected: RangeInclusive<u64>, said: &str, asked: &[&str]) {
        let fields = if range.is_empty() { vec![] } else { vec![("range", range)] };
        let (reply, body, error) = self.ask(&fields).await;
        assert_eq!(error, None, "{range}");
        assert_eq!(self.asked(), asked, "{range}");
        let status = reply.report.cache_status().value();
        let status = status.to_str().unwrap().trim_start_matches("holm-edge; ");
        let status = if status.starts_with("hit; ttl=") { HIT } else { status };
        assert_eq!(status, said, "{range}");
        assert!(body == bytes(expected.clone(), ONE), "{range}: {} bytes, not {expected:?}", body.len());
        assert_eq!(reply.response.status(), if range.is_empty() { 200 } else { 206 }, "{range}");
    }
}

const HIT: &str = "hit";
const COLD: &str = "fwd=uri-miss; fwd-status=206; stored; detail=uri-miss";
const MISS: &str = "fwd=uri-miss; fwd-status=200; stored; detail=uri-miss";
const PARTIAL: &str = "fwd=partial; stored; detail=incomplete";

#[tokio::test]
async fn a_range_fetches_the_slices_that_it_lacks() {
    let origin = Sliced::new(Large::new(5 * S + 10));
    // As the client asks: how long the whole is, and what it is known by, is not known yet.
    origin.check("bytes=100-199", 100..=199, COLD, &["100-199"]).await;
    origin.check("bytes=100-199", 100..=199, HIT, &[]).await;
    origin.check("bytes=150-250", 150..=250, PARTIAL, &["0-1048575 if \"1\""]).await;
    origin.check("bytes=0-1048575", 0..=S - 1, HIT, &[]).await;
    origin.check("bytes=1048575-1048576", S - 1..=S, PARTIAL, &["1048576-2097151 if \"1\""]).await;
    origin.check("bytes=0-2097151", 0..=2 * S - 1, HIT, &[]).await;
    // The last slice is a short one, and the end may be counted from behind.
    origin.check("bytes=-5", 5 * S + 5..=5 * S + 9, PARTIAL, &["5242880-5242889 if \"1\""]).await;
    // What is missing between is fetched in runs.
    let runs = ["2097152-4194303 if \"1\"", "4194304-5242879 if \"1\""];
    origin.check("", 0..=5 * S + 9, PARTIAL, &runs).await;
    origin.check("", 0..=5 * S + 9, HIT, &[]).await;
    origin.check("bytes=2000000-", 2_000_000..=5 * S + 9, HIT, &[]).await;
}

#[tokio::test]
async fn a_cold_range_leaves_the_slices_in_it() {
    let origin = Sliced::new(Large::new(4 * S));
    origin.check("bytes=5-3145728", 5..=3 * S, COLD, &["5-3145728"]).await;
    origin.check("bytes=1048576-3145727", S..=3 * S - 1, HIT, &[]).await;
    origin.check("bytes=3145720-", 3 * S - 8..=4 * S - 1, PARTIAL, &["3145728-4194303 if \"1\""]).await;
    origin.check("", 0..=4 * S - 1, PARTIAL, &["0-1048575 if \"1\""]).await;
}

#[tokio::test]
async fn a_miss_fetches_the_whole_and_leaves_slices() {
    for length in [S + 1, 2 * S, 2 * S + 1] {
        let origin = Sliced::new(Large::new(length));
        origin.check("", 0..=length - 1, MISS, &["whole"]).await;
        origin.check("", 0..=length - 1, HIT, &[]).await;
        origin.check("bytes=1048570-1048576", S - 6..=S, HIT, &[]).await;
    }
    // One slice is none.
    let origin = Sliced::new(Large::new(S));
    origin.check("", 0..=S - 1, MISS, &["whole"]).await;
    origin.check("bytes=5-6", 5..=6, HIT, &[]).await;
}

#[tokio::test]
async fn where_only_the_head_is_here_the_whole_is_fetched_at_once() {
    let origin = Sliced::new(Large::new(3 * S));
    origin.check("bytes=1-2", 1..=2, COLD, &["1-2"]).await;
    origin.check("", 0..=3 * S - 1, "fwd=partial; fwd-status=200; stored; detail=incomplete", &["whole"]).await;
    origin.check("", 0..=3 * S - 1, HIT, &[]).await;
}

#[tokio::test]
async fn a_very_long_body_costs_what_is_asked_of_it() {
    const LENGTH: u64 = 10 << 30;
    let origin = Sliced::new(Large::new(LENGTH));
    origin.check("bytes=9000000000-9000000099", 9_000_000_000..=9_000_000_099, COLD, &["9000000000-9000000099"]).await;
    let slice = ["8999927808-9000976383 if \"1\""];
    origin.check("bytes=9000000001-9000000100", 9_000_000_001..=9_000_000_100, PARTIAL, &slice).await;
    let last = ["10736369664-10737418239 if \"1\""];
    origin.check("bytes=-1", LENGTH - 1..=LENGTH - 1, PARTIAL, &last).await;
}

#[tokio::test]
async fn what_needs_no_bytes_fetches_none() {
    let origin = Sliced::new(Large::new(3 * S));
    origin.check("bytes=0-0", 0..=0, COLD, &["0-0"]).await;
    let check = async |fields: &[(&'static str, &str)], status: u16, length: Option<&str>| {
        let (reply, body, error) = origin.ask(fields).await;
        let found = reply.response.headers().get("content-length").map(|value| value.to_str().unwrap());
        assert_eq!(
            (reply.response.status().as_u16(), found, body.len(), error),
            (status, length, 0, None),
            "{fields:?}"
        );
        assert_eq!(reply.report.outcome.as_str(), "hit", "{fields:?}");
        assert!(origin.asked().is_empty(), "{fields:?}");
    };
    check(&[("if-none-match", ONE)], 304, None).await;
    check(&[("if-none-match", ONE), ("range", "bytes=9-")], 304, None).await;
    check(&[("range", "bytes=3145728-")], 416, None).await;
    let head = Request::head("/large").body(Body::empty()).unwrap();
    let head = origin.fixture.reply(head).await;
    let length = &head.response.headers()["content-length"];
    assert_eq!((head.response.status().as_u16(), length.to_str().unwrap()), (200, "3145728"));
    assert!(origin.asked().is_empty());
}

#[tokio::test]
async fn several_ranges_over_slices() {
    let origin = Sliced::new(Large::new(4 * S));
    origin.check("bytes=0-0", 0..=0, COLD, &["0-0"]).await;
    let fields = [("range", "bytes=3145727-3145728,10-19,1048570-1048580")];
    let (reply, body, error) = origin.ask(&fields).await;
    let kind = reply.response.headers()["content-type"].to_str().unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let mut expected = Vec::new();
    for (first, last) in [(3_145_727, 3_145_728), (10, 19), (1_048_570, 1_048_580)] {
        let range = format!("content-range: bytes {first}-{last}/4194304");
        expected.extend_from_slice(format!("\r\n--{boundary}\r\ncontent-type: x/y\r\n{range}\r\n\r\n").as_bytes());
        expected.extend_from_slice(&bytes(first..=last, ONE));
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert_eq!(error, None);
    assert!(body == expected);
    let length = reply.response.headers()["content-length"].to_str().unwrap();
    assert_eq!(length, body.len().to_string());
    assert_eq!(origin.asked(), ["2097152-4194303 if \"1\"", "0-1048575 if \"1\"", "1048576-2097151 if \"1\""]);
    origin.ask(&fields).await;
    assert!(origin.asked().is_empty());
}

#[tokio::test]
async fn the_clients_own_if_range() {
    let origin = Sliced::new(Large::new(2 * S));
    origin.check("", 0..=2 * S - 1, MISS, &["whole"]).await;
    let check = async |tag: &str, status: u16, expected: RangeInclusive<u64>| {
        let (reply, body, error) = origin.ask(&[("range", "bytes=7-8"), ("if-range", tag)]).await;
        assert_eq!((reply.response.status().as_u16(), error), (status, None), "{tag}");
        assert!(body == bytes(expected, ONE), "{tag}");
        assert!(origin.asked().is_empty(), "{tag}");
    };
    check(ONE, 206, 7..=8).await;
    check("\"2\"", 200, 0..=2 * S - 1).await;
}

#[tokio::test]
async fn another_representation_begins_anew() {
    let two = || Large { tag: "\"2\"", ..Large::new(4 * S) };
    let longer = || Large::new(4 * S + 1);
    for changed in [two(), longer()] {
        let origin = Sliced::new(Large::new(4 * S));
        origin.check("bytes=0-2097151", 0..=2 * S - 1, COLD, &["0-2097151"]).await;
        origin.now(changed.clone());
        // Nothing has been sent yet: it is as if nothing were stored.
        let (reply, body, error) = origin.ask(&[("range", "bytes=3145728-3145730")]).await;
        assert_eq!((reply.response.status().as_u16(), error), (206, None));
        assert!(body == bytes(3 * S..=3 * S + 2, changed.tag));
        assert_eq!(origin.asked(), ["3145728-4194303 if \"1\"", "3145728-3145730"]);

        let origin = Sliced::new(Large::new(4 * S));
        origin.check("bytes=0-2097151", 0..=2 * S - 1, COLD, &["0-2097151"]).await;
        origin.now(changed.clone());
        // What has begun ends with an error where the bytes would be another one's.
        let (_, body, error) = origin.ask(&[]).await;
        assert!(body == bytes(0..=2 * S - 1, ONE), "{} bytes", body.len());
        assert!(error.is_some_and(|error| error.contains("the representation has changed")));
        origin.asked();
        let (reply, body, error) = origin.ask(&[]).await;
        assert_eq!((reply.response.status().as_u16(), error), (200, None));
        assert!(body == bytes(0..=changed.length - 1, changed.tag));
        assert_eq!(origin.asked(), ["whole"]);
    }
}

#[tokio::test]
async fn many_who_want_the_same_slices_cause_one_fetch() {
    let origin = Sliced::new(Large::new(8 * S));
    origin.check("bytes=0-0", 0..=0, COLD, &["0-0"]).await;
    let asks = (0..10).map(|_| origin.ask(&[("range", "bytes=5000000-6000000")]));
    for (_, body, error) in futures_util::future::join_all(asks).await {
        assert_eq!(error, None);
        assert!(body == bytes(5_000_000..=6_000_000, ONE));
    }
    assert_eq!(origin.asked(), ["4194304-6291455 if \"1\""]);
}

#[tokio::test]
async fn without_a_strong_validator_what_lacks_slices_is_fetched_anew() {
    for tag in ["W/\"1\"", "none"] {
        let origin = Sliced::new(Large { tag, ..Large::new(3 * S) });
        let ask = async |range: Option<&'static str>, expected: RangeInclusive<u64>| {
            let fields: Vec<_> = range.map(|range| ("range", range)).into_iter().collect();
            let (_, body, error) = origin.ask(&fields).await;
            assert_eq!(error, None);
            assert!(body == bytes(expected, tag), "{tag} {range:?}");
            origin.asked()
        };
        assert_eq!(ask(None, 0..=3 * S - 1).await, ["whole"]);
        assert!(ask(None, 0..=3 * S - 1).await.is_empty());
        let node = &origin.fixture.node;
        let head = node.look_up_large(&origin.fixture);
        node.store.remove(slice_key(head, 1));
        assert!(ask(Some("bytes=5-6"), 5..=6).await.is_empty(), "that slice is here");
        assert_eq!(ask(Some("bytes=1048576-1048577"), S..=S + 1).await, ["1048576-1048577"]);
        assert_eq!(ask(None, 0..=3 * S - 1).await, ["whole"]);
        assert!(ask(None, 0..=3 * S - 1).await.is_empty());
    }
}

#[tokio::test]
async fn what_is_confirmed_keeps_its_slices() {
    let origin = Sliced::new(Large { cache: "max-age=0", ..Large::new(2 * S) });
    let first = "fwd=uri-miss; fwd-status=200; stored; detail=uri-miss";
    origin.check("", 0..=2 * S - 1, first, &["whole"]).await;
    let confirmed = "fwd=stale; fwd-status=304; stored; detail=expired";
    origin.check("bytes=5-1048580", 5..=S + 4, confirmed, &["whole if \"1\""]).await;
    origin.now(Large::new(2 * S));
    origin.check("", 0..=2 * S - 1, confirmed, &["whole if \"1\""]).await;
    origin.check("", 0..=2 * S - 1, HIT, &[]).await;
    origin.fixture.purge(Selector::All, PurgeMode::Soft);
    let confirmed = "fwd=stale; fwd-status=304; stored; detail=soft-purged";
    origin.check("", 0..=2 * S - 1, confirmed, &["whole if \"1\""]).await;
    origin.check("", 0..=2 * S - 1, HIT, &[]).await;
    origin.fixture.purge(Selector::All, PurgeMode::Hard);
    let purged = "fwd=uri-miss; fwd-status=200; stored; detail=purged";
    origin.check("", 0..=2 * S - 1, purged, &["whole"]).await;
}

#[tokio::test]
async fn a_purge_in_mid_response() {
    let begin = async |origin: &Sliced| {
        origin.check("", 0..=4 * S - 1, MISS, &["whole"]).await;
        let mut body = origin.fixture.reply(get("/large", &[])).await.response.into_body();
        let first = body.frame().await.expect("a frame").expect("bytes").into_data().expect("data");
        assert!(first == bytes(0..=S - 1, ONE));
        origin.fixture.purge(Selector::All, PurgeMode::Hard);
        body
    };
    // What has not been read yet is asked for again, and is good if it is still the same.
    let origin = Sliced::new(Large::new(4 * S));
    let rest = begin(&origin).await.collect(4 * S).await.expect("the rest");
    assert!(rest == bytes(S..=4 * S - 1, ONE));
    assert!(!origin.asked().is_empty());
    // What it brought is of a response that is purged: nobody finds it.
    let purged = "fwd=uri-miss; fwd-status=200; stored; detail=purged";
    origin.check("", 0..=4 * S - 1, purged, &["whole"]).await;
    // Else the body breaks off.
    let origin = Sliced::new(Large::new(4 * S));
    let rest = begin(&origin).await;
    origin.now(Large { tag: "\"2\"", ..Large::new(4 * S) });
    assert!(rest.collect(4 * S).await.is_err());
}

#[tokio::test]
async fn answers_that_break_off_or_bring_less() {
    let origin = Sliced::new(Large::new(4 * S));
    origin.check("bytes=0-0", 0..=0, COLD, &["0-0"]).await;
    // One slice an answer.
    origin.now(Large { shortest: S, ..Large::new(4 * S) });
    let asked = ["0-2097151 if \"1\"", "1048576-2097151 if \"1\""];
    origin.check("bytes=1-2097150", 1..=2 * S - 2, PARTIAL, &asked).await;
    // Never a whole slice: not for ever.
    origin.now(Large { shortest: 1000, ..Large::new(4 * S) });
    let (reply, _, _) = origin.ask(&[("range", "bytes=2097152-2097153")]).await;
    assert_eq!(reply.response.status(), 206);
    let asked = origin.asked();
    assert_eq!(asked, [["2097152-3145727 if \"1\""; 3].as_slice(), &["2097152-2097153"]].concat());
}

#[tokio::test]
async fn an_origin_that_fails() {
    let origin = Sliced::new(Large::new(4 * S));
    origin.check("bytes=0-1048575", 0..=S - 1, COLD, &["0-1048575"]).await;
    origin.fixture.now_respond(|_| Err(unreachable()));
    let (reply, _, _) = origin.ask(&[("range", "bytes=2097152-2097153")]).await;
    assert_eq!((reply.response.status().as_u16(), reply.error), (502, Some("connect-refused")));
    let (reply, body, error) = origin.ask(&[]).await;
    assert_eq!(reply.response.status(), 200);
    assert!(body == bytes(0..=S - 1, ONE));
    assert!(error.is_some_and(|error| error.contains("connect-refused")));
    origin.now(Large::new(4 * S));
    origin.check("", 0..=4 * S - 1, PARTIAL, &["1048576-3145727 if \"1\"", "3145728-4194303 if \"1\""]).await;
}

impl Node {
    /// The nonce of `/large`.
    fn look_up_large(&self, fixture: &Fixture) -> crate::slices::Nonce {
        let request = get("/large", &[]);
        let authority = Authority::parse("shop.example").expect("a host");
        let rule = KeyRule::default();
        let key = key_input(fixture.site.name().as_str(), Scheme::Http, &authority, &request, &rule);
        let found = self.store.get(CacheKey::primary(&key).0).expect("a response");
        match found.meta() {
            Stored::Sliced(sliced) => sliced.nonce,
            other => panic!("not in slices: {other:?}"),
        }
    }
}
