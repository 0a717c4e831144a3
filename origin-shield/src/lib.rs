//! The shield role: a listener for edges, a cache, and the origin pools behind it. Wiring only; it runs no handlers.

use std::net::SocketAddr;
use std::sync::Arc;

use holm_control::{Control, NodeJoin};
use holm_model::ids::{NodeName, RegionName};
use holm_model::units::ByteSize;
use holm_proxy::{Follower, Node, PoolMaker, ShieldService};
use holm_telemetry::Telemetry;
use holm_transport::h3;
use holm_transport::listen::{BindError, Bound};
use holm_transport::shutdown::Shutdown;
use holm_transport::tls::{Identity, TlsError, mutual_server_config};
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
    /// Memory for cached content and fills under way.
    pub memory: ByteSize,
    /// Threads that answer requests.
    pub workers: usize,
    /// Its own certificate.
    pub identity: Identity,
    /// The cluster's CA (PEM), which must have signed the certificate of every edge.
    pub ca_pem: String,
    /// How origins are reached.
    pub pools: PoolMaker,
}

/// A running shield.
#[derive(Debug)]
pub struct ShieldNode {
    /// Where it listens.
    pub addr: SocketAddr,
    workers: Workers,
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
    /// A thread can't be started.
    #[error("can't start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl ShieldNode {
    /// Starts to follow `control` and to answer, until `shutdown` begins.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: ShieldConfig,
        control: &Arc<Control>,
        telemetry: &Arc<Telemetry>,
        shutdown: &Shutdown,
    ) -> Result<Self, StartError> {
        let bound = Bound::udp(config.addr, config.workers)?;
        let addr = bound.addr;
        let tls = mutual_server_config(&config.identity, config.ca_pem.as_bytes())?;
        let node = Node::shield(config.memory, control);
        let handle = control.join(NodeJoin {
            node: config.name.clone(),
            role: "shield".to_owned(),
            region: config.region,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        collect(control, telemetry, &node, config.name);
        let following = Follower::new(Arc::clone(&node), Arc::clone(control), handle, config.pools, None).start().await;
        let sockets = Workers::share(bound.udp);
        let (telemetry, shutdown) = (Arc::clone(telemetry), shutdown.clone());
        let workers = Workers::start(config.workers, "shield", move |index| {
            let (socket, tls, shutdown) = (sockets.take(index), Arc::clone(&tls), shutdown.clone());
            let service = ShieldService::new(Arc::clone(&node), telemetry.shard());
            async move {
                match socket {
                    Some(socket) => h3::serve(socket, tls, service, shutdown, h3::Limits::internal()).await,
                    None => Ok(()),
                }
            }
        })?;
        Ok(Self { addr, workers, _following: following })
    }

    /// Waits until every thread has ended: after the shutdown, or with what went wrong.
    ///
    /// # Errors
    /// A listener failed.
    pub fn join(self) -> std::io::Result<()> {
        self.workers.join()
    }
}

fn collect(control: &Control, telemetry: &Arc<Telemetry>, node: &Arc<Node>, name: NodeName) {
    let (telemetry, node) = (Arc::clone(telemetry), Arc::clone(node));
    control.on_collect(Box::new(move || node.collect(&name, telemetry.registry())));
}
