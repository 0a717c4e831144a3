//! What holds of every response, whatever it says. proptest prints the seed and the least case of a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use holm_cache_policy::{
    FetchTimes, NoVarySearch, RequestDirectives, StoredMeta, TargetUri, VarySpec, VaryValues, Verdict, cache_groups,
    evaluate_conditions, extract_tags, head_update, invalidated_beside, invalidated_groups, precondition_fails,
    preferred_language, select_range, storable,
};
use holm_model::manifest::{CacheRule, Languages};
use holm_model::units::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

const AT: Timestamp = Timestamp::from_secs(1_000_000_000);
/// More than any sum of what is generated here.
const LONG: u64 = 1 << 34;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// (a) What forbids storing does, whatever else is said and whatever the route rules.
    #[test]
    fn what_forbids_storing_forbids_it(
        mut request in request_fields(),
        mut response in response_fields(),
        status in status(),
        rule in rule(),
        method in prop_oneof![Just(Method::GET), Just(Method::POST), Just(Method::PUT)],
        ban in ban(),
    ) {
        let request_forbids = matches!(ban, Ban::Request);
        match ban {
            Ban::Response(name, value) => {
                // These overrule each other, by which the ban would not be in force.
                for targeted in ["holm-cache-control", "cdn-cache-control", "surrogate-control"] {
                    if name != "vary" {
                        response.remove(targeted);
                    }
                }
                response.append(name, HeaderValue::from_static(value));
                let understood = response.get_all("cache-control").iter();
                let understood = understood.filter_map(|line| line.to_str().ok()).any(|line| line.contains("must-und"));
                if understood && value == "no-store" {
                    return Ok(());
                }
            }
            Ban::Request => {
                request.append("cache-control", HeaderValue::from_static("No-Store"));
            }
        }
        let found = storable(&method, &request, status, &response, &rule, times(0));
        prop_assert!(found.is_err(), "{found:?}");
        // Nor is what was stored served again once a 304 says so.
        let plain = field("cache-control", "max-age=60");
        let stored = storable(&Method::GET, &HeaderMap::new(), StatusCode::OK, &plain, &rule, times(0)).expect("storable");
        let renewed = stored.freshen(&mut HeaderMap::new(), &response, &rule, times(0));
        let served = renewed.verdict(&RequestDirectives::default(), AT, None);
        prop_assert!(request_forbids || matches!(served, Verdict::Revalidate(_)), "{served:?}");
    }

    /// A request with credentials, and a cookie, need the response's own word.
    #[test]
    fn no_route_shares_what_is_someones(response in response_fields(), rule in rule(), status in status()) {
        let silent: HeaderMap = response.iter()
            .filter(|(name, _)| !name.as_str().ends_with("-control") && *name != "expires")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let request = HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static("x"))]);
        prop_assert!(storable(&Method::GET, &request, status, &silent, &rule, times(0)).is_err());
        let mut cookie = silent.clone();
        cookie.append(http::header::SET_COOKIE, HeaderValue::from_static("a=b"));
        prop_assert!(storable(&Method::GET, &HeaderMap::new(), status, &cookie, &rule, times(0)).is_err());
    }

    /// (b) Nothing is served beyond its freshness and what it, the route or the request allow of staleness.
    #[test]
    fn nothing_is_served_for_ever(
        request in request_fields(),
        response in response_fields(),
        status in status(),
        rule in rule(),
        delay in 0..5_u64,
        after in prop_oneof![4 => 0..250_000_u64, 1 => 0..LONG],
        purged in prop::option::of(0..250_000_u64),
    ) {
        let Ok(meta) = storable(&Method::GET, &HeaderMap::new(), status, &response, &rule, times(delay)) else {
            return Ok(());
        };
        let request = RequestDirectives::parse(&request);
        let now = AT.plus(Duration::from_secs(after));
        let since = purged.map(|purged| AT.plus(Duration::from_secs(purged.min(after))));
        let staleness = staleness(&meta, now, since, after);
        let served = meta.verdict(&request, now, since);
        let asked = format!("{request:?}");
        match served {
            Verdict::Serve => prop_assert!(staleness.is_none(), "{staleness:?} {meta:?}"),
            Verdict::ServeStale(_) => {
                let most = window(&response, &rule).max(wanted(&asked, "max_stale"));
                prop_assert!(staleness.is_some_and(|past| past <= most), "{staleness:?} {most} {meta:?}");
            }
            Verdict::Revalidate(_) => {}
        }
        if meta.usable_on_error(&request, now, since) {
            let most = window(&response, &rule).max(wanted(&asked, "stale_if_error"));
            prop_assert!(staleness.is_none_or(|past| past <= most), "{staleness:?} {most} {meta:?}");
        }
    }

    /// (b) To the second: the response's own windows, or else the route's.
    #[test]
    fn windows_end_when_they_say(
        max_age in 0..1000_u64,
        own in (prop::option::of(0..1000_u64), prop::option::of(0..1000_u64)),
        route in (prop::option::of(0..1000_u64), prop::option::of(0..1000_u64)),
        asked in prop::option::of(0..1000_u64),
        past in 0..1100_u64,
    ) {
        let directive = |name: &str, seconds: Option<u64>| seconds.map(|seconds| format!(", {name}={seconds}"));
        let stale = ["stale-while-revalidate", "stale-if-error"].into_iter().zip([own.0, own.1]);
        let stale: String = stale.filter_map(|(name, seconds)| directive(name, seconds)).collect();
        let mut response = field("cache-control", &format!("max-age={max_age}{stale}"));
        response.insert("etag", HeaderValue::from_static("\"a\""));
        let rule = CacheRule {
            stale_while_revalidate: route.0.map(Duration::from_secs),
            stale_if_error: route.1.map(Duration::from_secs),
            ..CacheRule::default()
        };
        let meta = storable(&Method::GET, &HeaderMap::new(), StatusCode::OK, &response, &rule, times(0)).expect("storable");
        let request = asked.map_or_else(HeaderMap::new, |asked| field("cache-control", &format!("stale-if-error={asked}")));
        let request = RequestDirectives::parse(&request);
        let now = AT.plus(Duration::from_secs(max_age + past));
        let served = matches!(meta.verdict(&request, now, None), Verdict::ServeStale(_));
        prop_assert_eq!(served, past < own.0.or(route.0).unwrap_or(0));
        prop_assert_eq!(meta.usable_on_error(&request, now, None), past < asked.or(own.1).or(route.1).unwrap_or(0));
        let last = AT.plus(Duration::from_secs(max_age.saturating_sub(1)));
        prop_assert_eq!(meta.verdict(&RequestDirectives::default(), last, None) == Verdict::Serve, max_age > 0);
    }

    /// (c) No field makes anything panic.
    #[test]
    fn any_bytes_can_be_read(
        request in any_fields(), response in any_fields(), rule in rule(), status in status(), query in ".*", length in any::<u64>(),
    ) {
        let _ = RequestDirectives::parse(&request);
        let stored = storable(&Method::GET, &request, status, &response, &rule, times(1));
        if let Ok(meta) = stored {
            let _ = meta.verdict(&RequestDirectives::parse(&request), AT, None);
            let _ = meta.freshen(&mut response.clone(), &request, &rule, times(0));
        }
        let _ = (evaluate_conditions(&Method::GET, &request, &response), precondition_fails(&request, &response));
        let _ = (select_range(&request, &response, length), head_update(&response, length, &request));
        let _ = (extract_tags(&response), cache_groups(&response), invalidated_groups(&Method::POST, &response));
        let target = TargetUri { scheme: "https", host: "a", port: "", path: "/b/c", query: Some(&query) };
        let _ = (invalidated_beside(&target, &response), target.is_named_by(&response), target.resolve(&query));
        if let Some(variance) = NoVarySearch::of(&response) {
            let _ = variance.equivalence(Some(&query));
        }
        let _ = preferred_language(&request);
        if let Some(spec) = VarySpec::of(&response) {
            for languages in [Languages::Normalised, Languages::Exact, Languages::Offered(vec!["en".into(), "de".into()])] {
                let _ = VaryValues::of(&spec, &request, &languages);
            }
        }
    }

    /// (d) The order and the lines of what a client accepts say nothing.
    #[test]
    fn permutations_select_the_same(
        (members, permuted) in prop::collection::vec(accepted(), 1..6).prop_flat_map(|members| {
            (Just(members.clone()), Just(members).prop_shuffle())
        }),
        split in 0..6_usize,
        offered in any::<bool>(),
    ) {
        let languages = if offered { Languages::Offered(vec!["en".into(), "de".into()]) } else { Languages::Normalised };
        for name in ["accept-language", "accept-encoding"] {
            let spec = VarySpec::of(&field("vary", name)).expect("it varies");
            let one = VaryValues::of(&spec, &field(name, &members.join(", ")), &languages);
            let (first, second) = permuted.split_at(split.clamp(1, permuted.len()));
            let mut lines = field(name, &first.join(" ,").to_ascii_uppercase().replace("Q=", "q="));
            if !second.is_empty() {
                lines.append(name, second.join(",").parse().expect("a value"));
            }
            prop_assert_eq!(one, VaryValues::of(&spec, &lines, &languages), "{} {:?} {:?}", name, members, lines);
        }
    }

    /// A canonical query is its own canonical form, and the order of names says nothing where the response says so.
    #[test]
    fn canonical_queries(pairs in prop::collection::btree_map("[a-d%+]{1,3}", "[a-z%+=]{0,3}", 0..5), query in "[a-d&=+%0-9]{0,12}") {
        let variance = NoVarySearch::of(&field("no-vary-search", "key-order")).expect("a variance");
        let once = variance.equivalence(Some(&query));
        let canonical = once.split_once('?').map(|(_, canonical)| canonical);
        prop_assert_eq!(&once, &variance.equivalence(canonical));
        let there: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let back: Vec<_> = there.iter().rev().cloned().collect();
        let distinct = pairs.keys().all(|name| !name.contains(['%', '+']));
        if distinct {
            let canonical = |pairs: &[String]| variance.equivalence(Some(&pairs.join("&")));
            prop_assert_eq!(canonical(&there), canonical(&back));
        }
    }

    /// Dates are read as another implementation writes them.
    #[test]
    fn dates(seconds in 0..253_402_300_800_u64, later in 0..100_000_u64) {
        let text = |seconds| httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
        let mut response = field("date", &text(seconds));
        response.insert("expires", text((seconds + later).min(253_402_300_799)).parse().expect("a value"));
        response.insert("etag", HeaderValue::from_static("\"a\""));
        let at = Timestamp::from_secs(seconds);
        let times = FetchTimes { requested: at, received: at };
        let meta = storable(&Method::GET, &HeaderMap::new(), StatusCode::OK, &response, &CacheRule::default(), times);
        let expected = later.min(253_402_300_799 - seconds);
        prop_assert_eq!(meta.map(|meta| meta.ttl(at)), Ok(i64::try_from(expected).expect("small")));
    }
}

#[derive(Debug, Clone)]
enum Ban {
    Response(&'static str, &'static str),
    Request,
}

fn ban() -> impl Strategy<Value = Ban> {
    prop_oneof![
        Just(Ban::Request),
        Just(Ban::Response("cache-control", "no-store")),
        Just(Ban::Response("cache-control", "private")),
        Just(Ban::Response("cache-control", "private=\"a, b\"")),
        Just(Ban::Response("holm-cache-control", "private")),
        Just(Ban::Response("cdn-cache-control", "no-store")),
        Just(Ban::Response("surrogate-control", "no-store")),
        Just(Ban::Response("vary", "*")),
    ]
}

/// How long it has been stale, by its own account of its lifetime. Ages are read in whole seconds: one may be missing.
fn staleness(meta: &StoredMeta, now: Timestamp, since: Option<Timestamp>, after: u64) -> Option<u64> {
    let expired = u64::try_from(-meta.ttl(now)).ok();
    let purged = since.map(|since| after - (since.0 - AT.0) / 1000);
    expired.max(purged)
}

/// The longest staleness that the response or the route allow.
fn window(response: &HeaderMap, rule: &CacheRule) -> u64 {
    let route = [rule.stale_while_revalidate, rule.stale_if_error].into_iter().flatten().map(|most| most.as_secs());
    let stated = response.iter().filter(|(name, _)| name.as_str().ends_with("-control")).flat_map(|(_, value)| {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok());
        let stale = text.contains("stale-") || text.contains('+');
        numbers.filter(|_| stale).collect::<Vec<_>>()
    });
    route.chain(stated).max().unwrap_or(0)
}

/// A limit that the request states.
fn wanted(directives: &str, name: &str) -> u64 {
    let rest = directives.split_once(&format!("{name}: Some(")).map_or("0)", |(_, rest)| rest);
    rest.split_once(')').and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

fn times(delay: u64) -> FetchTimes {
    FetchTimes { requested: Timestamp(AT.0 - delay * 1000), received: AT }
}

fn field(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().expect("a value"))])
}

fn status() -> impl Strategy<Value = StatusCode> {
    let codes = [200, 204, 206, 299, 301, 302, 404, 410, 451, 500, 503, 599];
    prop::sample::select(codes.to_vec()).prop_map(|code| StatusCode::from_u16(code).expect("a status"))
}

fn rule() -> impl Strategy<Value = CacheRule> {
    let ttl = || prop::option::of((0..100_000_u64).prop_map(Duration::from_secs));
    let negative = prop::collection::btree_map(prop::sample::select(&[404, 500, 503]), 0..1000_u64, 0..3);
    (ttl(), ttl(), ttl(), ttl(), any::<bool>(), negative, ttl(), ttl()).prop_map(
        |(ttl, default_ttl, min_ttl, max_ttl, heuristic, negative, stale_while_revalidate, stale_if_error)| CacheRule {
            ttl,
            default_ttl,
            min_ttl,
            max_ttl,
            heuristic,
            negative_ttl: negative
                .into_iter()
                .map(|(code, ttl)| (code, Duration::from_secs(ttl)))
                .collect::<BTreeMap<_, _>>(),
            stale_while_revalidate,
            stale_if_error,
            ..CacheRule::default()
        },
    )
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..100_000_u64).prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => prop::sample::select(&["", "-1", "1.5", "x", "\"60\"", "\"60"]).prop_map(str::to_owned),
    ]
}

/// Directives as a response may state them, some of them malformed.
fn directives() -> impl Strategy<Value = String> {
    let flags =
        ["public", "must-revalidate", "immutable", "no-cache", "must-understand", "ext=\"a, b\"", "PUBLIC", ","];
    let flag = prop::sample::select(flags.to_vec()).prop_map(str::to_owned);
    let names = ["max-age", "s-maxage", "Max-Age", "stale-while-revalidate", "stale-if-error"];
    let number = (prop::sample::select(names.to_vec()), number()).prop_map(|(name, number)| format!("{name}={number}"));
    prop::collection::vec(prop_oneof![1 => flag, 2 => number], 0..4).prop_map(|members| members.join(", "))
}

fn dates_text() -> impl Strategy<Value = String> {
    (AT.0 / 1000 - 200_000..AT.0 / 1000 + 200_000)
        .prop_map(|seconds| httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds)))
}

fn response_fields() -> impl Strategy<Value = HeaderMap> {
    let entry = prop_oneof![
        4 => (Just("cache-control"), directives()),
        1 => (Just("holm-cache-control"), directives()),
        1 => (Just("cdn-cache-control"), directives()),
        1 => (Just("surrogate-control"), directives()),
        1 => (Just("expires"), dates_text()),
        1 => (Just("date"), dates_text()),
        1 => (Just("last-modified"), dates_text()),
        1 => (Just("age"), number()),
        1 => (Just("etag"), Just("\"a\"".to_owned())),
        1 => (Just("content-range"), Just("bytes 0-1/2".to_owned())),
        1 => (Just("vary"), Just("accept".to_owned())),
    ];
    fields(entry)
}

fn request_fields() -> impl Strategy<Value = HeaderMap> {
    let names = ["max-age", "max-stale", "min-fresh", "stale-if-error"];
    let number = (prop::sample::select(names.to_vec()), number()).prop_map(|(name, number)| format!("{name}={number}"));
    let flag = prop::sample::select(["no-cache", "only-if-cached", "max-stale"].as_slice()).prop_map(str::to_owned);
    fields((Just("cache-control"), prop_oneof![3 => number, 1 => flag]))
}

/// Fields that we read, of any bytes that a field may have.
fn any_fields() -> impl Strategy<Value = HeaderMap> {
    let names = [
        "cache-control",
        "holm-cache-control",
        "cdn-cache-control",
        "surrogate-control",
        "pragma",
        "age",
        "expires",
        "date",
        "last-modified",
        "etag",
        "vary",
        "content-range",
        "content-type",
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "accept-language",
        "accept-encoding",
        "cache-groups",
        "cache-group-invalidation",
        "no-vary-search",
        "location",
        "content-location",
        "connection",
        "cache-tag",
    ];
    let grammar =
        "[ -~]{0,24}|[a-z0-9=,;\"()?:*/. -]{0,24}|(max-age|no-store|q|bytes)=[0-9,;=\"+ -]{0,12}|[0-9, -]{0,24}";
    let bytes = prop_oneof![
        prop::collection::vec(prop_oneof![Just(b'\t'), 32_u8..127, 128_u8..], 0..24),
        grammar.prop_map(String::into_bytes),
    ];
    prop::collection::vec((prop::sample::select(names.to_vec()), bytes), 0..8).prop_map(|entries| {
        let value = |bytes: Vec<u8>| HeaderValue::from_bytes(&bytes).expect("bytes of a field");
        entries.into_iter().map(|(name, bytes)| (HeaderName::from_static(name), value(bytes))).collect()
    })
}

fn accepted() -> impl Strategy<Value = String> {
    let names = prop::sample::select(["en", "de", "fr-CH", "gzip", "br", "identity", "*"].as_slice());
    // Each name with one weight: of a name with several the last line would have to be agreed upon.
    (names, prop::option::of(0..3_u8)).prop_map(|(name, weight)| match weight {
        Some(weight) => format!("{name};q=0.{}", u8::try_from(name.len()).expect("short") % 3 * weight),
        None => name.to_owned(),
    })
}

fn fields(entry: impl Strategy<Value = (&'static str, String)>) -> impl Strategy<Value = HeaderMap> {
    prop::collection::vec(entry, 0..6).prop_map(|entries| {
        let value = |text: String| text.parse().expect("a value");
        entries.into_iter().fold(HeaderMap::new(), |mut fields, (name, text)| {
            fields.append(HeaderName::from_static(name), value(text));
            fields
        })
    })
}
