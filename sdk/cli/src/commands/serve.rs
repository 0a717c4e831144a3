//! `holm serve`: one handler alone.

use std::process::ExitCode;

use holm_telemetry::{LogFormat, init_logging};

use crate::Failure;
use crate::args::ServeArgs;
use crate::commands::up;
use crate::output;
use crate::site::Site;
use crate::together::{Options, Prepared};

/// Runs until Ctrl-C or SIGTERM.
pub(super) fn run(args: ServeArgs) -> ExitCode {
    init_logging(LogFormat::Text);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let result = runtime
        .map_err(|error| Failure::new(format!("cannot start: {error}")))
        .and_then(|runtime| runtime.block_on(serve(args)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

async fn serve(args: ServeArgs) -> Result<(), Failure> {
    let site = Site::for_component(&args.component, args.env)?;
    let options = Options {
        http: args.addr,
        https: None,
        admin: None,
        data_dir: None,
        memory: MEMORY,
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
