//! Fills: origins that break off, readers of different speeds, and those who wait for too long.

use futures_util::FutureExt as _;
use holm_cache_policy::Outcome;
use http::HeaderValue;

use super::*;
use crate::fill::{Basis, FillOutcome};
use crate::pieces;

const MIB: usize = 1 << 20;
const STRONG: &str = "\"1\"";

/// The content of a length: no two of its blocks are alike.
fn content(length: usize) -> Bytes {
    static ALL: LazyLock<Bytes> = LazyLock::new(|| {
        let mut all = vec![0; 20 * MIB];
        for (number, block) in all.chunks_exact_mut(512).enumerate() {
            block.copy_from_slice(&number.to_le_bytes().repeat(64));
        }
        all.into()
    });
    ALL.slice(..length)
}

/// One answer of an origin.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The whole of so many bytes, under this tag; it breaks off after so many.
    Whole {
        length: usize,
        tag: &'static str,
        until: usize,
    },
    /// From the first byte to before the second, of so many, under this tag.
    Rest {
        first: usize,
        until: usize,
        end: usize,
        complete: usize,
        tag: &'static str,
    },
    /// An error of the origin's.
    Status(u16),
    Unreachable,
}

impl Step {
    fn answer(self) -> Result<Response<Body>, HopError> {
        match self {
            Self::Whole { length, tag, until } => {
                let declared = length.to_string();
                let fields = [FRESH, ("etag", tag), ("content-length", &declared)];
                Ok(response(200, &fields, "").map(|_| until_broken(content(length), until)))
            }
            Self::Rest { first, until, end, complete, tag } => {
                let range = format!("bytes {first}-{}/{complete}", end - 1);
                let fields = [FRESH, ("etag", tag), ("content-range", &range)];
                let rest = content(complete).slice(first..end);
                Ok(response(206, &fields, "").map(|_| until_broken(rest, until - first)))
            }
            Self::Status(status) => Ok(response(status, &[], "x")),
            Self::Unreachable => Err(unreachable()),
        }
    }
}

/// A body that breaks off after so many bytes, unless that is its end.
fn until_broken(bytes: Bytes, until: usize) -> Body {
    if until == bytes.len() {
        return Body::full(bytes);
    }
    // Its sender is gone.
    let (_, broken) = Body::channel(1);
    pieces::before([bytes.slice(..until)], broken)
}

/// An origin that answers in these steps, and what it was asked for: the range, and the tag that was to be the same.
fn scripted((memory, disk): (ByteSize, bool), steps: &[Step]) -> (Fixture, Arc<Mutex<Vec<String>>>) {
    let (asked, steps) = (Arc::new(Mutex::new(Vec::new())), Mutex::new(steps.to_vec()));
    let noted = Arc::clone(&asked);
    let fixture = Fixture::stored(memory, disk, move |request| {
        let field = |name| request.headers().get(name).map_or("", |value: &HeaderValue| value.to_str().unwrap());
        noted.lock().push(format!("{} {}", field("range"), field("if-range")).trim().to_owned());
        let mut steps = steps.lock();
        if steps.is_empty() { Ok(response(599, &[], "")) } else { steps.remove(0).answer() }
    });
    (fixture, asked)
}

async fn read(reply: Reply) -> (Bytes, bool) {
    let (mut body, mut all) = (reply.response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => all.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => return (all.into(), false),
        }
    }
    (all.into(), true)
}

/// A client gets so many bytes of a body, and its clean end if they are all; the origin is asked so.
async fn check(steps: &[Step], got: usize, ended: FillOutcome, expected: &[&str]) {
    for (memory, disk) in [(32, false), (64, false), (64, true)] {
        let (fixture, asked) = scripted((ByteSize::mib(memory), disk), steps);
        let Step::Whole { length, .. } = steps[0] else { unreachable!("the first is the whole") };
        let told = format!("{steps:?} {memory} {disk}");
        // Those who come after it has broken off ask anew.
        let clients = if got == length { 10 } else { 1 };
        let replies = futures_util::future::join_all((0..clients).map(|_| fixture.reply(get("/", &[])))).await;
        for (bytes, clean) in futures_util::future::join_all(replies.into_iter().map(read)).await {
            assert_eq!((bytes.len(), clean), (got, got == length), "{told}");
            assert!(bytes == content(length).slice(..got), "{told}");
        }
        assert_eq!(*asked.lock(), expected, "{told}");
        assert_eq!(fixture.node.fills.counts.ended(ended), 1, "{told}");
        assert_eq!(fixture.node.budget.used(), 0, "{told}");
        // What is whole was stored.
        let again = fixture.reply(get("/", &[("cache-control", "only-if-cached")])).await;
        if got == length {
            let (bytes, clean) = read(again).await;
            assert!(clean && bytes == content(length), "{told}");
        }
        assert_eq!(asked.lock().len(), expected.len(), "{told}");
    }
}

const fn whole(length: usize, until: usize) -> Step {
    Step::Whole { length, tag: STRONG, until }
}

const fn rest(first: usize, until: usize, complete: usize) -> Step {
    Step::Rest { first, until, end: complete, complete, tag: STRONG }
}

#[tokio::test]
async fn what_breaks_off_is_resumed_where_it_is_sure_to_be_the_same() {
    let (small, large) = (1000, 2 * MIB + 100);
    let again = "bytes=400- \"1\"";
    let resumed = FillOutcome::Resumed;
    check(&[whole(small, small)], small, FillOutcome::Stored, &[""]).await;
    check(&[whole(small, 400), rest(400, small, small)], small, resumed, &["", again]).await;
    let twice = [whole(small, 400), rest(400, 700, small), rest(700, small, small)];
    check(&twice, small, resumed, &["", again, "bytes=700- \"1\""]).await;
    let unreachable = [whole(small, 400), Step::Unreachable, rest(400, small, small)];
    check(&unreachable, small, resumed, &["", again, again]).await;
    let failing = [whole(small, 400), Step::Status(503), rest(400, small, small)];
    check(&failing, small, resumed, &["", again, again]).await;
    for at in [400, MIB, MIB + 1, 2 * MIB] {
        let asked = format!("bytes={at}- \"1\"");
        check(&[whole(large, at), rest(at, large, large)], large, resumed, &["", &asked]).await;
    }
}

#[tokio::test]
async fn what_breaks_off_is_an_error_at_that_byte_else() {
    const SMALL: usize = 1000;
    let check_step = async |step: Step| {
        check(&[whole(SMALL, 400), step], 400, FillOutcome::Broken, &["", "bytes=400- \"1\""]).await;
    };
    let another = Step::Rest { first: 400, until: SMALL, end: SMALL, complete: SMALL, tag: "\"2\"" };
    check_step(another).await;
    check_step(Step::Rest { first: 400, until: SMALL, end: SMALL, complete: SMALL, tag: "W/\"1\"" }).await;
    check_step(rest(401, SMALL, SMALL)).await;
    check_step(rest(0, SMALL, SMALL)).await;
    check_step(rest(400, 1001, 1001)).await;
    check_step(rest(400, 999, 999)).await;
    // A part of the rest is not the rest.
    check_step(Step::Rest { first: 400, until: 900, end: 900, complete: SMALL, tag: STRONG }).await;
    check_step(whole(SMALL, SMALL)).await;
    check_step(Step::Status(416)).await;
    let broken = FillOutcome::Broken;
    for tag in ["W/\"1\"", "1", ""] {
        check(&[Step::Whole { length: SMALL, tag, until: 400 }], 400, broken, &[""]).await;
    }
    // Nothing came, so nothing is missing from it.
    check(&[whole(SMALL, 0)], 0, broken, &[""]).await;
    // There is an end to it.
    let thrice = [whole(SMALL, 400), rest(400, 500, SMALL), rest(500, 600, SMALL)];
    check(&thrice, 600, broken, &["", "bytes=400- \"1\"", "bytes=500- \"1\""]).await;
}

#[tokio::test]
async fn a_broken_large_body_leaves_what_is_whole_of_it() {
    const LENGTH: usize = 3 * MIB + 10;
    let check = async |tag: &'static str, disk: bool, expected: &[&str]| {
        let broken = Step::Whole { length: LENGTH, tag, until: 2 * MIB + 5 };
        let (fixture, asked) = scripted((ByteSize::mib(64), disk), &[broken, Step::Unreachable, Step::Unreachable]);
        let (bytes, clean) = read(fixture.reply(get("/", &[])).await).await;
        assert_eq!((bytes.len(), clean), (2 * MIB + 5, false), "{tag}");
        asked.lock().clear();
        let tail = Step::Rest { first: 2 * MIB, until: LENGTH, end: LENGTH, complete: LENGTH, tag };
        let noted = Arc::clone(&asked);
        fixture.now_respond(move |request| {
            let range = request.headers().get("range").map_or("", |value| value.to_str().unwrap());
            noted.lock().push(range.to_owned());
            if range.is_empty() { whole(LENGTH, LENGTH).answer() } else { tail.answer() }
        });
        let (bytes, clean) = read(fixture.reply(get("/", &[])).await).await;
        assert!(clean && bytes == content(LENGTH), "{tag}: {} bytes", bytes.len());
        assert_eq!(*asked.lock(), expected, "{tag} {disk}");
    };
    for disk in [false, true] {
        check(STRONG, disk, &["bytes=2097152-3145737"]).await;
        check("W/\"1\"", disk, &[""]).await;
    }
}

#[tokio::test]
async fn a_large_body_is_on_disk_with_what_leads_to_it() {
    const LENGTH: usize = 2 * MIB + 10;
    let check = async |path: &str, fields: &'static [(&'static str, &'static str)]| {
        let respond = move |_: &Request<Body>| {
            let fields: Vec<_> = [FRESH].iter().chain(fields).copied().collect();
            Ok(response(200, &fields, content(LENGTH)))
        };
        let fixture = Fixture::stored(ByteSize::mib(64), true, respond);
        let asked_once = read(fixture.reply(get(path, &[])).await).await;
        assert!(asked_once.1 && asked_once.0 == content(LENGTH), "{path}");
        let fixture = fixture.restart().await;
        let (bytes, clean) = read(fixture.reply(get(path, &[])).await).await;
        assert!(clean && bytes == content(LENGTH), "{path}");
        assert_eq!(fixture.asked(), 1, "{path} {fields:?}");
    };
    check("/a", &[]).await;
    check("/a", &[("vary", "x-plan")]).await;
    check("/a?b=1", &[("no-vary-search", "params=(\"b\")")]).await;
}

/// Reads the frames that are there.
fn read_now(body: &mut Body, all: &mut Vec<u8>) -> bool {
    while let Some(frame) = body.frame().now_or_never() {
        match frame {
            Some(frame) => all.extend_from_slice(&frame.expect("no error").into_data().expect("data")),
            None => return true,
        }
    }
    false
}

#[tokio::test]
async fn the_slowest_reader_holds_neither_the_fill_nor_its_memory() {
    const LENGTH: usize = 20 * MIB;
    const CHUNK: usize = 100_000;
    let (mut sender, first) = streaming(&[FRESH]);
    let origin = Fixture::stored(ByteSize::mib(256), true, move |_| Ok(first.lock().take().expect("one fetch only")));
    let mut fast = origin.reply(get("/", &[])).await.response.into_body();
    let mut slow = origin.reply(get("/", &[])).await.response.into_body();
    let (mut at_fast, mut at_slow) = (Vec::new(), Vec::new());
    let content = content(LENGTH);
    let mut rest = content.clone();
    let mut most = 0;
    while !rest.is_empty() {
        let chunk = rest.split_to(CHUNK.min(rest.len()));
        sender.send_data(chunk).await.expect("the fill reads on, whoever else does not");
        tokio::task::yield_now().await;
        read_now(&mut fast, &mut at_fast);
        if at_slow.is_empty() {
            let frame = slow.frame().await.expect("a frame").expect("no error");
            at_slow.extend_from_slice(&frame.into_data().expect("data"));
        }
        most = most.max(origin.node.budget.used());
    }
    assert!(most <= 6 * MIB as u64, "{most} bytes were held");
    // Who comes late begins at the first byte.
    let late = origin.reply(get("/", &[])).await;
    sender.finish().await.expect("a reader");
    let (late, clean) = read(late).await;
    assert!(clean && late == content);
    assert!(read_now(&mut fast, &mut at_fast) && at_fast == content);
    assert!(read_now(&mut slow, &mut at_slow) && at_slow == content, "{} bytes", at_slow.len());
    drop((fast, slow));
    assert_eq!((origin.node.budget.used(), origin.asked()), (0, 1));
    let hit = origin.ask(get("/", &[("range", "bytes=0-1")])).await;
    assert!(hit.starts_with("206 hit;"), "{hit}");
}

#[tokio::test]
async fn what_was_spilled_and_is_gone_is_an_error_for_those_who_need_it() {
    let (mut sender, first) = streaming(&[FRESH]);
    let origin = Fixture::stored(ByteSize::mib(256), true, move |_| Ok(first.lock().take().expect("one fetch only")));
    let mut fast = origin.reply(get("/", &[])).await.response.into_body();
    let slow = origin.reply(get("/", &[])).await;
    let (content, mut at_fast) = (content(12 * MIB), Vec::new());
    for chunk in content.chunks(MIB / 2) {
        sender.send_data(Bytes::copy_from_slice(chunk)).await.expect("a reader");
        tokio::task::yield_now().await;
        read_now(&mut fast, &mut at_fast);
    }
    origin.node.store.clear();
    sender.finish().await.expect("a reader");
    let (bytes, clean) = read(slow).await;
    assert!(!clean && content.starts_with(&bytes) && bytes.len() < content.len(), "{} bytes", bytes.len());
    while !read_now(&mut fast, &mut at_fast) {
        tokio::task::yield_now().await;
    }
    assert!(at_fast == content);
}

#[tokio::test]
async fn what_was_stored_since_the_look_up_is_not_fetched_again() {
    for length in [1000, 2 * MIB + 1] {
        let (fixture, asked) = scripted((ByteSize::mib(64), false), &[whole(length, length)]);
        let request = get("/", &[]);
        let (authority, interims) = (Authority::parse("shop.example").expect("a host"), Interims::nowhere());
        let listener = Listener::new(&interims);
        let route = fixture.site.content_route("/").expect("a route");
        let content_of = route.content.as_ref().expect("content");
        let client = ([127, 0, 0, 1].into(), &listener);
        let target = Target::of_client(&fixture.site, (route, content_of), Scheme::Http, &authority, client);
        let key = target.key(&request);
        // Two have looked it up before either has begun.
        let fill = || {
            fixture.node.fill(
                &target,
                get("/", &[]),
                key,
                Basis::Nothing,
                Report::forward(Outcome::UriMiss, "uri-miss"),
            )
        };
        for _ in 0..2 {
            let (bytes, clean) = read(fill().await).await;
            assert!(clean && bytes == content(length));
        }
        assert_eq!(asked.lock().len(), 1);
    }
}

/// Never answers the first request.
struct Stuck(Arc<AtomicUsize>);

impl NextHop for Stuck {
    fn send(&self, _: Request<Body>, way: Way) -> BoxFuture<'static, Result<Answer, HopError>> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if number == 0 {
                std::future::pending::<()>().await;
            }
            Ok(Answer {
                response: response(200, &[FRESH], "own"),
                as_of: way.begun.applied,
                aged: false,
                bridged: None,
            })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_what_another_one_fetches() {
    let fixture = Fixture::new(|_| Err(unreachable()));
    let (dir, asked) = (tempfile::tempdir().expect("a folder"), Arc::new(AtomicUsize::new(0)));
    let control = Control::open(dir.path(), Telemetry::new()).expect("a store");
    let store = StoreConfig::memory_only(ByteSize::mib(16));
    let node = Node::new(Role::Edge, &store, Arc::new(Stuck(Arc::clone(&asked))), &control).expect("memory alone");
    let fixture = Arc::new(Fixture { node, ..fixture });
    let leader = Arc::clone(&fixture);
    let leader = tokio::spawn(async move { leader.ask(get("/", &[])).await });
    tokio::task::yield_now().await;
    let begun = tokio::time::Instant::now();
    let waiting = async {
        while fixture.node.fills.counts.waiters() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let (answer, ()) = tokio::join!(fixture.ask(get("/", &[])), waiting);
    assert_eq!(answer, "200 fwd=uri-miss; fwd-status=200; detail=fill-wait own");
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert_eq!((asked.load(Ordering::SeqCst), fixture.node.fills.counts.waiters()), (2, 0));
    leader.abort();
}

#[tokio::test]
async fn a_client_that_leaves_holds_nothing_and_ends_nothing() {
    let (mut sender, first) = streaming(&[FRESH]);
    let origin = Fixture::new(move |_| Ok(first.lock().take().expect("one fetch only")));
    let replies = futures_util::future::join_all((0..10).map(|_| origin.reply(get("/", &[])))).await;
    sender.send_data(content(1000)).await.expect("a reader");
    drop(replies);
    sender.finish().await.expect("a reader");
    while origin.node.fills.counts.ended(FillOutcome::Stored) == 0 {
        tokio::task::yield_now().await;
    }
    let hit = origin.ask(get("/", &[("range", "bytes=0-1")])).await;
    assert!(hit.starts_with("206 hit;"), "{hit}");
    assert_eq!(origin.node.budget.used(), 0);
}

#[tokio::test]
async fn what_is_stale_is_renewed_once_however_many_ask() {
    let rule = ("cache-control", "max-age=0, stale-while-revalidate=60");
    let origin = Fixture::new(move |_| Ok(response(200, &[rule], "old")));
    origin.ask(get("/", &[])).await;
    let (sender, renewal) = streaming(&[FRESH]);
    origin.now_respond(move |_| Ok(renewal.lock().take().expect("one renewal only")));
    let answers = futures_util::future::join_all((0..100).map(|_| origin.ask(get("/", &[])))).await;
    assert!(answers.iter().all(|answer| answer.ends_with("stale-while-revalidate old")), "{answers:?}");
    sender.finish().await.expect("a reader");
    while origin.node.fills.counts.ended(FillOutcome::Stored) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.asked(), 2);
}
