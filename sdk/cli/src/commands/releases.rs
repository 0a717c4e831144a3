//! `holm releases`: waits for the control client.
use crate::args::ReleasesArgs;
pub(super) async fn run(_args: ReleasesArgs) -> Result<(), crate::Failure> {
    Err(crate::Failure::new("`holm releases` is not built yet"))
}
