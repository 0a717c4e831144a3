//! Together: control plane, shield and edge in one process, as `holm up` and `holm serve` run them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holm_control::Control;
use holm_control::admin::AdminServer;
use holm_control::ca::ClusterCa;
use holm_edge_node::{Certificate, EdgeConfig, EdgeNode, Handlers, HostConfig};
use holm_model::disk::DiskSpec;
use holm_model::ids::{NodeName, RegionName, SiteName};
use holm_model::units::ByteSize;
use holm_origin_shield::{ShieldConfig, ShieldNode};
use holm_telemetry::Telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Failure;
use crate::stores::Stores;

/// What the process is to run.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where clients are answered in the clear.
    pub(crate) http: SocketAddr,
    /// Where clients are answered over TLS and QUIC.
    pub(crate) https: Option<SocketAddr>,
    /// Where the control API is answered.
    pub(crate) admin: Option<SocketAddr>,
    /// Where releases, purge log and keys are kept; a private temporary folder otherwise.
    pub(crate) data_dir: Option<PathBuf>,
    /// Memory for cached content, both roles together.
    pub(crate) memory: ByteSize,
    /// Disk for cached content, both roles together; memory alone otherwise.
    pub(crate) disk: Vec<DiskSpec>,
    /// Threads that answer requests.
    pub(crate) workers: usize,
    pub(crate) region: RegionName,
    /// The operator's certificate and key.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// Names of the certificate that is made where the operator gives none, beside this machine's own.
    pub(crate) names: Vec<String>,
}

/// The control plane before anything serves: sites can be published to it.
pub(crate) struct Prepared {
    options: Options,
    data: DataDir,
    stores: Stores,
    telemetry: Arc<Telemetry>,
    pub(crate) control: Arc<Control>,
    ca: ClusterCa,
    stop: Stop,
}

/// Everything running.
pub(crate) struct Running {
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) data_dir: PathBuf,
    pub(crate) temporary: bool,
    pub(crate) token_file: PathBuf,
    pub(crate) ca_file: PathBuf,
    edge: EdgeNode,
    shield: ShieldNode,
    api: Option<AdminServer>,
    stop: Stop,
    /// Removed last.
    _data: DataDir,
}

/// The folder of the process's state.
enum DataDir {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Prepared {
    /// Opens, or makes, the state. To be called on a runtime.
    pub(crate) fn open(options: Options) -> Result<Self, Failure> {
        // Before there is a folder to remove, and long before anyone is told that we are ready.
        let stop = Stop::listen().map_err(failure)?;
        let data = DataDir::open(options.data_dir.as_deref())?;
        let stores = Stores::plan(options.memory, &options.disk, data.path())?;
        let telemetry = Telemetry::new();
        let control = Control::open(data.path(), Arc::clone(&telemetry)).map_err(failure)?;
        let ca = ClusterCa::open(data.path()).map_err(failure)?;
        Ok(Self { options, data, stores, telemetry, control, ca, stop })
    }

    /// Starts both roles and the API; returns once all of them answer.
    pub(crate) async fn start(self) -> Result<Running, Failure> {
        let Self { options, data, stores, telemetry, control, ca, stop } = self;
        let shield = ShieldConfig {
            name: node_name("shield"),
            region: options.region.clone(),
            addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            store: stores.shield,
            workers: options.workers,
            identity: ca.node("shield").map_err(failure)?,
        };
        let shield = ShieldNode::start(shield, &control, &telemetry).await.map_err(failure)?;
        let certificate = match options.certificate {
            Some((cert, key)) => Certificate::Files { cert, key },
            None => Certificate::Issued(ca.server(&own_names(&options.names)).map_err(failure)?),
        };
        let handlers = Handlers::start(HostConfig::default()).map_err(Failure::new)?;
        let edge = EdgeConfig {
            name: node_name("edge"),
            region: options.region,
            http: options.http,
            https: options.https.map(|addr| (addr, certificate)),
            store: stores.edge,
            workers: options.workers,
            shields: vec![(shield.addr, "shield".to_owned())],
            identity: ca.node("edge").map_err(failure)?,
        };
        let edge = EdgeNode::start(edge, handlers, &control, &telemetry).await.map_err(failure)?;
        let api = match options.admin {
            Some(addr) => Some(AdminServer::start(addr, &control).map_err(failure)?),
            None => None,
        };
        Ok(Running {
            http: edge.http,
            https: edge.https,
            admin: api.as_ref().map(AdminServer::addr),
            data_dir: data.path().to_owned(),
            temporary: matches!(data, DataDir::Temporary(_)),
            token_file: control.token_file(),
            ca_file: ca.file().to_owned(),
            edge,
            shield,
            api,
            stop,
            _data: data,
        })
    }
}

impl Running {
    /// Does the edge serve this site? If not, the log says why.
    pub(crate) fn serves(&self, site: &SiteName) -> bool {
        self.edge.serves(site)
    }

    /// Runs until the process is told to stop, or a listener fails; then lets requests in flight end, for `grace` at
    /// most.
    pub(crate) async fn until_stopped(mut self, grace: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = self.stop.told() => {}
            () = self.edge.failed() => {}
            () = self.shield.failed() => {}
        }
        let edge = self.edge.drain(grace).await;
        let shield = self.shield.drain(SHIELD_GRACE).await;
        if let Some(api) = self.api {
            api.drain(SHIELD_GRACE).await.map_err(failure)?;
        }
        shield.map_err(failure)?;
        let left = edge.map_err(failure)?;
        if left > 0 {
            tracing::warn!(connections = left, "still open after the time of grace: closed");
        }
        Ok(())
    }
}

impl DataDir {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            let made = tempfile::Builder::new().prefix("holm-").tempdir();
            return Ok(Self::Temporary(made.map_err(|error| Failure::new(format!("no temporary folder: {error}")))?));
        };
        std::fs::create_dir_all(path).map_err(|error| Failure::io("make", path, &error))?;
        path.canonicalize().map(Self::Kept).map_err(|error| Failure::io("open", path, &error))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

/// What tells the process to stop: SIGINT and SIGTERM, from when it is made. One that comes meanwhile is not lost.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// This machine's names as clients on it use them, and the sites'.
fn own_names(sites: &[String]) -> Vec<&str> {
    ["localhost", "127.0.0.1", "::1"].into_iter().chain(sites.iter().map(String::as_str)).collect()
}

fn node_name(name: &str) -> NodeName {
    name.parse().expect("invariant: a constant name")
}

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

/// Once the edge is drained, nothing is under way behind it.
const SHIELD_GRACE: Duration = Duration::from_secs(2);
