//! `holm publish`: waits for the control client.
use crate::args::PublishArgs;
pub(super) async fn run(_args: PublishArgs) -> Result<(), crate::Failure> {
    Err(crate::Failure::new("`holm publish` is not built yet"))
}
