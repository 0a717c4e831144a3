//! Ranges: what a client gets of parts of a response, whatever of it the two tiers hold. RFC 9110 §14, RFC 9111 §3.3, §3.4.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use holm_e2e::{Ask, Asked, Exchange, Gate, Holm, Origin, Pattern, Protocol, Response, get, head, sha256, wait_for};

type Fields<'a> = &'a [(&'a str, &'a str)];

/// What the origins serve.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| Pattern::new(1000).bytes());

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const STRONG: (&str, &str) = ("etag", "\"a\"");
const MODIFIED: (&str, &str) = ("last-modified", "Mon, 01 Jan 2001 00:00:00 GMT");

/// Answers as a server of files would: with the range, if one is asked for and `If-Range` names the `ETag` in `fields`.
fn serve(asked: &Asked, exchange: &mut Exchange, content: &[u8], fields: Fields<'_>) -> io::Result<()> {
    let etag = fields.iter().find(|(name, _)| *name == "etag").map_or("", |(_, value)| *value);
    let condition = asked.fields.get("if-range");
    let holds = condition.is_empty() || condition == etag;
    let Some((first, last)) = range_of(asked.fields.get("range"), content.len()).filter(|_| holds) else {
        return exchange.reply(200, fields, content);
    };
    if first >= content.len() {
        return exchange.reply(416, &[("content-range", &format!("bytes */{}", content.len()))], "");
    }
    let told = format!("bytes {first}-{last}/{}", content.len());
    exchange.reply(206, &[fields, &[("content-range", &told)]].concat(), &content[first..=last])
}

/// The one range that `Range` names.
fn range_of(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        return Some((length.saturating_sub(last.parse().ok()?), length - 1));
    }
    let last = if last.is_empty() { length - 1 } else { last.parse::<usize>().ok()?.min(length - 1) };
    Some((first.parse().ok()?, last))
}

/// The response to one range of [`CONTENT`], `told` in its `Content-Range`.
#[track_caller]
fn check_part(response: &Response, told: &str) {
    let show = response.show();
    assert_eq!((response.status, response.error.as_str()), (206, ""), "{show}");
    assert_eq!(response.fields.all("content-range").collect::<Vec<_>>(), [format!("bytes {told}")], "{show}");
    let range = format!("bytes={}", told.split('/').next().unwrap_or_default());
    let (first, last) = range_of(&range, CONTENT.len()).expect("a range");
    let expected = &CONTENT[first..=last];
    assert!(response.body == expected, "{show}");
    assert_eq!(response.fields.get("content-length"), expected.len().to_string(), "{show}");
}

#[test]
fn ranges_of_a_stored_whole() {
    let origin = Origin::start(|asked, exchange| {
        let etag = if asked.path().starts_with("/weak") { ("etag", "W/\"a\"") } else { STRONG };
        let fields = [FRESH, etag, MODIFIED, ("content-type", "text/plain")];
        exchange.reply(200, &fields, &*CONTENT)
    });
    let holm = Holm::before(origin.url());
    for protocol in [Protocol::Http1, Protocol::Http3] {
        for path in ["/strong", "/weak"] {
            holm.ask(&get(path).over(protocol)).expect(200);
        }
        let ask = |path: &str, fields: Fields<'_>| holm.ask(&get(path).fields(fields).over(protocol));
        let part = |path: &str, fields: Fields<'_>, told: &str| {
            let response = ask(path, fields);
            assert!(response.is_hit(), "{}", response.show());
            check_part(&response, told);
        };
        let whole = |path: &str, fields: Fields<'_>| {
            let response = ask(path, fields).expect(200).expect_hit();
            assert!(response.body == *CONTENT && !response.fields.has("content-range"), "{}", response.show());
        };
        part("/strong", &[("range", "bytes=0-0")], "0-0/1000");
        part("/strong", &[("range", "bytes=-1")], "999-999/1000");
        part("/strong", &[("range", "bytes=-5000")], "0-999/1000");
        part("/strong", &[("range", "bytes=999-")], "999-999/1000");
        part("/strong", &[("range", "Bytes=5-99999999999999999999999")], "5-999/1000");
        // Members that overlap, or lie close to one another, become one; those that do not exist say nothing.
        part("/strong", &[("range", "bytes=0-9, 5-19, 10-29")], "0-29/1000");
        part("/strong", &[("range", "bytes=0-9,20-29")], "0-29/1000");
        part("/strong", &[("range", "bytes=0-9, 2000-3000")], "0-9/1000");
        for wrong in ["bytes=9-0", "bytes=", "bytes=a-b", "lines=0-1", "bytes=--1", "bytes 0-1"] {
            whole("/strong", &[("range", wrong)]);
        }
        for beyond in ["bytes=1000-", "bytes=-0", "bytes=1000-1001, 5000-"] {
            let response = ask("/strong", &[("range", beyond)]).expect(416);
            assert_eq!(response.fields.get("content-range"), "bytes */1000", "{}", response.show());
            assert!(response.is_hit() && response.body.is_empty(), "{}", response.show());
        }
        // RFC 9110 §13.1.5.
        part("/strong", &[("range", "bytes=0-1"), ("if-range", "\"a\"")], "0-1/1000");
        part("/strong", &[("range", "bytes=0-1"), ("if-range", MODIFIED.1)], "0-1/1000");
        whole("/strong", &[("range", "bytes=0-1"), ("if-range", "\"b\"")]);
        whole("/strong", &[("range", "bytes=0-1"), ("if-range", "W/\"a\"")]);
        whole("/strong", &[("range", "bytes=0-1"), ("if-range", "Mon, 01 Jan 2001 00:00:01 GMT")]);
        whole("/weak", &[("range", "bytes=0-1"), ("if-range", "W/\"a\"")]);
        // §13.2.2: other conditions come first.
        ask("/strong", &[("range", "bytes=0-1"), ("if-none-match", "\"a\"")]).expect(304);
        part("/strong", &[("range", "bytes=0-1"), ("if-none-match", "\"b\"")], "0-1/1000");
        let response = holm.ask(&head("/strong").field("range", "bytes=0-1").over(protocol)).expect(200).expect_hit();
        assert_eq!(response.fields.get("content-length"), "1000", "{}", response.show());
    }
    assert!(origin.log().iter().all(|asked| !asked.fields.has("range")));
}

/// RFC 9110 §14.6.
#[test]
fn several_ranges_of_a_stored_whole() {
    let origin =
        Origin::start(|_, exchange| exchange.reply(200, &[FRESH, ("content-type", "text/x-a; b=c")], &*CONTENT));
    let holm = Holm::before(origin.url());
    for protocol in Protocol::VERSIONS {
        // curl's HTTP/2 comes over the other scheme, whose responses are others.
        holm.ask(&get("/").over(protocol)).expect(200);
        let check = |range: &str, parts: &[(usize, usize)]| {
            let response = holm.ask(&get("/").field("range", range).over(protocol)).expect(206);
            let show = response.show();
            let boundary = response.fields.get("content-type").strip_prefix("multipart/byteranges; boundary=");
            let boundary = boundary.unwrap_or_else(|| panic!("no boundary: {show}"));
            let mut expected = Vec::new();
            for (first, last) in parts {
                let fields = format!("content-type: text/x-a; b=c\r\ncontent-range: bytes {first}-{last}/1000");
                expected.extend_from_slice(format!("\r\n--{boundary}\r\n{fields}\r\n\r\n").as_bytes());
                expected.extend_from_slice(&CONTENT[*first..=*last]);
            }
            expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
            assert!(response.body == expected, "{range}: {show}");
            assert_eq!(response.fields.get("content-length"), expected.len().to_string(), "{range}: {show}");
            assert!(!response.fields.has("content-range") && response.is_hit(), "{range}: {show}");
        };
        check("bytes=0-9,500-509", &[(0, 9), (500, 509)]);
        check("bytes=500-509 , 0-0", &[(500, 509), (0, 0)]);
        check("bytes=-10,0-9,,200-299", &[(990, 999), (0, 9), (200, 299)]);
        check("bytes=0-99,50-149,-100", &[(0, 149), (900, 999)]);
    }
    // RFC 9110 §17.15: so many that nobody means it.
    let many: Vec<_> = (0..100).map(|at| format!("{}-{}", at * 10, at * 10)).collect();
    let response = holm.ask(&get("/").field("range", format!("bytes={}", many.join(",")))).expect(200);
    assert!(response.body == *CONTENT, "{}", response.show());
}

/// What a client asks for, what it is told in `Cache-Status`, and what the origin is asked for then.
struct Step(&'static str, &'static str, Option<&'static str>);

/// Asks for parts of `path` one after the other; an empty range is a plain GET.
#[track_caller]
fn check_steps(holm: &Holm, origin: &Origin, path: &str, protocol: Protocol, steps: &[Step]) {
    for Step(range, cache, asked) in steps {
        let before = origin.asked(path);
        let ask = get(path).over(protocol);
        let ask = if range.is_empty() { ask } else { ask.field("range", format!("bytes={range}")) };
        let response = holm.ask(&ask);
        let show = format!("{path} {range}: {}", response.show());
        assert!(response.cache().contains(cache), "expected `{cache}`: {show}");
        if range.is_empty() {
            assert!(response.status == 200 && response.body == *CONTENT, "{show}");
            assert!(!response.fields.has("content-range"), "{show}");
        } else {
            let (first, last) = range_of(&format!("bytes={range}"), CONTENT.len()).expect("a range");
            check_part(&response, &format!("{first}-{last}/1000"));
        }
        assert_eq!(origin.asked(path) - before, usize::from(asked.is_some()), "{show}");
        if let Some(asked) = asked {
            assert_eq!(origin.last(path).fields.get("range"), *asked, "{show}");
        }
    }
}

/// An origin of [`CONTENT`], whose paths say what is special about it.
fn parted() -> Origin {
    Origin::start(|asked, exchange| match asked.path() {
        "/weak" => serve(asked, exchange, &CONTENT, &[FRESH, ("etag", "W/\"a\"")]),
        "/date" => serve(asked, exchange, &CONTENT, &[FRESH, MODIFIED]),
        "/no-store" => serve(asked, exchange, &CONTENT, &[("cache-control", "no-store"), STRONG]),
        "/vary" => serve(asked, exchange, &CONTENT, &[FRESH, STRONG, ("vary", "x-a")]),
        "/nvs" => serve(asked, exchange, &CONTENT, &[FRESH, STRONG, ("no-vary-search", "key-order")]),
        _ => serve(asked, exchange, &CONTENT, &[FRESH, STRONG]),
    })
}

#[test]
fn parts_are_stored_and_make_a_whole() {
    let origin = parted();
    let holm = Holm::before(origin.url());
    let check = |path: &str, steps: &[Step]| check_steps(&holm, &origin, path, Protocol::Http1, steps);
    let (miss, partial) = ("fwd=uri-miss; fwd-status=206", "fwd=partial; fwd-status=206");
    for protocol in [Protocol::Http1, Protocol::Http3] {
        check_steps(
            &holm,
            &origin,
            &format!("/all?{protocol:?}"),
            protocol,
            &[
                Step("0-99", miss, Some("bytes=0-99")),
                Step("0-99", "hit", None),
                Step("10-19", "hit", None),
                Step("90-109", partial, Some("bytes=90-109")),
                Step("0-109", "hit", None),
                Step("500-599", partial, Some("bytes=500-599")),
                Step("-100", partial, Some("bytes=-100")),
                Step("900-", "hit", None),
                Step("-50", "hit", None),
                Step("100-950", partial, Some("bytes=100-950")),
                Step("", "hit", None),
                Step("1-2", "hit", None),
            ],
        );
    }
    check(
        "/rest",
        &[Step("0-299", miss, Some("bytes=0-299")), Step("", partial, Some("bytes=300-")), Step("", "hit", None)],
    );
    assert_eq!(origin.last("/rest").fields.get("if-range"), "\"a\"");
    check(
        "/no-prefix",
        &[
            Step("100-299", miss, Some("bytes=100-299")),
            Step("", "fwd=partial; fwd-status=200", Some("")),
            Step("", "hit", None),
        ],
    );
    check(
        "/suffix",
        &[
            Step("-300", miss, Some("bytes=-300")),
            Step("-300", "hit", None),
            Step("700-", "hit", None),
            Step("0-699", partial, Some("bytes=0-699")),
            Step("", "hit", None),
        ],
    );
}

#[test]
fn parts_that_are_not_put_together_or_stand_elsewhere() {
    let origin = parted();
    let holm = Holm::before(origin.url());
    let check = |path: &str, steps: &[Step]| check_steps(&holm, &origin, path, Protocol::Http1, steps);
    let (miss, partial) = ("fwd=uri-miss; fwd-status=206", "fwd=partial; fwd-status=206");
    // Without a strong validator nothing is put together; the latest part is what is known.
    for path in ["/weak", "/date"] {
        check(
            path,
            &[
                Step("0-99", miss, Some("bytes=0-99")),
                Step("0-99", "hit", None),
                Step("100-199", partial, Some("bytes=100-199")),
                Step("150-199", "hit", None),
                Step("0-199", partial, Some("bytes=0-199")),
                Step("", "fwd=partial; fwd-status=200", Some("")),
                Step("", "hit", None),
            ],
        );
    }
    check(
        "/no-store",
        &[Step("0-99", "detail=no-store", Some("bytes=0-99")), Step("0-99", "fwd=uri-miss", Some("bytes=0-99"))],
    );
    check(
        "/vary",
        &[
            Step("0-99", miss, Some("bytes=0-99")),
            Step("0-99", "hit", None),
            Step("", partial, Some("bytes=100-")),
            Step("", "hit", None),
        ],
    );
    check("/whole-at-once", &[Step("0-", miss, Some("bytes=0-")), Step("", "hit", None)]);
    check("/nvs?a=1&b=2", &[Step("0-99", miss, Some("bytes=0-99")), Step("0-99", "hit", None)]);
    // Parts say nothing to HEAD.
    check("/head", &[Step("0-99", miss, Some("bytes=0-99"))]);
    let response = holm.ask(&head("/head")).expect(200).expect_miss("fwd=partial");
    assert_eq!((origin.last("/head").method.as_str(), response.fields.get("content-length")), ("HEAD", "1000"));
    check("/head", &[Step("0-99", "hit", None)]);
}

/// Of two representations no bytes ever come together.
#[test]
fn representations_are_not_mixed() {
    let version = Arc::new(AtomicUsize::new(0));
    let current = Arc::clone(&version);
    let bodies = |version: usize| vec![b'a' + u8::try_from(version).unwrap(); 1000];
    let origin = Origin::start(move |asked, exchange| {
        let version = current.load(Ordering::SeqCst);
        let etag = format!("\"{version}\"");
        let fields = [FRESH, ("etag", etag.as_str())];
        let ignores_condition = asked.path() == "/blind" && asked.fields.has("if-range");
        if ignores_condition && let Some((first, last)) = range_of(asked.fields.get("range"), 1000) {
            let told = format!("bytes {first}-{last}/1000");
            let part = &bodies(version)[first..=last];
            return exchange.reply(206, &[&fields[..], &[("content-range", &told)]].concat(), part);
        }
        if asked.path() == "/refuses" && asked.fields.has("if-range") {
            return exchange.reply(416, &[("content-range", "bytes */10")], "");
        }
        serve(asked, exchange, &bodies(version), &fields)
    });
    let holm = Holm::before(origin.url());
    let one = |response: &Response, version: usize| {
        let expected = &bodies(version)[..response.body.len()];
        assert!(response.body == expected && response.error.is_empty(), "{}", response.show());
        assert_eq!(response.fields.get("etag"), format!("\"{version}\""), "{}", response.show());
    };
    for path in ["/seeing", "/blind", "/refuses"] {
        version.store(0, Ordering::SeqCst);
        let part = |range: &str| holm.ask(&get(path).field("range", range)).expect(206);
        one(&part("bytes=0-399"), 0);
        version.store(1, Ordering::SeqCst);
        let whole = holm.ask(&get(path)).expect(200);
        assert_eq!(whole.body.len(), 1000, "{}", whole.show());
        one(&whole, 1);
        let again = holm.ask(&get(path)).expect(200).expect_hit();
        assert_eq!(again.body.len(), 1000, "{}", again.show());
        one(&again, 1);
        let path = format!("{path}?parts");
        let part = |range: &str| holm.ask(&get(&path).field("range", range)).expect(206);
        one(&part("bytes=0-499"), 1);
        version.store(2, Ordering::SeqCst);
        one(&part("bytes=500-999"), 2);
        one(&part("bytes=500-999").expect_hit(), 2);
        one(&part("bytes=0-499"), 2);
        let whole = holm.ask(&get(&path)).expect(200).expect_hit();
        assert_eq!(whole.body.len(), 1000);
        one(&whole, 2);
    }
}

/// What an origin says of its parts is not believed where it can't be.
#[test]
fn origins_that_lie() {
    let origin = Origin::start(|asked, exchange| {
        let told = match asked.path() {
            "/longer" => "bytes 0-9/1000",
            "/shorter" => "bytes 0-29/1000",
            "/beyond" => "bytes 0-19/10",
            "/backwards" => "bytes 19-0/1000",
            "/words" => "lines 0-19/1000",
            "/none" => "",
            "/other" => "bytes 100-119/1000",
            "/unknown" => "bytes 0-19/*",
            _ => return exchange.reply(404, &[], ""),
        };
        let fields = [FRESH, STRONG, ("content-range", told)];
        match asked.fields.has("range") {
            true => exchange.reply(206, if told.is_empty() { &fields[..2] } else { &fields }, &CONTENT[..20]),
            false => exchange.reply(200, &fields[..2], &*CONTENT),
        }
    });
    let holm = Holm::before(origin.url());
    let part = |path: &str, range: &str| holm.ask(&get(path).field("range", range));
    for path in ["/longer", "/beyond", "/backwards", "/words", "/none"] {
        for _ in 0..2 {
            let response = part(path, "bytes=0-19");
            assert!(!response.is_hit(), "{path}: {}", response.show());
        }
    }
    // Less than it said: the bytes that came are those that it said.
    part("/shorter", "bytes=0-19");
    check_part(&part("/shorter", "bytes=0-19").expect_hit(), "0-19/1000");
    check_part(&part("/shorter", "bytes=0-9").expect_hit(), "0-9/1000");
    // Another part than was asked for is that part.
    part("/other", "bytes=0-19");
    let response = part("/other", "bytes=100-109").expect_hit();
    assert_eq!((response.fields.get("content-range"), &response.body[..]), ("bytes 100-109/1000", &CONTENT[..10]));
    part("/unknown", "bytes=0-19");
    let response = part("/unknown", "bytes=5-9").expect(206).expect_hit();
    assert_eq!((response.fields.get("content-range"), &response.body[..]), ("bytes 5-9/*", &CONTENT[5..10]));
    for path in ["/longer", "/shorter", "/beyond", "/backwards", "/words", "/none", "/unknown"] {
        let response = holm.ask(&get(path)).expect(200);
        assert!(response.body == *CONTENT, "{path}: {}", response.show());
    }
}

#[test]
fn a_range_of_an_origin_without_ranges() {
    let origin = Origin::start(|_, exchange| exchange.reply(200, &[FRESH, STRONG], &*CONTENT));
    let holm = Holm::before(origin.url());
    let response = holm.ask(&get("/").field("range", "bytes=0-9")).expect(200).expect_miss("stored");
    assert!(response.body == *CONTENT, "{}", response.show());
    check_part(&holm.ask(&get("/").field("range", "bytes=0-9")).expect_hit(), "0-9/1000");
    assert_eq!(origin.asked("/"), 1);
}

#[test]
fn what_did_not_come_whole_is_not_stored() {
    let gate = Gate::new();
    let passing = gate.clone();
    let large = Pattern::new(4_000_000).bytes();
    let told = large.clone();
    let origin = Origin::start(move |asked, exchange| {
        let range = asked.fields.get("range").to_owned();
        if range == "bytes=0-2999999" {
            let fields = [FRESH, STRONG, ("content-range", "bytes 0-2999999/4000000"), ("content-length", "3000000")];
            exchange.head(206, &fields)?;
            exchange.write_all(&told[..1_000_000])?;
            if asked.path() == "/breaks" {
                return Err(holm_e2e::broken_off());
            }
            passing.pass();
            return exchange.write_all(&told[1_000_000..3_000_000]);
        }
        serve(asked, exchange, &told, &[FRESH, STRONG])
    });
    let holm = Holm::before(origin.url());
    let part = |path: &str, range: &str| holm.ask(&get(path).field("range", range));
    // The origin leaves.
    let response = part("/breaks", "bytes=0-2999999");
    assert!(!response.error.is_empty(), "{}", response.show());
    part("/breaks", "bytes=0-99").expect(206).expect_miss("fwd=uri-miss");
    // The client leaves.
    for protocol in Protocol::VERSIONS.into_iter().filter(|protocol| *protocol != Protocol::Http3) {
        let path = format!("/leaves?{protocol:?}");
        let ask = get(&path).field("range", "bytes=0-2999999").over(protocol);
        let mut first = holm.curl(&ask).piped().start();
        io::Read::read_exact(&mut first.stdout(), &mut [0; 16]).expect("the beginning");
        drop(first);
        wait_for("the end of the client's connection", || holm.metric("holm_connections") < 1.5);
        gate.open();
        let response = part(&path, "bytes=0-99").expect(206);
        assert!(response.body == large[..100], "{}", response.show());
        let whole = holm.ask(&get(&path)).expect(200);
        assert!(whole.body == large, "{}", whole.show());
    }
}

/// Parts go as what they are parts of would.
#[test]
fn purges_and_changes_take_parts() {
    let origin = Origin::start(|asked, exchange| match asked.method.as_str() {
        "GET" => serve(asked, exchange, &CONTENT, &[FRESH, STRONG, ("surrogate-key", "tagged")]),
        _ => exchange.reply(204, &[], ""),
    });
    let holm = Holm::before(origin.url());
    let part = |path: &str, range: &str| {
        let response = holm.ask(&get(path).field("range", format!("bytes={range}")));
        check_part(&response, &format!("{range}/1000"));
        response
    };
    let check = |path: &str, change: &dyn Fn()| {
        part(path, "0-99");
        part(path, "0-99").expect_hit();
        change();
        let before = origin.asked(path);
        part(path, "0-99").expect_miss("fwd=");
        part(path, "0-99").expect_hit();
        assert_eq!(origin.asked(path), before + 1, "{path}: both tiers have forgotten");
        // What went does not come back with what comes next to it.
        part(path, "100-199");
        part(path, "50-149").expect_hit();
        let whole = holm.ask(&get(path)).expect(200);
        assert!(whole.body == *CONTENT, "{}", whole.show());
        holm.ask(&get(path)).expect_hit();
    };
    let purge = |options: &str| drop(holm.cli(&format!("purge {options}")).ok("on 2 nodes"));
    check("/url", &|| purge(&format!("--url http://{}/url", holm.http())));
    check("/tag", &|| purge("--tag tagged"));
    check("/all", &|| purge("--all"));
    check("/soft", &|| purge(&format!("--soft --url http://{}/soft", holm.http())));
    check("/post", &|| drop(holm.ask(&holm_e2e::ask("POST", "/post").body("x")).expect(204)));
    check("/delete", &|| drop(holm.ask(&holm_e2e::ask("DELETE", "/delete")).expect(204)));
}

/// A change while a part is under way: what comes of it is from before.
#[test]
fn a_part_under_way_is_not_stored_after_a_change() {
    let gate = Gate::new();
    let passing = gate.clone();
    let asked_first = AtomicUsize::new(0);
    let origin = Origin::start(move |asked, exchange| {
        if asked.method == "POST" {
            return exchange.reply(204, &[], "");
        }
        if asked_first.fetch_add(1, Ordering::SeqCst) == 0 {
            passing.pass();
        }
        serve(asked, exchange, &CONTENT, &[FRESH, STRONG])
    });
    let holm = Holm::before(origin.url());
    let ask: Ask = get("/").field("range", "bytes=0-99");
    let first = holm.curl(&ask).start();
    origin.wait_asked("/", 1);
    holm.ask(&holm_e2e::ask("POST", "/").body("x")).expect(204);
    gate.open();
    first.finish().expect(206);
    let second = holm.ask(&ask).expect(206);
    assert!(!second.is_hit(), "{}", second.show());
    assert_eq!(origin.asked("/"), 3, "the shield has not stored it either");
}

/// Large parts for many at once: every byte is the right one, whatever is put together meanwhile.
#[test]
fn large_parts_for_many() {
    const SIZE: usize = 6 << 20;
    let content = Arc::new(Pattern::new(SIZE as u64).bytes());
    let told = Arc::clone(&content);
    let origin = Origin::start(move |asked, exchange| serve(asked, exchange, &told, &[FRESH, STRONG]));
    let holm = Holm::before(origin.url());
    let mebi = 1 << 20;
    let ranges = [(0, 2 * mebi), (mebi, 3 * mebi), (4 * mebi, SIZE), (2 * mebi, 5 * mebi), (0, SIZE)];
    for _ in 0..2 {
        let asks = ranges.iter().cycle().take(20).enumerate().map(|(number, (from, to))| {
            let protocol = if number % 2 == 0 { Protocol::Http1 } else { Protocol::Http2 };
            let whole = number % 5 == 4 && number % 2 == 0;
            let ask = get("/large").over(protocol);
            let ask = if whole { ask } else { ask.field("range", format!("bytes={from}-{}", to - 1)) };
            (holm.curl(&ask).start(), sha256(&content[*from..*to]))
        });
        let asks: Vec<_> = asks.collect();
        for (curl, digest) in asks {
            let response = curl.finish();
            assert!(response.error.is_empty() && sha256(&response.body) == digest, "{}", response.show());
        }
    }
    let whole = holm.ask(&get("/large")).expect_hit();
    assert_eq!(sha256(&whole.body), sha256(&content));
}
