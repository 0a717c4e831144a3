//! `holm serve`: one handler alone.

use std::process::ExitCode;

use crate::Failure;
use crate::args::ServeArgs;
use crate::commands::{serve_until_stopped, up};
use crate::output;
use crate::site::Site;
use crate::together::{Options, Prepared};

/// Runs until Ctrl-C or SIGTERM.
pub(super) fn run(args: ServeArgs) -> ExitCode {
    serve_until_stopped(1, serve(args))
}

async fn serve(args: ServeArgs) -> Result<(), Failure> {
    let site = Site::for_component(&args.component, args.env)?;
    let options = Options {
        http: args.addr,
        https: None,
        admin: None,
        data_dir: None,
        memory: MEMORY,
        disk: Vec::new(),
        workers: up::default_workers(),
        region: "local".parse().expect("invariant: a constant name"),
        certificate: None,
        names: Vec::new(),
    };
    let prepared = Prepared::open(options)?;
    up::activate(&prepared.control, &site)?;
    let running = prepared.start().await?;
    if !running.serves(&site.manifest.name) {
        return Err(Failure::new(format!("{} can't be run", args.component.display())));
    }
    output::line(&format!("serving {} on http://{}", args.component.display(), running.http))?;
    running.until_stopped(GRACE).await
}

/// A handler alone caches nothing to speak of.
const MEMORY: holm_model::units::ByteSize = holm_model::units::ByteSize::mib(32);
/// How long requests in flight may take to end.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);
