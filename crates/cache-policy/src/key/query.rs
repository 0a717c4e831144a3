//! The query's part of a key.
//!
//! Values and whole queries enter as the client wrote them: origins see them so, and some sign them.

use holm_model::manifest::{KeyRule, QueryRule};
use percent_encoding::percent_decode;
use smallvec::SmallVec;

use super::Part;

pub(super) fn each_part<'a>(query: Option<&'a str>, rule: &'a KeyRule, give: &mut impl FnMut(Part<'a>)) {
    each_rule(rule, give);
    let Some(query) = query.filter(|_| rule.query != QueryRule::None) else { return };
    let whole = rule.query == QueryRule::All && !rule.sort;
    // Some readers part parameters at semicolons too: for them, one of these may hold others.
    if whole || query.contains(';') {
        return give(Part::Query(query));
    }
    let enters = pairs(query).filter(|pair| enters(pair, &rule.query));
    if !sorts(rule) {
        return enters.for_each(|pair| give(Part::Parameter(pair)));
    }
    let mut sorted: SmallVec<[&str; 16]> = enters.collect();
    // Stable: the order of what any reader may take for the same parameter says which one counts.
    sorted.sort_by(|one, other| folded(name(one).as_bytes()).cmp(folded(name(other).as_bytes())));
    sorted.into_iter().for_each(|pair| give(Part::Parameter(pair)));
}

/// The parameters that the rule leaves out.
pub(super) fn left_out<'a>(query: &'a str, rule: &KeyRule) -> SmallVec<[&'a str; 16]> {
    match rule.query {
        QueryRule::All => SmallVec::new(),
        QueryRule::None => pairs(query).collect(),
        QueryRule::Only(_) | QueryRule::Except(_) if query.contains(';') => SmallVec::new(),
        QueryRule::Only(_) | QueryRule::Except(_) => pairs(query).filter(|pair| !enters(pair, &rule.query)).collect(),
    }
}

fn each_rule<'a>(rule: &'a KeyRule, give: &mut impl FnMut(Part<'a>)) {
    match &rule.query {
        QueryRule::All => {}
        QueryRule::None => give(Part::NoQuery),
        QueryRule::Only(names) => names.iter().for_each(|name| give(Part::Listed(name))),
        QueryRule::Except(names) => names.iter().for_each(|name| give(Part::Ignored(name))),
    }
    if rule.sort {
        give(Part::Sorted);
    }
}

/// The order of parameters of different names says nothing where the rule lists them.
const fn sorts(rule: &KeyRule) -> bool {
    rule.sort || matches!(rule.query, QueryRule::Only(_))
}

fn enters(pair: &str, rule: &QueryRule) -> bool {
    match rule {
        QueryRule::All => true,
        QueryRule::None => false,
        QueryRule::Only(names) => is_one_of(name(pair).as_bytes(), names),
        QueryRule::Except(names) => !names.iter().any(|ignored| is_certainly(name(pair), ignored)),
    }
}

/// May any reader take it for one of these names?
pub(super) fn is_one_of(name: &[u8], listed: &[String]) -> bool {
    listed.iter().any(|listed| folded(name).eq(folded(listed.as_bytes())))
}

/// Is it this name for every reader? `ignored` may end in `*`.
fn is_certainly(name: &str, ignored: &str) -> bool {
    match ignored.strip_suffix('*') {
        Some(stem) => name.starts_with(stem),
        None => name == ignored,
    }
}

/// A name as the most lenient readers see it: decoded, without the white space before it, cut at the bracket of an index
/// or at a NUL, with `_` for what PHP writes so, and without case, which means nothing to ASP.NET.
fn folded(name: &[u8]) -> impl Iterator<Item = u8> {
    percent_decode(name)
        .skip_while(|byte| byte.is_ascii_whitespace() || *byte == b'+')
        .take_while(|byte| !matches!(byte, b'[' | 0))
        .map(|byte| if matches!(byte, b' ' | b'+' | b'.') { b'_' } else { byte.to_ascii_lowercase() })
}

fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty())
}

fn name(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}
