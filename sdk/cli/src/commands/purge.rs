//! `holm purge`: waits for the control client.
use crate::args::PurgeArgs;
pub(super) async fn run(_args: PurgeArgs) -> Result<(), crate::Failure> {
    Err(crate::Failure::new("`holm purge` is not built yet"))
}
