//! `holm build`: the crates that a manifest names become components.

use std::io::{IsTerminal, stderr};

use crate::Failure;
use crate::args::BuildArgs;
use crate::output::{self, line};
use crate::site::{Built, build};

pub(super) fn run(args: &BuildArgs) -> Result<(), Failure> {
    // cargo draws its own progress.
    let handlers = build(&args.site, args.locked, !stderr().is_terminal())?;
    if args.output.json {
        return output::json(&handlers);
    }
    if handlers.is_empty() {
        return line("the manifest has no handlers: nothing to build");
    }
    handlers.iter().try_for_each(|Built { handler, component, size }| {
        line(&format!("{handler}: {} ({size})", component.display()))
    })
}
