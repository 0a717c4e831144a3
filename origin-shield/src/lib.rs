//! The shield role: a listener for edges, a cache, and the origin pools behind it. Wiring only; it runs no handlers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use holm_control::ca::NodeIdentity;
use holm_control::{Control, NodeJoin};
use holm_model::ids::{NodeName, RegionName};
pub use holm_proxy::StoreConfig;
use holm_proxy::{Follower, Node, PoolMaker, ShieldService, StoreError};
use holm_telemetry::Telemetry;
use holm_transport::h3;
use holm_transport::listen::{BindError, Bound};
use holm_transport::serving::Serving;
use holm_transport::shutdown::Shutdown;
use holm_transport::tls::{TlsError, mutual_server_config, origin_client_config};
use holm_transport::workers::Workers;
use tokio::task::JoinSet;

/// What a shield needs to know.
#[derive(Debug)]
pub struct ShieldConfig {
    /// Its name in the cluster.
    pub name: NodeName,
    /// Where it is.
    pub region: RegionName,
    /// The UDP address at which edges reach it.
    pub addr: SocketAddr,
    /// What its store is made of.
    pub store: StoreConfig,
    /// Threads that answer requests.
    pub workers: usize,
    /// Its own certificate, and the CA that must have signed the certificate of every edge.
    pub identity: NodeIdentity,
}

/// A running shield.
#[derive(Debug)]
pub struct ShieldNode {
    /// Where it listens.
    pub addr: SocketAddr,
    node: Arc<Node>,
    serving: Serving,
    _following: JoinSet<()>,
}

/// Why a shield can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its address can't be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Its certificate or the CA is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread can't be started.
    #[error("can't start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl ShieldNode {
    /// Starts to follow `control` and to answer.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: ShieldConfig,
        control: &Arc<Control>,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Self, StartError> {
        let bound = Bound::udp(config.addr, config.workers)?;
        let addr = bound.addr;
        let tls = mutual_server_config(&config.identity.identity, config.identity.ca_pem.as_bytes())?;
        let node = tokio::task::block_in_place(|| Node::shield(&config.store, control))?;
        let handle = control.join(NodeJoin {
            node: config.name.clone(),
            role: "shield".to_owned(),
            region: config.region,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        collect(control, telemetry, &node, config.name);
        let pools = PoolMaker { tls: origin_client_config(None)?, telemetry: Arc::clone(telemetry) };
        let following = Follower::new(Arc::clone(&node), Arc::clone(control), handle, pools, None).start().await;
        let sockets = Workers::share(bound.udp);
        let shutdown = Shutdown::new();
        let (telemetry, serving) = (Arc::clone(telemetry), shutdown.clone());
        let answering = Arc::clone(&node);
        let workers = Workers::start(config.workers, "shield", move |index| {
            let (socket, tls, shutdown) = (sockets.take(index), Arc::clone(&tls), serving.clone());
            let service = ShieldService::new(Arc::clone(&answering), telemetry.shard());
            async move {
                match socket {
                    Some(socket) => h3::serve(socket, tls, service, shutdown, h3::Limits::internal()).await,
                    None => Ok(()),
                }
            }
        })?;
        Ok(Self { addr, node, serving: Serving::new(workers, shutdown), _following: following })
    }

    /// Completes if a listener fails; [`ShieldNode::drain`] then says why.
    pub async fn failed(&self) {
        self.serving.failed().await;
    }

    /// Ends: requests under way may take `grace`. Gives how many connections were left then.
    ///
    /// # Errors
    /// A listener had failed.
    pub async fn drain(self, grace: Duration) -> std::io::Result<usize> {
        let drained = self.serving.drain(grace).await;
        tokio::task::block_in_place(|| self.node.close());
        drained
    }
}

fn collect(control: &Control, telemetry: &Arc<Telemetry>, node: &Arc<Node>, name: NodeName) {
    // The node holds the control plane, which must not hold the node.
    let (telemetry, node) = (Arc::clone(telemetry), Arc::downgrade(node));
    control.on_collect(Box::new(move || {
        if let Some(node) = node.upgrade() {
            node.collect(&name, telemetry.registry());
        }
    }));
}
