//! The command line: every command and option of `holm`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use holm_model::disk::DiskSpec;
use holm_model::ids::{RegionName, ReleaseNumber, SiteName};
use holm_model::manifest::EndpointUrl;
use holm_model::units::{ByteSize, HumanDuration};
use http::{HeaderName, HeaderValue, Method, Uri};

use self::values::{env_pair, listen_address, not_available};

mod values;

/// A CDN that a team can own.
#[derive(Debug, Parser)]
#[command(name = "holm", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an edge, an origin shield and the control plane in one process
    Up(UpArgs),
    /// Run one handler alone
    Serve(ServeArgs),
    /// Build the handlers of a site's manifest
    Build(BuildArgs),
    /// Build and upload a site, make a release of it and activate it
    Publish(PublishArgs),
    /// List a site's releases
    Releases(ReleasesArgs),
    /// Activate an earlier release again
    Rollback(RollbackArgs),
    /// Remove content from every cache, and wait until all have done so
    #[command(arg_required_else_help = true)]
    Purge(PurgeArgs),
    /// Show requests, hit ratio and latency
    Stats(StatsArgs),
    /// List the nodes of the cluster
    Nodes(NodesArgs),
    /// Validate a site's manifest without running anything
    Check(CheckArgs),
    /// Print the completions of a shell
    Completions(CompletionsArgs),
}

/// `holm up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// An origin of a site that answers for every host, such as http://127.0.0.1:3000 (repeatable)
    #[arg(long, value_name = "URL", num_args = 1..)]
    pub origin: Vec<EndpointUrl>,
    /// A site to load and activate: its folder or its manifest (repeatable)
    #[arg(long, value_name = "DIR|FILE", num_args = 1..)]
    pub site: Vec<PathBuf>,
    /// Where HTTP/1.1 is answered in the clear; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = listen_address)]
    pub http: SocketAddr,
    /// Where HTTP/1.1 and HTTP/2 (TCP) and HTTP/3 (UDP) are answered with TLS
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443", value_parser = listen_address)]
    pub https: SocketAddr,
    /// Where the control API, /metrics and /healthz are answered
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081", value_parser = listen_address)]
    pub admin: SocketAddr,
    /// Where releases, the purge log and keys are kept [default: a private temporary folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Memory for cached content, in the whole process
    #[arg(long, value_name = "SIZE", default_value = "512MiB")]
    pub memory: ByteSize,
    /// Disk for cached content, in the whole process: in the data folder, or in another folder or on a block device
    /// (repeatable) [default: memory alone]
    #[arg(long, value_name = "[DIR=]SIZE", num_args = 1..)]
    pub disk: Vec<DiskSpec>,
    /// Threads that answer requests [default: one for each CPU]
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    /// The region that this node says it is in
    #[arg(long, value_name = "NAME", default_value = "local")]
    pub region: RegionName,
    /// How long requests in flight may take to end when the process is told to stop
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub grace: HumanDuration,
    /// A certificate chain (PEM) [default: one made at start]
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Print the ready line as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Refused: the JetStream store comes with a later version.
    #[arg(long, value_name = "URL", hide = true, value_parser = not_available)]
    pub nats: Option<String>,
}

/// `holm serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The handler: a component that exports wasi:http/incoming-handler
    #[arg(value_name = "FILE.wasm")]
    pub component: PathBuf,
    /// Where HTTP/1.1 is answered; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = listen_address)]
    pub addr: SocketAddr,
    /// A variable of the handler's environment (repeatable)
    #[arg(long, value_name = "K=V", value_parser = env_pair)]
    pub env: Vec<(String, String)>,
    /// Refused: each request gets an instance of its own in this version.
    #[arg(long, value_name = "N", hide = true, value_parser = not_available)]
    pub reuse: Option<String>,
}

/// How a command finds the cluster. Given nothing, it is the one that `holm up` started last for this user.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// The admin address of a node, such as http://127.0.0.1:8081
    #[arg(long, value_name = "URL", env = "HOLM_ADMIN")]
    pub admin: Option<String>,
    /// A file that holds the token; the token itself may be in HOLM_TOKEN
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The certificates (PEM) that an https admin address must be signed by [default: the system's]
    #[arg(long, value_name = "FILE", env = "HOLM_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// What a command prints.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct OutputArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `holm build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The site's folder, or its manifest
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    pub site: PathBuf,
    /// Fail if a Cargo.lock would have to change
    #[arg(long)]
    pub locked: bool,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `holm publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The site's folder, or its manifest
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    pub site: PathBuf,
    /// Take components as they are, without building those that are missing or older than their sources
    #[arg(long)]
    pub no_build: bool,
    /// Make the release, and leave the site as it is
    #[arg(long)]
    pub no_activate: bool,
    /// Refused: canary releases come with a later version.
    #[arg(long, value_name = "PCT", hide = true, value_parser = not_available)]
    pub canary: Option<String>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which site a command is about.
#[derive(Clone, Debug, Default, Args)]
pub struct SiteArgs {
    /// The site [default: the one whose manifest is in this folder, or the cluster's only one]
    #[arg(long, value_name = "NAME")]
    pub site: Option<SiteName>,
}

/// `holm releases`.
#[derive(Debug, Args)]
pub struct ReleasesArgs {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `holm rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The release's number [default: the one that was active before]
    #[arg(value_name = "N", value_parser = values::release_number)]
    pub release: Option<ReleaseNumber>,
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `holm purge`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["url", "tag", "prefix", "all"]))]
pub struct PurgeArgs {
    /// A URL, with all its variants; without a query, every query of its path (repeatable)
    #[arg(long, value_name = "URL", num_args = 1..)]
    pub url: Vec<String>,
    /// Responses that bore this Surrogate-Key or Cache-Tag (repeatable)
    #[arg(long, value_name = "TAG", num_args = 1..)]
    pub tag: Vec<String>,
    /// A path or URL and all below it (repeatable)
    #[arg(long, value_name = "PREFIX", num_args = 1..)]
    pub prefix: Vec<String>,
    /// The whole site
    #[arg(long, conflicts_with_all = ["url", "tag", "prefix"])]
    pub all: bool,
    /// Make content stale instead of removing it: it may be served once more while a new one is fetched
    #[arg(long)]
    pub soft: bool,
    /// Return as soon as the purge is durable, before every node has applied it
    #[arg(long)]
    pub no_wait: bool,
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `holm stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// One site alone [default: all]
    #[arg(long, value_name = "NAME")]
    pub site: Option<SiteName>,
    /// How far back, up to 1h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::window)]
    pub window: HumanDuration,
    /// Show it again every two seconds, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `holm nodes`.
#[derive(Debug, Args)]
pub struct NodesArgs {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `holm check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The manifest, or the folder that it is in
    #[arg(value_name = "FILE", default_value = ".")]
    pub file: PathBuf,
    /// Show where this URL goes, and what of the request its response is stored under
    #[arg(long, value_name = "URL", value_parser = values::absolute_url)]
    pub key: Option<Uri>,
    /// A field of that request, such as 'Cookie: currency=EUR' (repeatable)
    #[arg(long, value_name = "NAME: VALUE", requires = "key", value_parser = values::field)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// The method of that request
    #[arg(long, value_name = "METHOD", requires = "key", default_value = "GET")]
    pub method: Method,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `holm completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[cfg(test)]
mod tests;
