//! Purge logs: what is counted in one says nothing in another, neither to a cache nor between the tiers.

use holm_transport::service::{ConnInfo, Protocol, Service, TlsInfo};
use tokio::sync::oneshot;

use super::*;
use crate::internal::{self, Envelope};
use crate::shield::ShieldService;

/// Says how many times it was asked; the first answer waits until it may go.
struct Gated {
    asked: Arc<AtomicUsize>,
    gate: Mutex<Option<oneshot::Receiver<()>>>,
}

impl NextHop for Gated {
    fn send(&self, _: Request<Body>, way: Way) -> BoxFuture<'static, Result<Answer, HopError>> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let gate = self.gate.lock().take();
        Box::pin(async move {
            if let Some(gate) = gate {
                let _ = gate.await;
            }
            let response = response(200, &[FRESH], number.to_string());
            Ok(Answer { response, as_of: way.begun.applied, aged: false, bridged: None })
        })
    }
}

struct Shield {
    node: Arc<Node>,
    asked: Arc<AtomicUsize>,
    _dir: tempfile::TempDir,
}

impl Shield {
    fn new(gate: Option<oneshot::Receiver<()>>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let control = Control::open(dir.path(), Telemetry::new()).expect("a store");
        let asked = Arc::new(AtomicUsize::new(0));
        let hop = Gated { asked: Arc::clone(&asked), gate: Mutex::new(gate) };
        let store = StoreConfig::memory_only(ByteSize::mib(16));
        let node = Node::new(Role::Shield, &store, Arc::new(hop), &control).expect("memory alone");
        node.sites.store([Arc::new(site())]);
        Self { node, asked, _dir: dir }
    }

    /// What an edge is told that follows this log and has applied so much of it: the body, and the seq.
    async fn ask(&self, log: u8, applied: u64) -> (String, u64) {
        let site = site().name().clone();
        let (log, applied) = (Some(LogId::from_bytes([log; 16])), Seq::new(applied));
        let mut request = get("/", &[("host", "shop.example")]);
        Envelope { site, scheme: Scheme::Http, log, applied }.write(request.headers_mut());
        let address = ([127, 0, 0, 1], 1).into();
        let tls = Some(TlsInfo { server_name: None, client_identity: Some("edge".to_owned()) });
        let connection = Arc::new(ConnInfo { peer: address, local: address, protocol: Protocol::Http1, tls });
        let service = ShieldService::new(Arc::clone(&self.node), Telemetry::new().shard());
        let response = service.call(request, &connection, &Interims::nowhere()).await;
        let as_of = internal::as_of(response.headers()).expect("a seq").get();
        let body = response.into_body().collect(100).await.expect("a whole body");
        (String::from_utf8_lossy(&body).into_owned(), as_of)
    }

    fn follow(&self, log: u8, last: u64) {
        self.node.follow(LogId::from_bytes([log; 16]), Seq::new(last), Seq::new(last.min(1)));
    }

    fn purge(&self, seq: u64) {
        let (seq, site) = (Seq::new(seq), site().name().clone());
        self.node.apply(&[PurgeEntry { seq, site, selector: Selector::All, mode: PurgeMode::Hard, time: now() }]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_of_another_log_is_not_answered_from_the_cache() {
    let shield = Shield::new(None);
    shield.follow(1, 5);
    let check = async |(log, applied): (u8, u64), body: &str, as_of: u64| {
        let told = shield.ask(log, applied).await;
        assert_eq!(told, (body.to_owned(), as_of), "log {log} up to {applied}");
    };
    check((1, 5), "1", 5).await;
    check((1, 3), "1", 5).await;
    // What it knows of purges the sender does not, and the other way round.
    check((2, 0), "2", 0).await;
    check((2, 9), "3", 9).await;
    // Too far behind the sender.
    check((1, 9), "4", 9).await;
    check((1, 5), "1", 5).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_for_a_tier_of_the_former_log_obeys_the_new_one() {
    let (go, gate) = oneshot::channel();
    let shield = Shield::new(Some(gate));
    shield.follow(1, 5);
    let asked = Arc::clone(&shield.asked);
    let change = async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        shield.follow(2, 0);
        let _ = go.send(());
    };
    // The first answer is of before the change: it is fetched anew, and the seq that it then is good for is of no use there.
    let (told, ()) = tokio::join!(shield.ask(1, 5), change);
    assert_eq!(told, ("2".to_owned(), 0));
    assert_eq!(shield.ask(2, 0).await, ("2".to_owned(), 0));
    shield.purge(1);
    assert_eq!(shield.ask(2, 1).await, ("3".to_owned(), 1));
}
