//! A running edge: its sockets, threads and tasks.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holm_control::ca::NodeIdentity;
use holm_control::{Control, NodeJoin};
use holm_model::ids::{NodeName, RegionName, SiteName};
use holm_model::manifest::Timeouts;
use holm_proxy::{EdgeService, Follower, HandlerLoader, Node, PoolMaker, StoreConfig, StoreError};
use holm_telemetry::{Shard, Telemetry};
use holm_transport::h3;
use holm_transport::listen::{BindError, Bound};
use holm_transport::server::{self, ServerLimits};
use holm_transport::serving::Serving;
use holm_transport::shutdown::Shutdown;
use holm_transport::tls::{
    CertificateSource, Identity, ServerConfig, SiteCertificates, TlsError, mutual_client_config, origin_client_config,
    server_config,
};
use holm_transport::workers::{Shared, Workers};
use holm_upstream::{ShieldClient, ShieldEndpoint};
use tokio::task::JoinSet;

use crate::certificates;
use crate::handlers::Handlers;

/// What an edge needs to know.
#[derive(Debug)]
pub struct EdgeConfig {
    /// Its name in the cluster.
    pub name: NodeName,
    /// Where it is.
    pub region: RegionName,
    /// Where HTTP/1.1 is answered in the clear.
    pub http: SocketAddr,
    /// Where TLS and QUIC are answered, and the certificate for names that no site has one for.
    pub https: Option<(SocketAddr, Certificate)>,
    /// What its store is made of.
    pub store: StoreConfig,
    /// Threads that answer requests.
    pub workers: usize,
    /// The shields to ask: where they are, and the names in their certificates.
    pub shields: Vec<(SocketAddr, String)>,
    /// Its own certificate, and the CA that must have signed the certificate of every shield.
    pub identity: NodeIdentity,
}

/// What clients are shown.
#[derive(Debug)]
pub enum Certificate {
    /// PEM files, read again when they change.
    Files {
        /// The chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// One that the cluster's CA made.
    Issued(Identity),
}

/// A running edge.
#[derive(Debug)]
pub struct EdgeNode {
    /// Where it answers in the clear.
    pub http: SocketAddr,
    /// Where it answers TLS and QUIC.
    pub https: Option<SocketAddr>,
    node: Arc<Node>,
    serving: Serving,
    _tasks: JoinSet<()>,
}

/// Why an edge can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address can't be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate or the CA is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The TLS of the way to the shields is of no use for QUIC.
    #[error(transparent)]
    Quic(#[from] h3::NotForQuic),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread can't be started.
    #[error("can't start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The sockets of all workers, each for one of them to take.
struct Sockets {
    http: Shared<TcpListener>,
    tls: Shared<TcpListener>,
    quic: Shared<UdpSocket>,
}

/// What one worker runs.
struct Worker {
    service: EdgeService,
    secure_service: EdgeService,
    tls: Option<Arc<ServerConfig>>,
    shutdown: Shutdown,
}

impl EdgeNode {
    /// Starts to follow `control` and to answer.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: EdgeConfig,
        handlers: Arc<Handlers>,
        control: &Arc<Control>,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Self, StartError> {
        let clear = Bound::tcp(config.http, config.workers)?;
        let secure =
            config.https.map(|(addr, certificate)| Secure::bind(addr, certificate, config.workers)).transpose()?;
        let shields = shield_client(config.shields, &config.identity)?;
        let node = tokio::task::block_in_place(|| Node::edge(&config.store, shields, control))?;
        let shutdown = Shutdown::new();
        handlers.serve_for(&node);
        let handle = control.join(NodeJoin {
            node: config.name.clone(),
            role: "edge".to_owned(),
            region: config.region,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        collect(control, telemetry, &node, &handlers, &shutdown, config.name);
        let pools = PoolMaker { tls: origin_client_config(None)?, telemetry: Arc::clone(telemetry) };
        let loader = Arc::clone(&handlers) as Arc<dyn HandlerLoader>;
        let follower = Follower::new(Arc::clone(&node), Arc::clone(control), handle, pools, Some(loader));
        let mut tasks = follower.start().await;
        let (http, https) = (clear.addr, secure.as_ref().map(|secure| secure.bound.addr));
        let tls = secure.as_ref().map(|secure| server_config(Arc::clone(&secure.certificates))).transpose()?;
        if let Some(secure) = &secure {
            tasks.spawn(certificates::keep(
                Arc::clone(&secure.certificates),
                secure.default.clone(),
                Arc::clone(&node),
            ));
        }
        let sockets = Sockets::new(clear, secure);
        let (telemetry, draining, serving) = (Arc::clone(telemetry), shutdown.clone(), Arc::clone(&node));
        let workers = Workers::start(config.workers, "edge", move |index| {
            let shard: Arc<Shard> = telemetry.shard();
            let worker = Worker {
                service: EdgeService::new(Arc::clone(&serving), Arc::clone(&shard), None),
                secure_service: EdgeService::new(Arc::clone(&serving), shard, https.map(|addr| addr.port())),
                tls: tls.clone(),
                shutdown: draining.clone(),
            };
            worker.run(sockets.http.take(index), sockets.tls.take(index), sockets.quic.take(index))
        })?;
        Ok(Self { http, https, node, serving: Serving::new(workers, shutdown), _tasks: tasks })
    }

    /// Does it serve this site?
    #[must_use]
    pub fn serves(&self, site: &SiteName) -> bool {
        self.node.sites().get(site).is_some()
    }

    /// Completes if a listener fails; [`EdgeNode::drain`] then says why.
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

/// The secure listeners and what they show.
struct Secure {
    bound: Bound,
    certificates: Arc<SiteCertificates>,
    default: CertificateSource,
}

impl Secure {
    fn bind(addr: SocketAddr, certificate: Certificate, workers: usize) -> Result<Self, StartError> {
        let default = match certificate {
            Certificate::Files { cert, key } => CertificateSource::Files { cert, key },
            Certificate::Issued(identity) => CertificateSource::Given(identity),
        };
        let certificates = Arc::new(SiteCertificates::new(default.clone())?);
        Ok(Self { bound: Bound::tcp_and_udp(addr, workers)?, certificates, default })
    }
}

impl Sockets {
    fn new(clear: Bound, secure: Option<Secure>) -> Self {
        let (tls, quic) = secure.map(|secure| (secure.bound.tcp, secure.bound.udp)).unwrap_or_default();
        Self { http: Workers::share(clear.tcp), tls: Workers::share(tls), quic: Workers::share(quic) }
    }
}

fn shield_client(shields: Vec<(SocketAddr, String)>, identity: &NodeIdentity) -> Result<ShieldClient, StartError> {
    let tls = mutual_client_config(&identity.identity, identity.ca_pem.as_bytes())?;
    let shields = shields.into_iter().map(|(addr, server_name)| ShieldEndpoint { addr, server_name }).collect();
    let uncounted = Arc::new(|_: &holm_upstream::Fetch<'_>| {});
    Ok(ShieldClient::new(shields, &tls, SHIELD_TIMEOUTS, SHIELD_TRIES, uncounted)?)
}

impl Worker {
    /// Answers on its sockets until all are drained.
    async fn run(
        self,
        http: Option<TcpListener>,
        tls: Option<TcpListener>,
        quic: Option<UdpSocket>,
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
    // Node and handlers hold the control plane, which must not hold them.
    let (telemetry, node, handlers) = (Arc::clone(telemetry), Arc::downgrade(node), Arc::downgrade(handlers));
    let shutdown = shutdown.clone();
    control.on_collect(Box::new(move || {
        let (registry, Some(node), Some(handlers)) = (telemetry.registry(), node.upgrade(), handlers.upgrade()) else {
            return;
        };
        node.collect(&name, registry);
        handlers.collect(registry);
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
        registry.set(holm_telemetry::names::CONNECTIONS, &[("node", name.as_str())], shutdown.connections() as f64);
    }));
}

/// The origins' own limits hold at the shield: the edge waits longer than any of them, and for streams without end.
const SHIELD_TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(1), first_byte: Duration::from_secs(120), idle: Duration::ZERO };

/// Shields that a request is tried at.
const SHIELD_TRIES: u32 = 2;
