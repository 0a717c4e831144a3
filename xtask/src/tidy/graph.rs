//! The workspace's members and what each of them depends on, from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{command, repo};

/// Members by the name that the import table calls them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) members: BTreeMap<String, Member>,
}

/// What a member depends on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    /// Other members that it names in its manifest, for any purpose.
    pub(super) members: BTreeSet<String>,
    /// Packages that it names as normal dependencies.
    pub(super) direct: BTreeSet<String>,
    /// Packages that it links, however far away; no members.
    pub(super) linked: BTreeSet<String>,
}

impl Graph {
    /// Asks cargo.
    pub(super) fn load() -> Result<Self> {
        let text = command::text(&mut command::cargo(&["metadata", "--format-version", "1", "--locked"]))?;
        let metadata = serde_json::from_str(&text).context("cargo metadata printed no JSON")?;
        Self::read(&metadata, &repo::root()).context("cargo metadata has a shape that is not known")
    }

    fn read(metadata: &Value, root: &Path) -> Option<Self> {
        let ids: BTreeSet<&str> =
            metadata["workspace_members"].as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
        let mut packages = BTreeMap::new();
        for package in metadata["packages"].as_array()? {
            let id = package["id"].as_str()?;
            let path = Path::new(package["manifest_path"].as_str()?).parent()?;
            let member = ids.contains(id).then(|| member_name(path.strip_prefix(root).unwrap_or(path)));
            packages.insert(id, Package { name: package["name"].as_str()?, member, edges: Vec::new() });
        }
        for node in metadata["resolve"]["nodes"].as_array()? {
            let edges = node["deps"].as_array()?.iter().map(edge).collect::<Option<_>>()?;
            packages.get_mut(node["id"].as_str()?)?.edges = edges;
        }
        let members = ids.iter().map(|id| {
            let package = packages.get(id)?;
            Some((package.member.clone()?, package.depends(&packages)))
        });
        Some(Self { members: members.collect::<Option<_>>()? })
    }
}

/// The path of its folder, without the leading `crates/`.
fn member_name(path: &Path) -> String {
    let path = path.to_string_lossy();
    path.strip_prefix("crates/").unwrap_or(&path).to_owned()
}

/// A package and what it depends on: the id, and is it for more than tests and builds?
struct Package<'a> {
    name: &'a str,
    member: Option<String>,
    edges: Vec<(&'a str, bool)>,
}

impl Package<'_> {
    fn depends(&self, packages: &BTreeMap<&str, Self>) -> Member {
        let mut member = Member::default();
        for (id, normal) in &self.edges {
            let Some(package) = packages.get(id) else { continue };
            match &package.member {
                Some(name) => drop(member.members.insert(name.clone())),
                None if *normal => drop(member.direct.insert(package.name.to_owned())),
                None => {}
            }
        }
        let mut seen = BTreeSet::new();
        self.link(packages, &mut seen, &mut member.linked);
        member
    }

    fn link<'a>(
        &'a self,
        packages: &'a BTreeMap<&str, Self>,
        seen: &mut BTreeSet<&'a str>,
        linked: &mut BTreeSet<String>,
    ) {
        for (id, _) in self.edges.iter().filter(|(_, normal)| *normal) {
            let Some(package) = packages.get(id).filter(|_| seen.insert(id)) else { continue };
            if package.member.is_none() {
                linked.insert(package.name.to_owned());
            }
            package.link(packages, seen, linked);
        }
    }
}

fn edge(dep: &Value) -> Option<(&str, bool)> {
    let normal = dep["dep_kinds"].as_array()?.iter().any(|kind| kind["kind"].is_null());
    Some((dep["pkg"].as_str()?, normal))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::Graph;

    #[test]
    fn metadata() {
        let package =
            |id: &str, dir: &str| json!({ "id": id, "name": id, "manifest_path": format!("/r/{dir}/Cargo.toml") });
        let dep = |id: &str, kind: Option<&str>| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "workspace_members": ["a", "b"],
            "packages": [package("a", "crates/a"), package("b", "sdk/b"), package("x", "/x"), package("y", "/y")],
            "resolve": { "nodes": [
                { "id": "a", "deps": [dep("b", None), dep("y", Some("dev"))] },
                { "id": "b", "deps": [dep("x", None)] },
                { "id": "x", "deps": [dep("y", None)] },
                { "id": "y", "deps": [] },
            ] },
        });
        let graph = Graph::read(&metadata, Path::new("/r")).expect("metadata");
        let text = |name: &str| {
            let member = &graph.members[name];
            format!("{:?} {:?} {:?}", member.members, member.direct, member.linked)
        };
        assert_eq!(text("a"), r#"{"sdk/b"} {} {"x", "y"}"#);
        assert_eq!(text("sdk/b"), r#"{} {"x"} {"x", "y"}"#);
    }
}
