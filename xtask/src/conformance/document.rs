//! docs/conformance.md: generated from a run, the published results that come with the suite, and the exceptions.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::exceptions::Exceptions;
use super::outcome::Outcome;
use super::{ALL, install};
use crate::{command, repo};

/// Writes it.
pub(super) fn write(outcomes: &[Outcome], exceptions: &Exceptions) -> Result<()> {
    repo::write(&repo::path(DOCUMENT), &text(outcomes, exceptions)?)
}

/// Is it what would be written? If not, that is a breach.
pub(super) fn check(outcomes: &[Outcome], exceptions: &Exceptions) -> Result<Option<String>> {
    let held = std::fs::read_to_string(repo::path(DOCUMENT)).unwrap_or_default();
    let stale = held != text(outcomes, exceptions)?;
    Ok(stale.then(|| format!("{DOCUMENT} is out of date: cargo xtask conformance http-cache --update")))
}

fn text(outcomes: &[Outcome], exceptions: &Exceptions) -> Result<String> {
    let ours = outcomes.first().context("invariant: something was run")?;
    let mut text = INTRODUCTION.to_owned();
    text.push_str(&table(outcomes)?);
    let _ = writeln!(
        text,
        "\nOf Holm's required cases, {} are counted by the suite and {} by an exchange of our own (below).",
        ours.published()[0].passed - ours.exchanged(),
        ours.exchanged()
    );
    text.push_str("\n## By group\n\nOver HTTP/1.1.\n\n| group | required | optimal |\n|---|---|---|\n");
    for (group, required, optimal) in ours.groups() {
        let shown = |count: super::outcome::Count| if count.all == 0 { String::new() } else { count.to_string() };
        let _ = writeln!(text, "| `{group}` | {} | {} |", shown(required), shown(optimal));
    }
    text.push_str("\n## Exceptions\n\n");
    text.push_str(&excused(exceptions));
    text.push_str(EXCHANGED);
    for (id, reason) in &exceptions.exchanged {
        let _ = writeln!(text, "| `{id}` | {reason} |");
    }
    Ok(text)
}

/// Ours beside the published ones, best first.
fn table(outcomes: &[Outcome]) -> Result<String> {
    let mut rows = Vec::new();
    for outcome in outcomes {
        let [required, optimal] = outcome.published();
        rows.push((format!("**Holm over {}**", outcome.protocol), required.passed, optimal.passed));
    }
    let printed = command::text(command::program("node").arg("published.mjs").current_dir(install::dir()))?;
    let told: Value = serde_json::from_str(&printed).context("published.mjs printed no JSON")?;
    let told = told.as_array().context("published.mjs printed no list")?;
    let published: Option<Vec<_>> = told.iter().map(row).collect();
    let mut published = published.context("a published result of an unknown shape")?;
    published.sort_by_key(|(_, required, optimal)| std::cmp::Reverse((*required, *optimal)));
    rows.append(&mut published);
    let [required, optimal] = outcomes.first().context("invariant: something was run")?.published();
    let mut text = format!("| cache | required, of {} | optimal, of {} |\n|---|---|---|\n", required.all, optimal.all);
    for (name, required, optimal) in rows {
        let _ = writeln!(text, "| {name} | {required} | {optimal} |");
    }
    Ok(text)
}

fn row(told: &Value) -> Option<(String, usize, usize)> {
    let count = |name: &str| told[name].as_u64().and_then(|count| usize::try_from(count).ok());
    let name = format!("{} {}", told["name"].as_str()?, told["version"].as_str()?);
    Some((name, count("required")?, count("optimal")?))
}

fn excused(exceptions: &Exceptions) -> String {
    if exceptions.exceptions.is_empty() {
        return "None.\n".to_owned();
    }
    let mut text = "| case | kind | over | reason |\n|---|---|---|---|\n".to_owned();
    for exception in &exceptions.exceptions {
        let protocols: Vec<_> = exception.protocols.iter().map(|protocol| protocol.as_str()).collect();
        let over = if protocols.len() == ALL.len() { "all".to_owned() } else { protocols.join(", ") };
        let _ = writeln!(text, "| `{}` | {} | {over} | {} |", exception.id, exception.kind.as_str(), exception.reason);
    }
    text
}

const DOCUMENT: &str = "docs/conformance.md";

const INTRODUCTION: &str = "\
# Conformance

Written by `cargo xtask conformance http-cache --update`; `cargo xtask test` runs the same and compares.

The suite is npm's `http-cache-tests` 0.4.5 (the one of cache-tests.fyi), with its own cases, client and server. The server is
the origin; in front of it stands `holm up` in its default configuration, edge and shield, as anyone would start it. Each case
is run three times: over HTTP/1.1 with the suite's client, over HTTP/2 and HTTP/3 with clients that we put under it. The
answers of the three must be the same. The suite counts seconds, so what fails or differs is run again, at most twice: on a busy
machine a request may come late.

## Beside the published results

Raw counts: a case counts if its result is a pass, whatever other case the suite says it depends on. The published results are
those that come with the suite; cases for browsers alone are left out. The suite's questions (`check`) have no right answer
and are not counted. The group `surrogate-control` is none of the published results, so it is counted below only.

";

const EXCHANGED: &str = "
## Cases that we exchange ourselves

In these the server closes the connection instead of answering the second request, and the suite's client then compares the
second response's `Server-Request-Count`, a field that only that server writes. So no cache can pass them as written, and none
of the published results does. The runner makes the same exchange with the same server and asks for what the case means: the
server has seen the second request, and the second response is an error of the cache's own, not the stored response. Only then
the case counts as passed.

| case | what holds |
|---|---|
";
