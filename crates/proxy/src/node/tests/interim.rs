//! Interim responses: who is told of them, and what is remembered.

use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::poll_fn;
use holm_transport::interim::{Interim, OnInterim};

use super::*;
use crate::interim::Audience;

/// What was sent to a client, one after the other: `103 link: a`.
fn sent(interims: &Interims) -> String {
    let heads = poll_fn(|cx| interims.poll_sent(cx)).now_or_never().flatten().unwrap_or_default();
    let said = heads.iter().map(|head| {
        let fields = head.headers.iter().map(|(name, value)| format!(" {name}: {}", value.to_str().expect("text")));
        format!("{}{}", head.status.as_u16(), fields.collect::<String>())
    });
    said.collect::<Vec<_>>().join(" | ")
}

impl Fixture {
    async fn heard(&self, request: Request<Body>) -> String {
        let interims = Interims::new();
        let reply = self.reply_to(&Listener::new(&interims), request).await;
        let status = reply.response.status().as_u16();
        // Whole, so that it is stored.
        let _ = reply.response.into_body().collect(1 << 20).await;
        format!("{} | {status}", sent(&interims)).trim_start_matches(" | ").to_owned()
    }
}

fn hint(fields: &[(&'static str, &str)]) -> Interim {
    Interim::early_hints(response(200, fields, "").headers().clone())
}

/// Says these hints, then answers.
fn hinting(
    hints: &'static [(&'static str, &str)],
    answer: &'static [(&'static str, &str)],
) -> impl Fn(&Request<Body>) -> Result<Response<Body>, HopError> + Send + Sync {
    move |request| {
        let on = request.extensions().get::<OnInterim>().expect("one who listens");
        if !hints.is_empty() {
            on.tell(hint(hints));
        }
        Ok(response(200, answer, "x"))
    }
}

#[tokio::test]
async fn the_one_who_asks_is_told() {
    let check = async |path: &str, fields: &[(&'static str, &str)], expected: &str| {
        let said =
            &[("link", "a"), ("x", "y"), ("connection", "z"), ("z", "1"), ("holm-as-of", "7"), ("cache-tag", "t")];
        let origin = Fixture::new(hinting(said, &[FRESH]));
        assert_eq!(origin.heard(get(path, fields)).await, expected, "{path} {fields:?}");
        let post = Request::post(path).body(Body::empty()).expect("a request");
        assert_eq!(origin.heard(post).await, "103 link: a x: y | 200", "POST {path}");
    };
    check("/", &[], "103 link: a x: y | 200").await;
    check("/", &[("range", "bytes=0-0")], "103 link: a x: y | 200").await;
    check("/hinted/", &[], "103 link: a x: y | 200").await;
}

#[tokio::test]
async fn hits_say_nothing() {
    let origin = Fixture::new(hinting(&[("link", "a")], &[FRESH]));
    assert_eq!(origin.heard(get("/hinted/", &[])).await, "103 link: a | 200");
    assert_eq!(origin.heard(get("/hinted/", &[])).await, "200");
}

#[tokio::test]
async fn hints_are_remembered_where_the_route_says_so() {
    let check = async |path: &str, answer: &'static [(&'static str, &str)], then: &str| {
        let origin = Fixture::new(hinting(&[("link", "a"), ("set-cookie", "me")], answer));
        assert_eq!(origin.heard(get(path, &[])).await, "103 link: a set-cookie: me | 200", "{path}");
        // Nothing of it is a secret, and the origin's own is not said again.
        assert_eq!(origin.heard(get(path, &[])).await, then, "{path} again");
        origin.now_respond(hinting(&[], answer));
        let remembered = if path == "/" { "200" } else { "103 link: a | 200" };
        assert_eq!(origin.heard(get(path, &[])).await, remembered, "{path} without");
        assert_eq!(origin.heard(get(path, &[])).await, "200", "{path}: forgotten");
        origin.now_respond(hinting(&[("link", "a")], answer));
        origin.heard(get(path, &[("authorization", "me")])).await;
        assert_eq!(origin.heard(get(path, &[])).await, "103 link: a | 200", "{path}: the origin's");
        origin.purge(Selector::All, PurgeMode::Hard);
        origin.now_respond(hinting(&[], answer));
        assert_eq!(origin.heard(get(path, &[])).await, "200", "{path}: purged");
    };
    check("/", &[("cache-control", "max-age=0")], "103 link: a set-cookie: me | 200").await;
    check("/hinted/", &[("cache-control", "max-age=0")], "103 link: a | 200").await;
    check("/hinted/", &[("cache-control", "no-store")], "103 link: a | 200").await;
}

#[tokio::test]
async fn those_who_join_hear_what_anyone_may() {
    let audience = Arc::new(Audience::default());
    let clients = [Interims::new(), Interims::new(), Interims::new(), Interims::new()];
    let listeners = clients.each_ref().map(Listener::new);
    let mut request = get("/", &[]);
    audience.attend(&mut request, Role::Shield);
    let on = request.extensions_mut().remove::<OnInterim>().expect("one who listens");
    audience.begin(listeners[0].hearer());
    audience.join(listeners[1].hearer());
    on.tell(hint(&[("link", "a"), ("set-cookie", "me")]));
    audience.join(listeners[2].hearer());
    on.tell(hint(&[("link", "b")]));
    // A second time, as one whose fill was superseded does.
    audience.join(listeners[2].hearer());
    assert_eq!(audience.close(), Some(hint(&[("link", "b")]).headers));
    audience.join(listeners[3].hearer());
    on.tell(hint(&[("link", "c")]));
    let heard = clients.each_ref().map(sent);
    let shared = "103 link: a | 103 link: b";
    assert_eq!(heard, ["103 link: a set-cookie: me | 103 link: b", shared, shared, ""]);
    assert!(matches!(poll_fn(|cx| Poll::Ready(clients[3].poll_sent(cx))).await, Poll::Pending));
}
