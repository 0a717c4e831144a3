//! What a run of the suite found, and how that is counted.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Protocol;

/// A run over one protocol.
pub(super) struct Outcome {
    pub(super) protocol: Protocol,
    /// In the suite's order.
    pub(super) cases: Vec<Case>,
}

/// A case and how it went.
pub(super) struct Case {
    pub(super) id: String,
    /// The suite's name of the group that it stands in.
    pub(super) group: String,
    pub(super) kind: Kind,
    pub(super) found: Found,
}

/// What the suite calls a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A requirement of the standards.
    Required,
    /// What an optimal cache does.
    Optimal,
    /// A question about behaviour; both answers are right.
    Check,
}

/// How a case went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// By the suite's own count.
    Passed,
    /// By an exchange of ours, the suite's own client being unable to tell.
    PassedByExchange,
    /// With what was told.
    Failed(String),
}

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) all: usize,
}

impl Outcome {
    /// Reads what run.mjs printed.
    pub(super) fn parse(protocol: Protocol, text: &str) -> Result<Self> {
        let told: Value = serde_json::from_str(text).context("no JSON")?;
        let cases = told["cases"].as_array().context("no cases")?;
        let case = |case: &Value| -> Option<Case> {
            let id = case["id"].as_str()?;
            let kind = Kind::of(case["kind"].as_str()?)?;
            let found = found(&told["results"][id], &told["exchanges"][id]);
            Some(Case { id: id.to_owned(), group: case["suite"].as_str()?.to_owned(), kind, found })
        };
        let cases = cases.iter().map(case).collect::<Option<_>>().context("a case of an unknown shape")?;
        Ok(Self { protocol, cases })
    }

    /// Takes what another run of some of the cases found.
    pub(super) fn replace(&mut self, again: Self) {
        for case in again.cases {
            if let Some(held) = self.cases.iter_mut().find(|held| held.id == case.id) {
                *held = case;
            }
        }
    }

    /// The cases of a kind, of the groups that are published results' or of the one that is extra.
    fn count(&self, kind: Kind, extra: bool) -> Count {
        Count::of(self.cases.iter().filter(|case| case.kind == kind && case.is_extra() == extra))
    }

    /// How many cases our own exchange has decided.
    pub(super) fn exchanged(&self) -> usize {
        self.cases.iter().filter(|case| case.found == Found::PassedByExchange).count()
    }

    /// `required 157/157`, and who counted.
    fn required_line(&self) -> String {
        let count = self.count(Kind::Required, false);
        let exchanged = self.exchanged();
        let own = count.passed - exchanged;
        match exchanged {
            0 => format!("required {count}"),
            _ => format!(
                "required {count} ({own} by the suite's own count, {exchanged} by our exchange: see docs/conformance.md)"
            ),
        }
    }

    /// Each group's required and optimal counts, in the suite's order.
    pub(super) fn groups(&self) -> Vec<(&str, Count, Count)> {
        let mut order = Vec::new();
        let mut groups: BTreeMap<&str, [Count; 2]> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| case.kind != Kind::Check) {
            let counts = groups.entry(&case.group).or_insert_with(|| {
                order.push(case.group.as_str());
                <[Count; 2]>::default()
            });
            counts[usize::from(case.kind == Kind::Optimal)].add(case);
        }
        order.into_iter().map(|group| (group, groups[group][0], groups[group][1])).collect()
    }

    /// Required and optimal, as they are published.
    pub(super) fn published(&self) -> [Count; 2] {
        [self.count(Kind::Required, false), self.count(Kind::Optimal, false)]
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.required_line())?;
        writeln!(f, "optimal {}", self.count(Kind::Optimal, false))?;
        let [required, optimal] = [Kind::Required, Kind::Optimal].map(|kind| self.count(kind, true));
        writeln!(f, "{EXTRA} required {required} optimal {optimal}")?;
        let check = Count::of(self.cases.iter().filter(|case| case.kind == Kind::Check));
        write!(f, "check {} answered yes, {} no", check.passed, check.all - check.passed)
    }
}

impl Case {
    pub(super) fn passed(&self) -> bool {
        !matches!(self.found, Found::Failed(_))
    }

    /// Does it stand in the group that no published result has?
    pub(super) fn is_extra(&self) -> bool {
        self.group == EXTRA
    }
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Self> {
        [Self::Required, Self::Optimal, Self::Check].into_iter().find(|kind| kind.as_str() == name)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optimal => "optimal",
            Self::Check => "check",
        }
    }
}

impl Count {
    fn of<'a>(cases: impl Iterator<Item = &'a Case>) -> Self {
        let mut count = Self::default();
        cases.for_each(|case| count.add(case));
        count
    }

    fn add(&mut self, case: &Case) {
        self.all += 1;
        self.passed += usize::from(case.passed());
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.passed, self.all)
    }
}

/// The suite's result is `true`, or an error's name and message.
fn found(result: &Value, exchange: &Value) -> Found {
    let told = exchange["told"].as_str();
    match (result, &exchange["holds"]) {
        (Value::Bool(true), _) => Found::Passed,
        (_, Value::Bool(true)) => Found::PassedByExchange,
        (Value::Array(error), _) => {
            let words = error.iter().filter_map(Value::as_str).chain(told);
            Found::Failed(words.collect::<Vec<_>>().join(": "))
        }
        _ => Found::Failed("not run".to_owned()),
    }
}

/// The suite's command line runs this group, and its published results don't have it.
const EXTRA: &str = "surrogate-control";

#[cfg(test)]
mod tests {
    use super::{Found, Outcome};
    use crate::conformance::Protocol;

    #[test]
    fn counts() {
        let text = r#"{
            "cases": [
                { "id": "a", "suite": "x", "kind": "required" }, { "id": "b", "suite": "x", "kind": "required" },
                { "id": "c", "suite": "y", "kind": "optimal" }, { "id": "d", "suite": "y", "kind": "check" },
                { "id": "e", "suite": "surrogate-control", "kind": "required" }
            ],
            "results": { "a": true, "b": ["Assertion", "no"], "c": ["Setup", "no"], "d": true, "e": true },
            "exchanges": { "b": { "holds": true, "told": "502" } }
        }"#;
        let outcome = Outcome::parse(Protocol::H1, text).expect("a result");
        assert_eq!(
            outcome.to_string(),
            "required 2/2 (1 by the suite's own count, 1 by our exchange: see docs/conformance.md)\noptimal 0/1\n\
            surrogate-control required 1/1 optimal 0/0\ncheck 1 answered yes, 0 no"
        );
        assert_eq!(outcome.cases[2].found, Found::Failed("Setup: no".to_owned()));
        let groups: Vec<_> = outcome.groups().iter().map(|(name, required, _)| format!("{name} {required}")).collect();
        assert_eq!(groups, ["x 2/2", "y 0/0", "surrogate-control 1/1"]);
    }
}
