//! `holm nodes`: who is in the cluster, what each serves, and how far behind it is.

use holm_control::wire::NodeStatus;

use crate::args::NodesArgs;
use crate::output::{self, NONE, Side, Table, count, instant, line};
use crate::{Failure, cluster};

pub(super) async fn run(args: NodesArgs) -> Result<(), Failure> {
    let nodes = cluster::connect(&args.cluster)?.nodes().await?;
    if args.output.json {
        return output::json(&nodes);
    }
    line(&table(&nodes))?;
    nodes.iter().flat_map(|node| errors(node).chain(faults(node))).try_for_each(|error| line(&error))
}

fn table(nodes: &[NodeStatus]) -> String {
    let mut table = Table::new(&[
        ("node", Side::Left),
        ("role", Side::Left),
        ("region", Side::Left),
        ("version", Side::Left),
        ("since", Side::Left),
        ("purges applied", Side::Right),
        ("behind", Side::Right),
        ("health", Side::Left),
        ("serves", Side::Left),
    ]);
    for node in nodes {
        table.row(vec![
            node.node.to_string(),
            node.role.clone(),
            node.region.to_string(),
            node.version.clone(),
            instant(node.since),
            node.applied.to_string(),
            node.purge_lag.to_string(),
            health(node).to_owned(),
            serves(node),
        ]);
    }
    table.render()
}

/// The first sites with their releases.
fn serves(node: &NodeStatus) -> String {
    let named = node.releases.iter().take(SHOWN).map(|(site, release)| format!("{site} {release}"));
    let mut named: Vec<String> = named.collect();
    let more = node.releases.len() - named.len();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    if named.is_empty() { NONE.to_owned() } else { named.join(", ") }
}

/// In a word; what is behind it follows the table.
fn health(node: &NodeStatus) -> &'static str {
    if node.faults.is_empty() { "ok" } else { "degraded" }
}

/// What of a node is broken.
fn faults(node: &NodeStatus) -> impl Iterator<Item = String> {
    node.faults.iter().map(|fault| format!("{}: {fault}", node.node))
}

/// What a node could not take.
fn errors(node: &NodeStatus) -> impl Iterator<Item = String> {
    let total = node.errors.len();
    let lines = node
        .errors
        .iter()
        .take(SHOWN)
        .map(|(site, reason)| format!("{} can't serve the live release of {site}: {reason}", node.node));
    let more = total.saturating_sub(SHOWN);
    lines.chain((more > 0).then(|| format!("{} can't serve {} more", node.node, count(more, "site"))))
}

/// Sites that are named of one node.
const SHOWN: usize = 4;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use holm_control::wire::NodeStatus;
    use holm_model::ids::{ReleaseNumber, Seq, SiteName};
    use holm_model::units::Timestamp;

    use super::{errors, faults, table};

    fn node(sites: usize) -> NodeStatus {
        let site = |n: usize| -> SiteName { format!("site-{n}").parse().expect("a name") };
        NodeStatus {
            node: "edge-1".parse().expect("a name"),
            role: "edge".to_owned(),
            region: "fra".parse().expect("a name"),
            version: "0.1.0".to_owned(),
            since: Timestamp::from_secs(0),
            applied: Seq::new(7),
            purge_lag: 2,
            releases: (0..sites).map(|n| (site(n), ReleaseNumber::new(3))).collect(),
            errors: BTreeMap::from([(site(0), "no such component".to_owned())]),
            faults: Vec::new(),
        }
    }

    #[test]
    fn a_node_is_a_line() {
        let check = |sites: usize, serves: &str| {
            let expected = format!(
                "node    role  region  version  since                 purges applied  behind  health  serves\n\
                 edge-1  edge  fra     0.1.0    1970-01-01 00:00:00Z               7       2  ok      {serves}"
            );
            assert_eq!(table(&[node(sites)]), expected);
        };
        check(0, "-");
        check(2, "site-0 3, site-1 3");
        check(6, "site-0 3, site-1 3, site-2 3, site-3 3, and 2 more");
    }

    #[test]
    fn what_is_broken_is_told() {
        let broken = NodeStatus { faults: vec!["/mnt/a: gone".to_owned()], ..node(0) };
        assert!(table(std::slice::from_ref(&broken)).contains("  degraded  -"));
        assert_eq!(faults(&broken).collect::<Vec<_>>(), ["edge-1: /mnt/a: gone"]);
    }

    #[test]
    fn what_a_node_could_not_take_is_told() {
        let told: Vec<String> = errors(&node(0)).collect();
        assert_eq!(told, ["edge-1 can't serve the live release of site-0: no such component"]);
    }
}
