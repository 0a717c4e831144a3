//! A running edge: its sockets, threads and tasks.

use std::net::SocketAddr;
use std::sync::Arc;

use holm_control::{Control, NodeJoin};
use holm_model::ids::{NodeName, RegionName};
use holm_model::manifest::Timeouts;
use holm_model::units::ByteSize;
use holm_proxy::{EdgeService, Follower, HandlerLoader, Node, PoolMaker};
use holm_telemetry::{Shard, Telemetry};
use holm_transport::h3;
use holm_transport::listen::Bound;
use holm_transport::server::{self, ServerLimits};
use holm_transport::shutdown::Shutdown;
use holm_transport::tls::{Identity, SiteCertificates, TlsError, mutual_client_config, server_config};
use holm_transport::workers::{Shared, Workers};
use holm_upstream::{ShieldClient, ShieldEndpoint};
use tokio::task::JoinSet;

use crate::handlers::Handlers;

/// What an edge needs to know.
#[derive(Debug)]
pub struct EdgeConfig {
    /// Its name in the cluster.
    pub name: NodeName,
    /// Where it is.
    pub region: RegionName,
    /// Where HTTP/1.1 is answered in the clear; a socket for each worker.
    pub http: Option<Bound>,
    /// Where TLS and QUIC are answered, and with which certificates; a socket of each kind for each worker.
    pub https: Option<(Bound, Arc<SiteCertificates>)>,
    /// Memory for cached content and fills under way.
    pub memory: ByteSize,
    /// Threads that answer requests.
    pub workers: usize,
    /// The shields to ask.
    pub shields: Vec<ShieldEndpoint>,
    /// Its own certificate.
    pub identity: Identity,
    /// The cluster's CA (PEM), which must have signed the certificate of every shield.
    pub ca_pem: String,
    /// How origins are reached.
    pub pools: PoolMaker,
}

/// A running edge.
#[derive(Debug)]
pub struct EdgeNode {
    /// Where it answers in the clear.
    pub http: Option<SocketAddr>,
    /// Where it answers TLS and QUIC.
    pub https: Option<SocketAddr>,
    workers: Workers,
    _following: JoinSet<()>,
}

/// Why an edge can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A certificate or the CA is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The TLS of the way to the shields is of no use for QUIC.
    #[error(transparent)]
    Quic(#[from] h3::NotForQuic),
    /// Handlers can't be run.
    #[error("can't run handlers: {0}")]
    Handlers(String),
    /// A thread can't be started.
    #[error("can't start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The sockets of all workers, each for one of them to take.
struct Sockets {
    http: Shared<std::net::TcpListener>,
    tls: Shared<std::net::TcpListener>,
    quic: Shared<std::net::UdpSocket>,
}

/// What one worker runs.
struct Worker {
    service: EdgeService,
    secure_service: EdgeService,
    tls: Option<Arc<holm_transport::tls::ServerConfig>>,
    shutdown: Shutdown,
}

impl EdgeNode {
    /// Starts to follow `control` and to answer, until `shutdown` begins.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: EdgeConfig,
        handlers: Arc<Handlers>,
        control: &Arc<Control>,
        telemetry: &Arc<Telemetry>,
        shutdown: &Shutdown,
    ) -> Result<Self, StartError> {
        let client_tls = mutual_client_config(&config.identity, config.ca_pem.as_bytes())?;
        let uncounted = Arc::new(|_: &holm_upstream::Fetch<'_>| {});
        let shields = ShieldClient::new(config.shields, &client_tls, SHIELD_TIMEOUTS, SHIELD_TRIES, uncounted)?;
        let node = Node::edge(config.memory, shields, control);
        handlers.serve_for(&node);
        let handle = control.join(NodeJoin {
            node: config.name.clone(),
            role: "edge".to_owned(),
            region: config.region,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        collect(control, telemetry, &node, &handlers, shutdown, config.name);
        let loader = Arc::clone(&handlers) as Arc<dyn HandlerLoader>;
        let following = Follower::new(Arc::clone(&node), Arc::clone(control), handle, config.pools, Some(loader));
        let following = following.start().await;
        let http = config.http.as_ref().map(|bound| bound.addr);
        let https = config.https.as_ref().map(|(bound, _)| bound.addr);
        let tls = config.https.as_ref().map(|(_, certificates)| server_config(Arc::clone(certificates))).transpose()?;
        let sockets = Sockets::new(config.http, config.https);
        let (telemetry, shutdown) = (Arc::clone(telemetry), shutdown.clone());
        let workers = Workers::start(config.workers, "edge", move |index| {
            let shard: Arc<Shard> = telemetry.shard();
            let worker = Worker {
                service: EdgeService::new(Arc::clone(&node), Arc::clone(&shard), None),
                secure_service: EdgeService::new(Arc::clone(&node), shard, https.map(|addr| addr.port())),
                tls: tls.clone(),
                shutdown: shutdown.clone(),
            };
            worker.run(sockets.http.take(index), sockets.tls.take(index), sockets.quic.take(index))
        })?;
        Ok(Self { http, https, workers, _following: following })
    }

    /// Waits until every thread has ended: after the shutdown, or with what went wrong.
    ///
    /// # Errors
    /// A listener failed.
    pub fn join(self) -> std::io::Result<()> {
        self.workers.join()
    }
}

impl Sockets {
    fn new(http: Option<Bound>, https: Option<(Bound, Arc<SiteCertificates>)>) -> Self {
        let (tls, quic) = https.map(|(bound, _)| (bound.tcp, bound.udp)).unwrap_or_default();
        Self {
            http: Workers::share(http.map(|bound| bound.tcp).unwrap_or_default()),
            tls: Workers::share(tls),
            quic: Workers::share(quic),
        }
    }
}

impl Worker {
    /// Answers on its sockets until all are drained.
    async fn run(
        self,
        http: Option<std::net::TcpListener>,
        tls: Option<std::net::TcpListener>,
        quic: Option<std::net::UdpSocket>,
    ) -> std::io::Result<()> {
        let Self { service, secure_service, tls: config, shutdown } = self;
        let clear = async {
            match http {
                Some(socket) => server::serve_clear(socket, service, shutdown.clone(), ServerLimits::default()).await,
                None => Ok(()),
            }
        };
        let secure = async {
            match (tls, config.clone()) {
                (Some(socket), Some(tls)) => {
                    let (service, limits) = (secure_service.clone(), ServerLimits::default());
                    server::serve_tls(socket, tls, service, shutdown.clone(), limits).await
                }
                _ => Ok(()),
            }
        };
        let quic = async {
            match (quic, config.clone()) {
                (Some(socket), Some(tls)) => {
                    let limits = h3::Limits::public();
                    h3::serve(socket, tls, secure_service.clone(), shutdown.clone(), limits).await
                }
                _ => Ok(()),
            }
        };
        let (clear, secure, quic) = tokio::join!(clear, secure, quic);
        clear.and(secure).and(quic)
    }
}

fn collect(
    control: &Control,
    telemetry: &Arc<Telemetry>,
    node: &Arc<Node>,
    handlers: &Arc<Handlers>,
    shutdown: &Shutdown,
    name: NodeName,
) {
    let (telemetry, node, handlers) = (Arc::clone(telemetry), Arc::clone(node), Arc::clone(handlers));
    let shutdown = shutdown.clone();
    control.on_collect(Box::new(move || {
        let registry = telemetry.registry();
        node.collect(&name, registry);
        handlers.collect(registry);
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
        registry.set(holm_telemetry::names::CONNECTIONS, &[("node", name.as_str())], shutdown.connections() as f64);
    }));
}

/// The origins' own limits hold at the shield: the edge waits longer than any of them, and for streams without end.
const SHIELD_TIMEOUTS: Timeouts = Timeouts {
    connect: std::time::Duration::from_secs(1),
    first_byte: std::time::Duration::from_secs(120),
    idle: std::time::Duration::ZERO,
};

/// Shields that a request is tried at.
const SHIELD_TRIES: u32 = 2;
