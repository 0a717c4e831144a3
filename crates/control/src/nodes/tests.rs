//! Waiting for nodes: leases, progress, laggards.

use super::*;

fn join(nodes: &Arc<Nodes>, name: &str) -> NodeHandle {
    nodes.join(NodeJoin {
        node: name.parse().unwrap(),
        role: "edge".to_owned(),
        region: "local".parse().unwrap(),
        version: "0".to_owned(),
    })
}

fn shop() -> SiteName {
    "shop".parse().unwrap()
}

fn names(progress: &Progress) -> (Vec<&str>, Vec<(&str, &str)>) {
    let done = progress.nodes.iter().map(|done| done.node.as_str()).collect();
    (done, progress.lagging.iter().map(|lag| (lag.node.as_str(), lag.reason.as_str())).collect())
}

#[tokio::test]
async fn waits_until_the_last_node_has_applied() {
    let nodes = Nodes::new(std::iter::empty());
    let (a, b) = (join(&nodes, "a"), join(&nodes, "b"));
    nodes.durable(Seq::new(3));
    a.applied(Seq::new(3));
    let wait = tokio::spawn({
        let nodes = Arc::clone(&nodes);
        async move { nodes.wait_applied(Seq::new(3), Duration::from_secs(60)).await }
    });
    tokio::task::yield_now().await;
    assert!(!wait.is_finished());
    b.applied(Seq::new(2));
    tokio::task::yield_now().await;
    assert!(!wait.is_finished());
    b.applied(Seq::new(5));
    assert_eq!(names(&wait.await.unwrap()), (vec!["a", "b"], vec![]));
}

#[tokio::test(start_paused = true)]
async fn names_who_lags_when_time_is_up() {
    let nodes = Nodes::new(std::iter::empty());
    let (a, b) = (join(&nodes, "a"), join(&nodes, "b"));
    a.applied(Seq::new(1));
    a.applied(Seq::ZERO);
    let progress = nodes.wait_applied(Seq::new(1), Duration::from_secs(1)).await;
    assert_eq!(names(&progress), (vec!["a"], vec![("b", "it has applied purges up to 0, not yet 1")]));
    drop(b);
    let progress = nodes.wait_applied(Seq::new(1), Duration::from_secs(1)).await;
    assert_eq!(names(&progress), (vec!["a"], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_serve_is_not_waited_for() {
    let nodes = Nodes::new(std::iter::empty());
    let (a, b) = (join(&nodes, "a"), join(&nodes, "b"));
    let (one, two) = (ReleaseNumber::new(1), ReleaseNumber::new(2));
    nodes.activated(&shop(), one);
    assert_eq!(nodes.missing().len(), 2);
    a.serving(&shop(), Ok(one));
    b.serving(&shop(), Err("no memory".to_owned()));
    let started = tokio::time::Instant::now();
    let progress = nodes.wait_serving(&shop(), one, Duration::from_secs(60)).await;
    assert_eq!(names(&progress), (vec!["a"], vec![("b", "no memory")]));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(nodes.missing(), ["b does not serve shop 1: no memory"]);

    nodes.activated(&shop(), two);
    let progress = nodes.wait_serving(&shop(), two, Duration::from_millis(1)).await;
    assert_eq!(names(&progress), (vec![], vec![("a", "it still serves release 1"), ("b", "")]));
    let progress = nodes.wait_serving(&shop(), one, Duration::from_secs(60)).await;
    assert_eq!(names(&progress).1, vec![("b", "another release was activated meanwhile")]);
    a.serving(&shop(), Ok(two));
    b.serving(&shop(), Ok(two));
    assert!(nodes.missing().is_empty());
    let status = nodes.status(Seq::new(7));
    assert_eq!((status[1].releases[&shop()], status[1].errors.len(), status[1].purge_lag), (two, 0, 7));
    nodes.deleted(&shop());
    b.serving(&shop(), Ok(one));
    assert!(nodes.status(Seq::ZERO).iter().all(|node| node.releases.is_empty()));
}

#[test]
fn steps_are_bounded() {
    let mut steps = Steps::default();
    let start = Instant::now();
    for seq in 1..=(STEPS as u64 + 10) {
        steps.push(Seq::new(seq * 10), start + Duration::from_millis(seq));
    }
    assert_eq!(steps.0.len(), STEPS);
    let check = |seq: u64, ms: Option<u64>| {
        assert_eq!(steps.reached(Seq::new(seq)), ms.map(|ms| start + Duration::from_millis(ms)), "{seq}");
    };
    check(1, Some(11));
    check(1000, Some(100));
    check(1001, Some(101));
    check((STEPS as u64 + 10) * 10 + 1, None);
}
