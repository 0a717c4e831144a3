//! `holm rollback`: waits for the control client.
use crate::args::RollbackArgs;
pub(super) async fn run(_args: RollbackArgs) -> Result<(), crate::Failure> {
    Err(crate::Failure::new("`holm rollback` is not built yet"))
}
