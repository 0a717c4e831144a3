//! Activation: a release goes live, and all nodes serve it before the command ends.

use holm_control::client::Client;
use holm_control::wire::{ActivateRequest, Activated, Wait};
use holm_model::ids::{ReleaseNumber, SiteName};

use super::spread::{all_have, on_nodes, print_times};
use crate::Failure;
use crate::output::line;

/// Activates `release` if `expected` still is the active one, and waits for all nodes.
pub(super) async fn activate(
    client: &Client,
    site: &SiteName,
    expected: Option<ReleaseNumber>,
    release: ReleaseNumber,
) -> Result<Activated, Failure> {
    let request = ActivateRequest { release, wait: Wait::Applied };
    client.activate(site, expected, &request).await.map_err(|error| match error.status() {
        Some(CONFLICT) => Failure::new(format!("release {release} was not activated, since {}", error)).help(format!(
            "`holm releases --site {site}` shows what is active; `holm rollback {release}` activates it"
        )),
        _ => error.into(),
    })
}

/// Tells people what was activated.
pub(super) fn print(activated: &Activated) -> Result<(), Failure> {
    line(&sentence(activated))?;
    print_times(&activated.nodes)
}

/// A failure that names the nodes that do not serve the release.
pub(super) fn all_serve(activated: &Activated) -> Result<(), Failure> {
    all_have(&format!("taken release {} of {}", activated.release, activated.site), &activated.lagging)
}

fn sentence(activated: &Activated) -> String {
    let Activated { site, release, previous, nodes, lagging } = activated;
    let place = match (nodes.as_slice(), lagging.as_slice()) {
        ([], []) => "for the nodes that will join".to_owned(),
        _ => on_nodes(nodes),
    };
    match previous {
        Some(previous) if previous != release => {
            format!("{site}: release {release} is live {place}, after release {previous}")
        }
        _ => format!("{site}: release {release} is live {place}"),
    }
}

/// RFC 9110 §13.1.1: the precondition does not hold.
const CONFLICT: u16 = 412;

#[cfg(test)]
mod tests {
    use holm_control::wire::{Activated, NodeTime};
    use holm_model::ids::ReleaseNumber;

    use super::sentence;

    #[test]
    fn sentences() {
        let node = |name: &str| NodeTime { node: name.parse().expect("a name"), ms: 1 };
        let check = |previous: Option<u64>, nodes: Vec<NodeTime>, expected: &str| {
            let activated = Activated {
                site: "shop".parse().expect("a name"),
                release: ReleaseNumber::new(4),
                previous: previous.map(ReleaseNumber::new),
                nodes,
                lagging: Vec::new(),
            };
            assert_eq!(sentence(&activated), expected);
        };
        check(None, vec![node("a")], "shop: release 4 is live on 1 node");
        check(Some(3), vec![node("a"), node("b")], "shop: release 4 is live on 2 nodes, after release 3");
        check(Some(4), vec![node("a")], "shop: release 4 is live on 1 node");
        check(None, vec![], "shop: release 4 is live for the nodes that will join");
    }
}
