//! `holm nodes`: waits for the control client.
use crate::args::NodesArgs;
pub(super) async fn run(_args: NodesArgs) -> Result<(), crate::Failure> {
    Err(crate::Failure::new("`holm nodes` is not built yet"))
}
