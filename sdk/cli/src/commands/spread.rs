//! How far a change has spread: each node's time, and those that have not applied it.

use holm_control::wire::{NodeLag, NodeTime};

use crate::Failure;
use crate::output::{Side, Table, line};

/// `on 2 nodes`, as the end of a sentence about a change.
pub(super) fn on_nodes(nodes: &[NodeTime]) -> String {
    match nodes.len() {
        0 => "on no node".to_owned(),
        1 => "on 1 node".to_owned(),
        many => format!("on {many} nodes"),
    }
}

/// Prints each node's time, indented below the sentence.
pub(super) fn print_times(nodes: &[NodeTime]) -> Result<(), Failure> {
    if nodes.is_empty() { Ok(()) } else { line(&times(nodes)) }
}

fn times(nodes: &[NodeTime]) -> String {
    let mut table = Table::bare(&[Side::Left, Side::Right]);
    for node in nodes {
        table.row(vec![format!("  {}", node.node), format!("{}ms", node.ms)]);
    }
    table.render()
}

/// A failure that names the nodes that lag, if there are any. `change`: what they have not done.
pub(super) fn all_have(change: &str, lagging: &[NodeLag]) -> Result<(), Failure> {
    if lagging.is_empty() {
        return Ok(());
    }
    let reason = |lag: &NodeLag| match lag.reason.as_str() {
        "" => format!("\n  {}: it has said nothing", lag.node),
        reason => format!("\n  {}: {reason}", lag.node),
    };
    let named: String = lagging.iter().map(reason).collect();
    let count = if lagging.len() == 1 { "1 node has".to_owned() } else { format!("{} nodes have", lagging.len()) };
    Err(Failure::new(format!("{count} not {change}:{named}")).help("`holm nodes` shows when they have caught up"))
}

#[cfg(test)]
mod tests {
    use holm_control::wire::{NodeLag, NodeTime};

    use super::{all_have, on_nodes, times};

    fn time(node: &str, ms: u64) -> NodeTime {
        NodeTime { node: node.parse().expect("a name"), ms }
    }

    #[test]
    fn times_line_up() {
        let nodes = [time("edge-1", 12), time("shield", 3)];
        assert_eq!(times(&nodes), "  edge-1  12ms\n  shield   3ms");
        assert_eq!(on_nodes(&nodes), "on 2 nodes");
    }

    #[test]
    fn laggards_are_named_with_their_reasons() {
        let lag = |reason: &str| NodeLag { node: "edge-1".parse().expect("a name"), reason: reason.to_owned() };
        let check = |lagging: &[NodeLag], expected: &str| {
            let text = all_have("applied it", lagging).map_or_else(|failure| failure.to_string(), |()| String::new());
            assert!(text.starts_with(expected), "{text}");
        };
        check(&[], "");
        check(&[lag("asleep")], "error: 1 node has not applied it:\n  edge-1: asleep\n");
        check(
            &[lag(""), lag("x")],
            "error: 2 nodes have not applied it:\n  edge-1: it has said nothing\n  edge-1: x\n",
        );
    }
}
