//! What a 304, a HEAD or a POST brings into the cache: nothing that the rules of storing forbid.

use super::*;

const STALE: (&str, &str) = ("cache-control", "max-age=0");
const TAG: (&str, &str) = ("etag", "\"1\"");

/// Gives the body once, and confirms it with these fields to whoever asks by its tag.
fn confirming(
    first: &'static [(&'static str, &str)],
    fields: &'static [(&'static str, &str)],
) -> impl Fn(&Request<Body>) -> Result<Response<Body>, HopError> + Send + Sync {
    move |request| match request.headers().get("if-none-match") {
        Some(_) => Ok(response(304, fields, "")),
        None => Ok(response(200, first, "body")),
    }
}

#[tokio::test]
async fn what_a_304_says_to_one_is_not_said_to_others() {
    let check = async |asks: &[(&'static str, &str)], said: &'static [(&'static str, &str)], own: &str, next: &str| {
        let origin = Fixture::new(confirming(&[STALE, TAG], said));
        origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss body").await;
        let reply = origin.reply(get("/", asks)).await;
        let detail = reply.report.cache_status().value();
        assert!(detail.to_str().unwrap().ends_with(own), "{said:?}: {detail:?}");
        assert_eq!(reply.response.status(), 200, "{said:?}");
        for (name, value) in said {
            assert_eq!(reply.response.headers().get(*name).expect("the one who asked is told"), value, "{said:?}");
        }
        let body = reply.response.into_body().collect(100).await.expect("a whole body");
        assert_eq!(body, "body");
        origin.now_respond(|_| Ok(response(200, &[FRESH], "new")));
        origin.check("/", &[], next).await;
    };
    let missing = "200 fwd=miss; fwd-status=200; detail=";
    let private = &[("cache-control", "private, max-age=60"), ("x-for", "alice")];
    check(&[], private, "detail=private", &format!("{missing}private new")).await;
    check(
        &[],
        &[("cache-control", "no-store"), ("x-for", "alice")],
        "detail=no-store",
        &format!("{missing}no-store new"),
    )
    .await;
    check(&[], &[("vary", "*")], "detail=vary-star", &format!("{missing}vary-star new")).await;
    // A directive says that everyone may have it; without one, it is for the one who asked.
    check(&[], &[("cache-control", "max-age=60"), ("set-cookie", "id=all")], "detail=expired", "200 hit; ttl=60 body")
        .await;
    let cookie = &[("set-cookie", "id=alice")];
    check(&[], cookie, "detail=set-cookie", &format!("{missing}set-cookie new")).await;
    let stale = "200 fwd=stale; fwd-status=200; stored; detail=expired new";
    check(&[("authorization", "alice")], &[("x-for", "alice")], "detail=authorization", stale).await;
    check(&[("cache-control", "no-store")], &[("x-for", "alice")], "detail=request-no-store", stale).await;
}

#[tokio::test]
async fn a_304_that_varies_selects_by_what_it_says() {
    let origin = Fixture::new(confirming(&[STALE, TAG], &[FRESH, ("vary", "cookie")]));
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss body").await;
    origin.check("/", &[("cookie", "a=1")], "200 fwd=stale; fwd-status=304; stored; detail=expired body").await;
    origin.check("/", &[("cookie", "a=1")], "200 hit; ttl=60 body").await;
    origin.check("/", &[("cookie", "a=2")], "200 fwd=vary-miss; fwd-status=200; stored; detail=vary-miss body").await;
}

#[tokio::test]
async fn a_change_while_a_post_is_under_way_keeps_its_response_out() {
    let located = [FRESH, ("content-location", "/")];
    let (mut sender, first) = streaming(&located);
    let origin = Fixture::new(move |request| match request.method().as_str() {
        "POST" => Ok(first.lock().take().expect("one POST")),
        method => Ok(response(200, &[FRESH], method.to_owned())),
    });
    let posted = origin.reply(Request::post("/").body(Body::empty()).expect("a request")).await;
    origin.ask(Request::put("/").body(Body::empty()).expect("a request")).await;
    sender.send_data(Bytes::from_static(b"posted")).await.expect("a reader");
    sender.finish().await.expect("a reader");
    assert_eq!(posted.response.into_body().collect(10).await.expect("a whole body"), "posted");
    origin.check("/", &[], "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss GET").await;
}

#[tokio::test]
async fn what_a_post_makes_of_its_target_is_stored() {
    let check = async |fields: &[(&'static str, &str)], kept: bool| {
        let origin = Fixture::new(|request| {
            let fields = [FRESH, ("content-location", "/")];
            Ok(response(200, &fields, request.method().as_str().to_owned()))
        });
        let mut post = Request::post("/");
        for (name, value) in fields {
            post = post.header(*name, *value);
        }
        origin.ask(post.body(Body::empty()).expect("a request")).await;
        let expected = if kept { "POST" } else { "GET" };
        let said = origin.ask(get("/", &[])).await;
        assert!(said.ends_with(expected), "{fields:?}: {said}");
    };
    check(&[], true).await;
    check(&[("x-http-method-override", "PUT")], false).await;
}

#[tokio::test]
async fn parts_whose_rest_breaks_off_are_not_built_on_again() {
    const STRONG: (&str, &str) = ("etag", "\"1\"");
    let (mut sender, rest) = streaming(&[FRESH, STRONG, ("content-range", "bytes 5-9/10")]);
    let origin = Fixture::new(move |request| {
        let range = request.headers().get("range").map(|range| range.to_str().unwrap().to_owned());
        Ok(match range.as_deref() {
            None => response(200, &[FRESH, STRONG], "0123456789"),
            Some("bytes=0-4") => response(206, &[FRESH, STRONG, ("content-range", "bytes 0-4/10")], "01234"),
            Some(_) => {
                // Nor does the rest of the rest come.
                let mut rest = rest.lock().take().ok_or_else(unreachable)?;
                *rest.status_mut() = StatusCode::PARTIAL_CONTENT;
                rest
            }
        })
    });
    let part = origin.reply(get("/", &[("range", "bytes=0-4")])).await;
    assert_eq!(part.response.into_body().collect(10).await.expect("a part"), "01234");
    let broken = origin.reply(get("/", &[])).await;
    sender.send_data(Bytes::from_static(b"56")).await.expect("a reader");
    drop(sender);
    assert!(broken.response.into_body().collect(20).await.is_err(), "no clean end for what broke off");
    let said = origin.ask(get("/", &[])).await;
    assert_eq!(said, "200 fwd=uri-miss; fwd-status=200; stored; detail=uri-miss 0123456789");
}

/// RFC 9111 §4.3.5.
#[tokio::test]
async fn a_head_renews_only_what_it_tells_of() {
    let check = async |stored: &'static [(&'static str, &str)], said: &'static [(&'static str, &str)], next: &str| {
        let origin = Fixture::new(move |request| match request.method().as_str() {
            "HEAD" => Ok(response(200, said, "")),
            _ => Ok(response(200, stored, "body")),
        });
        origin.ask(get("/", &[])).await;
        origin.ask(Request::head("/").body(Body::empty()).expect("a request")).await;
        origin.now_respond(|_| Ok(response(200, &[FRESH], "new")));
        let said_next = origin.ask(get("/", &[])).await;
        assert!(said_next.starts_with(next), "{stored:?} {said:?}: {said_next}");
    };
    check(&[STALE, TAG], &[FRESH, TAG], "200 hit; ttl=60").await;
    check(&[STALE, TAG], &[FRESH, ("etag", "\"2\"")], "200 fwd=uri-miss").await;
    // By another version's fields, for all that is known: what is stored stays stale.
    check(&[STALE, TAG], &[FRESH], "200 fwd=stale").await;
    const UNTAGGED: (&str, &str) = ("cache-control", "max-age=0, stale-if-error=9");
    check(&[UNTAGGED], &[FRESH], "200 fwd=stale").await;
    check(&[UNTAGGED], &[FRESH, ("content-length", "5")], "200 fwd=uri-miss").await;
}
