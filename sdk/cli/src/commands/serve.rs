//! `holm serve`: one handler alone. The checks of its file are here; the server's body is the lead's, not written yet.

use std::process::ExitCode;

use crate::Failure;
use crate::args::ServeArgs;
use crate::site::check_component;

/// Runs until Ctrl-C or SIGTERM.
pub(super) fn run(args: ServeArgs) -> ExitCode {
    let result = check_component(&args.component).and_then(|()| serve(args));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

/// The lead's: load the component, answer on `args.addr`, drain.
fn serve(args: ServeArgs) -> Result<(), Failure> {
    let _ = args;
    Err(Failure::new("`holm serve` is not built yet"))
}
