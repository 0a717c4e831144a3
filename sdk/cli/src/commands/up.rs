//! `holm up`: edge, shield and control plane in one process.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use holm_control::Control;
use holm_model::manifest::{HostPattern, Manifest};
use serde::Serialize;

use crate::Failure;
use crate::args::UpArgs;
use crate::cluster;
use crate::commands::serve_until_stopped;
use crate::output;
use crate::site::Site;
use crate::together::{Options, Prepared, Running};

/// Runs until Ctrl-C or SIGTERM.
pub(super) fn run(args: UpArgs) -> ExitCode {
    serve_until_stopped(CONTROL_THREADS, up(args))
}

async fn up(args: UpArgs) -> Result<(), Failure> {
    let sites = args.site.iter().map(|path| Site::load(path)).collect::<Result<Vec<_>, _>>()?;
    for note in sites.iter().flat_map(|site| &site.notes) {
        eprintln!("note: {note}");
    }
    let options = Options {
        http: args.http,
        https: Some(args.https),
        admin: Some(args.admin),
        data_dir: args.data_dir,
        memory: args.memory,
        disk: args.disk,
        workers: args.workers.map_or_else(default_workers, NonZeroUsize::get),
        region: args.region,
        certificate: args.cert.zip(args.key),
        names: sites.iter().flat_map(|site| certificate_names(&site.manifest)).collect(),
    };
    let prepared = Prepared::open(options)?;
    if !args.origin.is_empty() {
        activate(&prepared.control, &Site::for_origins(args.origin))?;
    }
    for site in &sites {
        activate(&prepared.control, site)?;
    }
    let running = prepared.start().await?;
    let context = cluster::Context {
        admin: running.admin.map(|addr| format!("http://{addr}")).unwrap_or_default(),
        token_file: running.token_file.clone(),
        ca_file: Some(running.ca_file.clone()),
        pid: std::process::id(),
    };
    let _context = cluster::write_context(&context)
        .inspect_err(|failure| eprintln!("note: commands will need --admin and --token-file: {failure}"));
    announce(&running, args.json)?;
    running.until_stopped(args.grace.0).await
}

/// Publishes a site to the store and makes it the one that is served.
pub(super) fn activate(control: &Control, site: &Site) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("site `{}`: {error}", site.manifest.name));
    for blob in site.blobs.values() {
        if !control.has_blob(&blob.digest).map_err(|error| failed(&error))? {
            let file = std::fs::File::open(&blob.path).map_err(|error| Failure::io("open", &blob.path, &error))?;
            control.put_blob(&blob.digest, file).map_err(|error| failed(&error))?;
        }
    }
    let release = control
        .publish(site.manifest.clone(), site.components.clone(), site.files.clone())
        .map_err(|error| failed(&error))?;
    control.activate(&release.site, release.release, None).map_err(|error| failed(&error))?;
    Ok(())
}

/// The hosts of a site that can stand in a certificate.
fn certificate_names(manifest: &Manifest) -> impl Iterator<Item = String> {
    manifest.hosts.iter().filter_map(|pattern| match pattern {
        HostPattern::Any => None,
        HostPattern::Exact(host) => Some(host.trim_matches(['[', ']']).to_owned()),
        HostPattern::Below(suffix) => Some(format!("*{suffix}")),
    })
}

/// Where everything is, as programs read it.
#[derive(Serialize)]
struct Ready {
    http: String,
    https: Option<String>,
    admin: Option<String>,
    data_dir: String,
    token_file: String,
    ca_file: String,
}

fn announce(running: &Running, json: bool) -> Result<(), Failure> {
    let ready = Ready {
        http: format!("http://{}", running.http),
        https: running.https.map(|addr| format!("https://{addr}")),
        admin: running.admin.map(|addr| format!("http://{addr}")),
        data_dir: running.data_dir.display().to_string(),
        token_file: running.token_file.display().to_string(),
        ca_file: running.ca_file.display().to_string(),
    };
    if json {
        return output::json(&ready);
    }
    let kept = if running.temporary { "removed at the end" } else { "kept" };
    let secure = ready.https.unwrap_or_default();
    let admin = ready.admin.unwrap_or_default();
    output::line(&format!(
        "holm is up: {} {secure} (h1, h2, h3; CA {}) · admin {admin} (token {}) · data {} ({kept})",
        ready.http, ready.ca_file, ready.token_file, ready.data_dir
    ))
}

pub(super) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Threads for the control API and for following it; requests of clients have threads of their own.
const CONTROL_THREADS: usize = 2;
