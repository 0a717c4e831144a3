//! Parts: what is stored of them, and that combining never changes bytes.

use proptest::prelude::*;

use super::*;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn stored(range: &str, content_range: &str, body: &'static str) -> Option<Parts> {
    Parts::of(
        &headers(&[("range", range)]),
        &headers(&[("content-range", content_range)]),
        Bytes::from_static(body.as_bytes()),
    )
}

fn text(answer: &PartsAnswer) -> Option<String> {
    let join = |pieces: &Pieces| String::from_utf8(pieces.concat()).unwrap();
    match answer {
        PartsAnswer::Nothing => None,
        PartsAnswer::Again(range, bytes) => {
            Some(format!("{}: {}", range.to_str().unwrap(), join(&Pieces::from_iter([bytes.clone()]))))
        }
        PartsAnswer::Bytes(range, complete, pieces) => {
            Some(format!("{}-{}/{complete:?}: {}", range.first, range.last, join(pieces)))
        }
    }
}

#[test]
fn rfc9110_14_4_content_range() {
    let check = |value: &str, expected: Option<(u64, u64, Option<u64>)>| {
        let found = ContentRange::parse(&headers(&[("content-range", value)]));
        assert_eq!(found.map(|range| (range.bytes.first, range.bytes.last, range.complete)), expected, "{value}");
    };
    check("bytes 0-4/10", Some((0, 4, Some(10))));
    check("bytes 0-4/*", Some((0, 4, None)));
    for bad in [
        "bytes 4-0/10",
        "bytes 0-10/10",
        "bytes */10",
        "lines 0-4/10",
        "bytes 0-4",
        "bytes 0-/10",
        "bytes 0-9/99999999999999999999999",
        "0-4/10",
        "bytes a-b/c",
        "",
    ] {
        check(bad, None);
    }
    assert_eq!(
        ContentRange::parse(&headers(&[("content-range", "bytes 0-1/2"), ("content-range", "bytes 0-1/2")])),
        None
    );
}

#[test]
fn rfc9111_3_3_what_is_stored_of_a_part() {
    assert!(stored("bytes=0-4", "bytes 0-4/10", "01234").is_some());
    assert!(stored("bytes=0-4", "bytes 0-4/10", "012345").is_none(), "more than announced");
    assert!(stored("bytes=0-4", "bytes 0-4/10", "").is_none());
    assert_eq!(stored("bytes=-5", "bytes 4-9/10", "01234").map(|parts| parts.held()), Some(5), "less than announced");
}

#[test]
fn rfc9111_3_3_what_parts_answer() {
    let check = |parts: &Parts, range: &str, expected: Option<&str>| {
        let answer = parts.answer(&headers(&[("range", range)]), &HeaderMap::new());
        assert_eq!(text(&answer).as_deref(), expected, "{range}");
    };
    let parts = stored("bytes=2-6", "bytes 2-6/10", "23456").unwrap();
    check(&parts, "bytes=2-6", Some("bytes 2-6/10: 23456"));
    check(&parts, "bytes=3-4", Some("3-4/Some(10): 34"));
    check(&parts, "bytes=3-7", None);
    check(&parts, "bytes=1-3", None);
    check(&parts, "bytes=-3", None);
    check(&parts, "bytes=3-", None);
    check(&parts, "bytes=3-3,5-5", None);
    check(&parts, "x", None);
    let unknown = stored("bytes=2-6", "bytes 2-6/*", "23456").unwrap();
    check(&unknown, "bytes=3-4", Some("3-4/None: 34"));
    check(&unknown, "bytes=3-", None);
    check(&unknown, "bytes=-1", None);
    let tail = stored("bytes=5-", "bytes 5-9/10", "56789").unwrap();
    check(&tail, "bytes=-2", Some("8-9/Some(10): 89"));
    check(&tail, "bytes=7-", Some("7-9/Some(10): 789"));
    // Less than it announced: the same answer again would announce it again.
    let short = stored("bytes=0-9", "bytes 0-9/20", "01234").unwrap();
    check(&short, "bytes=0-9", None);
    check(&short, "bytes=0-4", Some("0-4/Some(20): 01234"));
    let suffix = stored("bytes=-5", "bytes 4-9/10", "01234").unwrap();
    check(&suffix, "bytes=-5", Some("bytes 4-9/10: 01234"));
    check(&suffix, "bytes=6-8", Some("6-8/Some(10): 234"));
    check(&suffix, "bytes=-1", None);
    check(&suffix, "bytes=6-", None);
}

#[test]
fn rfc9111_3_4_only_one_strong_validator_combines() {
    let check = |one: Option<&str>, other: Option<&str>, expected: bool| {
        let with = |etag: Option<&str>| etag.map_or_else(HeaderMap::new, |etag| headers(&[("etag", etag)]));
        assert_eq!(may_combine(&with(one), &with(other)), expected, "{one:?} {other:?}");
    };
    check(Some("\"a\""), Some("\"a\""), true);
    check(Some("\"a\""), Some("\"b\""), false);
    check(Some("W/\"a\""), Some("W/\"a\""), false);
    check(None, None, false);
    check(Some("\"a\""), None, false);
    check(Some("a"), Some("a"), false);
    check(Some("\"a"), Some("\"a"), false);
    check(Some("w/\"a\""), Some("w/\"a\""), false);
}

#[test]
fn what_cannot_be_of_one_representation_is_not_combined() {
    let one = stored("bytes=0-4", "bytes 0-4/10", "01234").unwrap();
    assert!(one.with(&stored("bytes=5-9", "bytes 5-9/11", "56789").unwrap()).is_none());
    let open = stored("bytes=9-10", "bytes 9-10/*", "ab").unwrap();
    assert!(one.with(&open).is_none(), "past the end");
}

fn part(range: &str, bytes: &Bytes) -> Parts {
    Parts::of(&HeaderMap::new(), &headers(&[("content-range", range)]), bytes.clone()).unwrap()
}

/// What `held` counts is what stays in memory.
#[test]
fn a_piece_of_a_part_does_not_keep_all_of_it() {
    let old = Bytes::from(vec![1; 3 * SMALL]);
    let new = Bytes::from(vec![2; SMALL]);
    let last = 3 * SMALL - 1;
    let parts = part(&format!("bytes 0-{last}/*"), &old)
        .with(&part(&format!("bytes {SMALL}-{}/*", 2 * SMALL - 1), &new))
        .unwrap();
    assert_eq!(parts.parts.iter().map(|part| part.bytes.len()).collect::<Vec<_>>(), [SMALL; 3]);
    for part in &parts.parts {
        assert!(!old.as_ptr_range().contains(&part.bytes.as_ptr()), "at {}", part.first);
    }
    assert!(new.as_ptr_range().contains(&parts.parts[1].bytes.as_ptr()), "what is whole is not copied");
}

#[test]
fn small_parts_that_follow_one_another_become_one() {
    let one = Bytes::from_static(b"x");
    let mut parts = part("bytes 0-0/*", &one);
    for at in 1..2000 {
        parts = parts.with(&part(&format!("bytes {at}-{at}/*"), &one)).unwrap();
    }
    assert_eq!((parts.parts.len(), parts.held()), (1, 2000));
    let apart = parts.with(&part("bytes 3000-3000/*", &one)).unwrap();
    assert_eq!(apart.parts.len(), 2);
}

proptest! {
    /// Whatever parts of a body come, in whatever order, what they answer is what the body holds.
    #[test]
    fn combining_never_changes_bytes(
        length in 1_usize..200,
        cuts in proptest::collection::vec((0_usize..200, 1_usize..80), 1..20),
        asked in (0_usize..200, 0_usize..200),
    ) {
        let body: Vec<u8> = (0..length).map(|at| u8::try_from(at).unwrap()).collect();
        let mut all: Option<Parts> = None;
        let mut seen = vec![false; length];
        for (first, count) in cuts {
            let first = first % length;
            let end = (first + count).min(length);
            seen[first..end].fill(true);
            let range = format!("bytes {first}-{}/{length}", end - 1);
            let part = Parts::of(&HeaderMap::new(), &headers(&[("content-range", &range)]), Bytes::copy_from_slice(&body[first..end])).unwrap();
            all = Some(match all { None => part, Some(all) => all.with(&part).unwrap() });
        }
        let all = all.unwrap();
        prop_assert_eq!(all.held() as usize, seen.iter().filter(|seen| **seen).count());
        let (first, last) = (asked.0.min(asked.1) % length, asked.0.max(asked.1).min(length - 1));
        if first <= last {
            let request = headers(&[("range", &format!("bytes={first}-{last}"))]);
            let held = seen[first..=last].iter().all(|seen| *seen);
            match all.answer(&request, &HeaderMap::new()) {
                PartsAnswer::Bytes(_, _, pieces) => {
                    prop_assert!(held);
                    prop_assert_eq!(pieces.concat(), &body[first..=last]);
                }
                PartsAnswer::Nothing => prop_assert!(!held),
                PartsAnswer::Again(..) => prop_assert!(false, "nobody asked so before"),
            }
        }
        prop_assert_eq!(all.whole().map(|pieces| pieces.concat()), seen.iter().all(|seen| *seen).then(|| body.clone()));
        let until = seen.iter().take_while(|seen| **seen).count();
        prop_assert_eq!(all.prefix().map(|pieces| pieces.concat()), (until > 0).then(|| body[..until].to_vec()));
    }
}
