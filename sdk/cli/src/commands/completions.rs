//! `holm completions`: what a shell needs to complete the commands.

use clap::CommandFactory;

use crate::Failure;
use crate::args::{Cli, CompletionsArgs};
use crate::output;

pub(super) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "holm", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())
}
