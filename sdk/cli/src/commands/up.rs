//! `holm up`: edge, shield and control plane in one process. Owned by the lead: the body is not written yet.

use std::process::ExitCode;

use crate::Failure;
use crate::args::UpArgs;

/// Runs until Ctrl-C or SIGTERM.
pub(super) fn run(args: UpArgs) -> ExitCode {
    let _ = args;
    let failure = Failure::new("`holm up` is not built yet");
    eprintln!("{failure}");
    failure.exit_code()
}
