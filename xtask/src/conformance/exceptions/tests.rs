//! The list against runs.

use super::Exceptions;
use crate::conformance::Protocol;
use crate::conformance::outcome::Outcome;

/// A run: cases with their kind and result.
fn run(protocol: Protocol, cases: &[(&str, &str, bool)]) -> Outcome {
    let case = |(id, kind, _): &(&str, &str, bool)| serde_json::json!({ "id": id, "suite": "s", "kind": kind });
    let result = |(id, _, passed): &(&str, &str, bool)| {
        let result = if *passed { serde_json::json!(true) } else { serde_json::json!(["Assertion", "no"]) };
        ((*id).to_owned(), result)
    };
    let cases_told: Vec<_> = cases.iter().map(case).collect();
    let results: serde_json::Map<_, _> = cases.iter().map(result).collect();
    let text = serde_json::json!({ "cases": cases_told, "results": results, "exchanges": {} }).to_string();
    Outcome::parse(protocol, &text).expect("a result")
}

fn list(text: &str) -> Exceptions {
    Exceptions::parse(text).expect("a list")
}

#[test]
fn judgements() {
    let check = |listed: &str, cases: &[(&str, &str, bool)], excused: &[&str], breaches: &[&str]| {
        let (exceptions, outcome) = (list(listed), run(Protocol::H2, cases));
        let judged = exceptions.judge(&outcome);
        assert_eq!(judged.excused, excused, "{listed}");
        assert_eq!(judged.breaches, breaches, "{listed}");
    };
    let a = "[[exception]]\nid = 'a'\nkind = 'optimal'\nreason = 'r'\n";
    check("", &[("a", "optimal", true), ("b", "check", false)], &[], &[]);
    check("", &[("a", "optimal", false)], &[], &["optimal a fails and is not listed (Assertion: no)"]);
    check(a, &[("a", "optimal", false)], &["a: r"], &[]);
    check(a, &[("a", "optimal", true)], &[], &["optimal a passes: its exception is stale"]);
    check(a, &[("a", "required", false)], &[], &["required a is listed as another kind"]);
    let only_h3 = format!("{a}protocols = ['h3']");
    check(&only_h3, &[("a", "optimal", true)], &[], &[]);
    let exchanged = "[[exchange]]\nid = 'a'\nreason = 'r'\n";
    check(exchanged, &[("a", "required", true)], &[], &["required a passes in the suite: our exchange is stale"]);
}

#[test]
fn protocols_that_differ() {
    let check = |listed: &str, expected: &[&str]| {
        let h1 = run(Protocol::H1, &[("a", "required", true), ("b", "check", true)]);
        let h3 = run(Protocol::H3, &[("a", "required", false), ("b", "check", true)]);
        assert_eq!(list(listed).differences(&h1, &h3), expected);
        let doubtful = list(listed).doubtful(&[h1, h3]);
        assert_eq!(doubtful.len(), expected.len(), "{doubtful:?}");
    };
    check("", &["a: h1 passes, h3 fails (Assertion: no)"]);
    check("[[exception]]\nid = 'a'\nkind = 'required'\nprotocols = ['h3']\nreason = 'r'\n", &[]);
}

#[test]
fn lists_that_are_wrong() {
    let outcome = run(Protocol::H1, &[("a", "required", false)]);
    let check = |listed: &str, expected: &[&str]| assert_eq!(list(listed).unknown(&outcome), expected);
    let row = |id: &str, more: &str| format!("[[exception]]\nid = '{id}'\nkind = 'required'\nreason = 'r'\n{more}");
    check(&row("x", ""), &["x: listed, and no case"]);
    check(&row("a", ""), &["a: required over h1, so it can't be excused"]);
    check(&row("a", "protocols = ['h2']"), &[]);
    check("[[exchange]]\nid = 'y'\nreason = 'r'\n", &["y: listed, and no case"]);
    assert!(Exceptions::parse("[[exception]]\nid = 'a'\nkind = 'required'\n").is_err(), "no reason");
    assert!(Exceptions::parse(&row("a", "protocols = ['h4']")).is_err(), "no such protocol");
}
