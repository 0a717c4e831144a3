//! `holm stats`: waits for the control client.
use crate::args::StatsArgs;
pub(super) async fn run(_args: StatsArgs) -> Result<(), crate::Failure> {
    Err(crate::Failure::new("`holm stats` is not built yet"))
}
