//! Changes: what a success of an unsafe method makes of what is stored, and what it stores itself.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use holm_e2e::{Gate, Holm, Origin, Response, ask};

use super::{FRESH, check_all};

/// RFC 9110 §9.3.3.
#[test]
fn what_a_post_makes_its_target_to_be() {
    check_all(&[
        ("POST /a", "", "200|content-location: @/a|cache-control: max-age=60|=posted", "200 fwd=method stored =posted"),
        ("GET /a", "", "", "200 hit =posted"),
        ("HEAD /a", "", "", "200 hit ="),
        ("POST /a", "", "200|cache-control: max-age=60|=other", "200 fwd=method !stored =other"),
        ("GET /a", "", FRESH, "200 fwd=uri-miss detail=invalidated stored =new"),
        // The next one takes its place.
        ("POST /a", "", "200|content-location: @/a|cache-control: s-maxage=60|=third", "200 stored =third"),
        ("GET /a", "", "", "200 hit =third"),
        ("POST /b", "", "200|content-location: @/c|cache-control: max-age=60", "200 !stored"),
        ("GET /b", "", FRESH, "200 fwd=uri-miss"),
        ("GET /c", "", FRESH, "200 fwd=uri-miss"),
        ("POST /d", "", "200|content-location: @/d|last-modified: Mon, 01 Jan 2001 00:00:00 GMT", "200 !stored"),
        ("POST /d", "", "200|content-location: @/d|cache-control: max-age=60, no-store", "200 !stored"),
        ("POST /d", "", "200|content-location: @/d|cache-control: max-age=60, private", "200 !stored"),
        ("POST /d", "cache-control: no-store", "200|content-location: @/d|cache-control: max-age=60", "200 !stored"),
        ("POST /d", "authorization: x", "200|content-location: @/d|cache-control: max-age=60", "200 !stored"),
        ("POST /d", "", "400|content-location: @/d|cache-control: max-age=60", "400 !stored"),
        ("POST /d", "", "500|content-location: @/d|cache-control: max-age=60", "500 !stored"),
        ("POST /d", "", "303|location: @/e|content-location: @/d|cache-control: max-age=60", "303 !stored"),
        ("PUT /d", "", "200|content-location: @/d|cache-control: max-age=60", "200 fwd=method !stored"),
        ("GET /d", "", FRESH, "200 fwd=uri-miss =new"),
    ]);
}

/// RFC 9111 §4.4.
#[test]
fn what_unsafe_methods_change() {
    check_all(&[
        ("GET /a", "", FRESH, "200 stored"),
        ("POST /a", "", "204", "204 fwd=method"),
        ("GET /a", "", FRESH, "200 fwd=uri-miss detail=invalidated"),
        ("PUT /a", "", "201", "201 fwd=method"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("DELETE /a", "", "200", "200"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("PATCH /a", "", "302|location: http://other.example/b", "302"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("LOCK /a", "", "200", "200 fwd=method"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        // Safe ones, and errors.
        ("OPTIONS /a", "", "200", "200 fwd=method"),
        ("GET /a", "", "", "200 hit"),
        ("POST /a", "", "400", "400"),
        ("POST /a", "", "404", "404"),
        ("POST /a", "", "500", "500"),
        ("GET /a", "", "", "200 hit"),
        // Others of the same path.
        ("GET /a?x", "", FRESH, "200 stored"),
        ("POST /a", "", "204", "204"),
        ("GET /a?x", "", "", "200 hit"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("POST /a?x", "", "204", "204"),
        ("GET /a?x", "", FRESH, "200 detail=invalidated"),
        ("GET /a", "", "", "200 hit"),
        // What the response names.
        ("GET /b", "", FRESH, "200 stored"),
        ("GET /c?d", "", FRESH, "200 stored"),
        ("POST /x", "", "201|location: @/b", "201"),
        ("GET /b", "", FRESH, "200 detail=invalidated"),
        ("GET /c?d", "", "", "200 hit"),
        ("POST /x", "", "200|content-location: c?d", "200"),
        ("GET /c?d", "", FRESH, "200 detail=invalidated"),
        ("POST /x", "", "404|location: @/b", "404"),
        ("POST /x", "", "201|location: http://other.example@/b", "201"),
        ("POST /x", "", "201|location: https://127.0.0.1@/b", "201"),
        ("GET /x", "", "303|location: @/b", "303"),
        ("GET /b", "", "", "200 hit"),
        // Every variant.
        ("GET /v", "x-a: 1", "200|vary: x-a|cache-control: max-age=60", "200 stored"),
        ("GET /v", "x-a: 2", "200|vary: x-a|cache-control: max-age=60", "200 fwd=vary-miss"),
        ("POST /v", "", "204", "204"),
        ("GET /v", "x-a: 1", "200|vary: x-a|cache-control: max-age=60", "200 fwd=uri-miss"),
        ("GET /v", "x-a: 2", "200|vary: x-a|cache-control: max-age=60", "200 !hit"),
        // A QUERY's.
        ("QUERY /q", "content: 1", FRESH, "200 stored"),
        ("QUERY /q", "content: 1", "", "200 hit"),
        ("POST /q", "", "204", "204"),
        ("QUERY /q", "content: 1", FRESH, "200 detail=invalidated"),
        // Equivalent queries.
        ("GET /n?a&b", "", "200|no-vary-search: key-order|cache-control: max-age=60", "200 stored"),
        ("POST /n?b&a", "", "204", "204"),
        ("GET /n?a&b", "", FRESH, "200 !hit"),
    ]);
}

/// RFC 9875.
#[test]
fn groups() {
    let both = "200|cache-groups: \"a\", \"b\"|cache-control: max-age=60";
    check_all(&[
        ("GET /a", "", "200|cache-groups: \"a\"|cache-control: max-age=60", "200 stored"),
        ("GET /ab", "", "200|cache-groups: \"a\", \"b\"|cache-control: max-age=60", "200 stored"),
        ("GET /b", "", "200|cache-groups: \"b\";x|cache-control: max-age=60", "200 stored"),
        ("GET /none", "", "200|cache-groups: b|cache-control: max-age=60", "200 stored"),
        ("GET /x", "", "200|cache-group-invalidation: \"a\"", "200"),
        ("POST /x", "", "200|cache-group-invalidation: a", "200"),
        ("POST /x", "", "200|cache-group-invalidation: \"c\"", "200"),
        ("GET /a", "", "", "200 hit"),
        ("POST /x", "", "200|cache-group-invalidation: \"a\"", "200"),
        ("GET /b", "", "", "200 hit"),
        ("GET /a", "", FRESH, "200 detail=invalidated"),
        ("GET /ab", "", both, "200 detail=invalidated"),
        ("POST /x", "", "200|cache-group-invalidation: \"c\", \"b\"", "200"),
        ("GET /a", "", "", "200 hit"),
        ("GET /none", "", "", "200 hit"),
        ("GET /b", "", FRESH, "200 detail=invalidated"),
        ("GET /ab", "", FRESH, "200 detail=invalidated"),
    ]);
}

/// What is under way when a change comes is from before it.
#[test]
fn what_was_under_way_at_a_change_is_not_stored() {
    let gate = Gate::new();
    let passing = gate.clone();
    let number = AtomicUsize::new(0);
    let origin = Origin::start(move |asked, exchange| {
        io::copy(exchange, &mut io::sink())?;
        if asked.method == "POST" {
            return exchange.reply(204, &[], "");
        }
        let number = number.fetch_add(1, Ordering::SeqCst);
        if asked.target.ends_with("?slow") && asked.fields.has("x-first") {
            passing.pass();
        }
        exchange.reply(200, &[("cache-control", "max-age=60"), ("vary", "x-a")], number.to_string())
    });
    let holm = Holm::before(origin.url());
    let kinds =
        [ask("GET", "/get?slow"), ask("QUERY", "/query?slow").body("1"), ask("GET", "/variant?slow").field("x-a", "1")];
    let targets = ["/get?slow", "/query?slow", "/variant?slow"];
    let first: Vec<_> = kinds.iter().map(|ask| holm.curl(&ask.clone().field("x-first", "1")).start()).collect();
    for target in targets {
        origin.wait_asked(target, 1);
        holm.ask(&ask("POST", target).body("x")).expect(204);
    }
    let is_new = |response: &Response| {
        let number: usize = response.text().parse().expect("a number");
        assert!(number >= targets.len(), "from before the change: {}", response.show());
    };
    // Who asks after the change does not wait for what was before it.
    kinds.iter().for_each(|ask| is_new(&holm.ask(ask).expect(200).expect_miss("stored")));
    gate.open();
    for curl in first {
        curl.finish().expect(200);
    }
    kinds.iter().for_each(|ask| is_new(&holm.ask(ask).expect_hit()));
}
