//! The import table: which member may import which. It stands in docs/ARCHITECTURE.md, in the block that is marked
//! `imports`, one rule a line:
//!
//! - `a, b → c, d`: a and b may import c and d, of our members, and nothing else;
//! - `x, y ← a, b`: of our members, only a and b may name the packages x and y;
//! - `a, b ↛ x, y`: neither a nor b links the packages x and y, however far away.
//!
//! `dir/*` stands for every member below a folder, `*` for every member.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use super::graph::Graph;
use crate::repo;

/// Compares the table with what cargo says.
pub(super) fn check(breaches: &mut Vec<String>) -> Result<()> {
    let text = repo::read(&repo::path(DOCUMENT))?;
    let table = Table::parse(&text).context(DOCUMENT)?;
    breaches.extend(table.breaches(&Graph::load()?));
    Ok(())
}

/// The table's rules.
#[derive(Debug, Default)]
struct Table {
    /// `→`
    may: Vec<(Names, Names)>,
    /// `←`
    only: Vec<(Names, Names)>,
    /// `↛`
    never: Vec<(Names, Names)>,
}

type Names = Vec<String>;

impl Table {
    fn parse(document: &str) -> Result<Self> {
        let mut lines = document.lines().skip_while(|line| line.trim() != OPEN).skip(1).peekable();
        if lines.peek().is_none() {
            bail!("there is no block that begins with {OPEN}");
        }
        let mut table = Self::default();
        for line in lines.take_while(|line| line.trim() != CLOSE).filter(|line| !line.trim().is_empty()) {
            let arrows = [("→", &mut table.may), ("←", &mut table.only), ("↛", &mut table.never)];
            let rule = arrows.into_iter().find_map(|(arrow, rules)| Some((line.split_once(arrow)?, rules)));
            let Some(((left, right), rules)) = rule else { bail!("a rule without an arrow: {line}") };
            rules.push((names(left), names(right)));
        }
        Ok(table)
    }

    fn breaches(&self, graph: &Graph) -> Vec<String> {
        let mut breaches = self.stale(graph);
        for (name, member) in &graph.members {
            let rows: Vec<_> = self.may.iter().filter(|(left, _)| names_it(left, name)).collect();
            if rows.is_empty() {
                breaches.push(format!("{name} is not in the import table of {DOCUMENT}"));
            }
            for import in member.members.iter().filter(|import| !rows.iter().any(|(_, right)| names_it(right, import)))
            {
                breaches.push(format!("{name} imports {import}, which the import table does not allow"));
            }
            for (packages, _) in self.only.iter().filter(|(_, importers)| !names_it(importers, name)) {
                for package in packages.iter().filter(|package| member.direct.contains(*package)) {
                    breaches.push(format!("{name} imports {package}, which is for others to import"));
                }
            }
            for (_, packages) in self.never.iter().filter(|(left, _)| names_it(left, name)) {
                for package in packages.iter().filter(|package| member.linked.contains(*package)) {
                    breaches.push(format!("{name} links {package}, which it must not"));
                }
            }
        }
        breaches
    }

    /// Rules about what is not there (any more).
    fn stale(&self, graph: &Graph) -> Vec<String> {
        let sides = |rules: &'_ [(Names, Names)]| -> BTreeSet<String> {
            rules.iter().flat_map(|(left, right)| left.iter().chain(right)).cloned().collect()
        };
        let only = self.only.iter().flat_map(|(_, right)| right).cloned();
        let never = self.never.iter().flat_map(|(left, _)| left).cloned();
        let named: BTreeSet<String> = sides(&self.may).into_iter().chain(only).chain(never).collect();
        let known = |name: &String| name.ends_with('*') || graph.members.contains_key(name);
        named
            .iter()
            .filter(|name| !known(name))
            .map(|name| format!("the import table names {name}: no member"))
            .collect()
    }
}

fn names(side: &str) -> Names {
    side.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

fn names_it(names: &[String], name: &str) -> bool {
    let same = |pattern: &String| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    };
    names.iter().any(same)
}

const DOCUMENT: &str = "docs/ARCHITECTURE.md";
const OPEN: &str = "```imports";
const CLOSE: &str = "```";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::graph::{Graph, Member};
    use super::Table;

    /// Members with what they import, name and link, against a table.
    #[track_caller]
    fn check(table: &str, members: &[(&str, &[&str], &[&str])], expected: &[&str]) {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let member = |(name, members, packages): &(&str, &[&str], &[&str])| {
            let member = Member { members: set(members), direct: set(packages), linked: set(packages) };
            ((*name).to_owned(), member)
        };
        let graph = Graph { members: members.iter().map(member).collect::<BTreeMap<_, _>>() };
        let table = Table::parse(&format!("# Text\n```imports\n{table}\n```\nmore → text")).expect("a table");
        assert_eq!(table.breaches(&graph), expected);
    }

    #[test]
    fn imports() {
        check("a →\nb → a", &[("a", &[], &[]), ("b", &["a"], &[])], &[]);
        let breach = "a imports b, which the import table does not allow";
        check("a →\nb → a", &[("a", &["b"], &[]), ("b", &["a"], &[])], &[breach]);
        check("tests/*, x → *", &[("tests/e2e", &["x"], &[]), ("x", &["tests/e2e"], &[])], &[]);
        check("a →", &[("a", &[], &[]), ("b", &[], &[])], &["b is not in the import table of docs/ARCHITECTURE.md"]);
        check("a → b", &[("a", &[], &[])], &["the import table names b: no member"]);
    }

    #[test]
    fn packages() {
        let members: &[(&str, &[&str], &[&str])] = &[("a", &[], &["quinn"]), ("b", &[], &["quinn", "tokio"])];
        check("a, b →\nquinn ← a", members, &["b imports quinn, which is for others to import"]);
        check("a, b →\na ↛ tokio, http\nb ↛ tokio", members, &["b links tokio, which it must not"]);
    }

    #[test]
    fn tables_that_are_none() {
        assert!(Table::parse("no block").is_err());
        assert!(Table::parse("```imports\na b\n```").is_err());
    }
}
