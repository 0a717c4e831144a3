//! Exceptions: the cases that may fail, each with its reason; and those that we exchange ourselves. One that is listed and
//! passes is stale, and as much of a breach as one that fails and is not listed.

use anyhow::{Context as _, Result, ensure};

use super::outcome::{Case, Found, Kind, Outcome};
use super::{ALL, Protocol, install};
use crate::repo;

/// The checked-in list.
pub(super) struct Exceptions {
    pub(super) exceptions: Vec<Exception>,
    /// The cases whose meaning our own exchange decides: id and reason.
    pub(super) exchanged: Vec<(String, String)>,
}

/// A case that may fail.
pub(super) struct Exception {
    pub(super) id: String,
    pub(super) kind: Kind,
    /// Where it fails.
    pub(super) protocols: Vec<Protocol>,
    pub(super) reason: String,
}

/// What came of comparing a run with the list.
#[derive(Default)]
pub(super) struct Judged {
    /// Cases that fail as they may, each with its reason.
    pub(super) excused: Vec<String>,
    /// What is wrong.
    pub(super) breaches: Vec<String>,
}

impl Exceptions {
    pub(super) fn load() -> Result<Self> {
        let file = install::dir().join("exceptions.toml");
        Self::parse(&repo::read(&file)?).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse()?;
        let rows = |name: &str| -> Vec<toml::Value> {
            table.get(name).and_then(toml::Value::as_array).cloned().unwrap_or_default()
        };
        let exceptions = rows("exception").iter().map(Exception::read).collect::<Result<_>>()?;
        let exchanged = rows("exchange");
        let exchanged = exchanged.iter().map(|row| Ok((field(row, "id")?, field(row, "reason")?)));
        Ok(Self { exceptions, exchanged: exchanged.collect::<Result<_>>()? })
    }

    /// Compares a run with the list.
    pub(super) fn judge(&self, outcome: &Outcome) -> Judged {
        let mut judged = Judged::default();
        for case in outcome.cases.iter().filter(|case| case.kind != Kind::Check) {
            let listed = self.of(&case.id, outcome.protocol);
            match (&case.found, listed) {
                (Found::Failed(told), None) => {
                    judged.breaches.push(breach(case, &format!("fails and is not listed ({told})")));
                }
                (Found::Failed(_), Some(listed)) if listed.kind == case.kind => {
                    judged.excused.push(format!("{}: {}", case.id, listed.reason));
                }
                (Found::Failed(_), Some(_)) => judged.breaches.push(breach(case, "is listed as another kind")),
                (_, Some(_)) => judged.breaches.push(breach(case, "passes: its exception is stale")),
                (_, None) => {}
            }
            let exchanged = self.exchanged.iter().any(|(id, _)| *id == case.id);
            match case.found {
                Found::Passed if exchanged => {
                    judged.breaches.push(breach(case, "passes in the suite: our exchange is stale"));
                }
                Found::PassedByExchange if !exchanged => {
                    judged.breaches.push(breach(case, "was exchanged by us and is not listed so"));
                }
                _ => {}
            }
        }
        judged
    }

    /// Cases whose answers differ between two protocols and need not.
    pub(super) fn differences(&self, one: &Outcome, other: &Outcome) -> Vec<String> {
        let told = |case: &Case| match &case.found {
            Found::Failed(told) => format!("fails ({told})"),
            Found::Passed | Found::PassedByExchange => "passes".to_owned(),
        };
        self.differing(one, other)
            .map(|(a, b)| format!("{}: {} {}, {} {}", a.id, one.protocol, told(a), other.protocol, told(b)))
            .collect()
    }

    /// Cases that are a breach of either kind: each once, by its id.
    pub(super) fn doubtful(&self, outcomes: &[Outcome]) -> Vec<String> {
        let mut ids = Vec::new();
        for outcome in outcomes {
            let fails = |case: &&Case| case.kind != Kind::Check && !case.passed();
            let unlisted = |case: &&Case| self.of(&case.id, outcome.protocol).is_none();
            ids.extend(outcome.cases.iter().filter(fails).filter(unlisted).map(|case| case.id.clone()));
            ids.extend(self.differing(&outcomes[0], outcome).map(|(case, _)| case.id.clone()));
        }
        ids.sort();
        ids.dedup();
        ids
    }

    fn differing<'a>(
        &'a self,
        one: &'a Outcome,
        other: &'a Outcome,
    ) -> impl Iterator<Item = (&'a Case, &'a Case)> + use<'a> {
        let allowed = |id: &str| [one.protocol, other.protocol].iter().any(|protocol| self.of(id, *protocol).is_some());
        let pairs = one.cases.iter().zip(&other.cases);
        pairs.filter(move |(one, other)| one.passed() != other.passed() && !allowed(&one.id))
    }

    /// Lines of the list about cases that the suite doesn't have, or that may not be excused.
    pub(super) fn unknown(&self, outcome: &Outcome) -> Vec<String> {
        let case = |id: &str| outcome.cases.iter().find(|case| case.id == id);
        let exchanged = self.exchanged.iter().map(|(id, _)| id).filter(|id| case(id).is_none());
        let mut breaches: Vec<_> = exchanged.map(|id| format!("{id}: listed, and no case")).collect();
        for exception in &self.exceptions {
            match case(&exception.id) {
                None => breaches.push(format!("{}: listed, and no case", exception.id)),
                Some(case) if case.kind == Kind::Required && !case.is_extra() => {
                    if exception.protocols.contains(&Protocol::H1) {
                        breaches.push(format!("{}: required over h1, so it can't be excused", case.id));
                    }
                }
                Some(_) => {}
            }
        }
        breaches
    }

    fn of(&self, id: &str, protocol: Protocol) -> Option<&Exception> {
        self.exceptions.iter().find(|exception| exception.id == id && exception.protocols.contains(&protocol))
    }
}

impl Exception {
    fn read(row: &toml::Value) -> Result<Self> {
        let id = field(row, "id")?;
        let kind = Kind::of(&field(row, "kind")?).with_context(|| format!("{id}: no such kind"))?;
        let names: Vec<&str> = match row.get("protocols").and_then(toml::Value::as_array) {
            Some(names) => names.iter().filter_map(toml::Value::as_str).collect(),
            None => ALL.map(Protocol::as_str).to_vec(),
        };
        let protocols: Vec<_> = ALL.into_iter().filter(|protocol| names.contains(&protocol.as_str())).collect();
        ensure!(!protocols.is_empty() && protocols.len() == names.len(), "{id}: protocols are h1, h2, h3");
        Ok(Self { kind, protocols, reason: field(row, "reason")?, id })
    }
}

fn breach(case: &Case, what: &str) -> String {
    format!("{} {} {what}", case.kind.as_str(), case.id)
}

fn field(row: &toml::Value, name: &str) -> Result<String> {
    let value = row.get(name).and_then(toml::Value::as_str).with_context(|| format!("no `{name}` in {row}"))?;
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests;
