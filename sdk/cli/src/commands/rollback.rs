//! `holm rollback`: an earlier release goes live again.

use super::activation::{self, activate};
use crate::args::RollbackArgs;
use crate::{Failure, cluster, output};

pub(super) async fn run(args: RollbackArgs) -> Result<(), Failure> {
    let client = cluster::connect(&args.cluster)?;
    let site = cluster::site(&client, &args.site).await?;
    let summary = cluster::summary(&client, &site).await?;
    let summary = summary.ok_or_else(|| Failure::new(format!("the cluster has no site named `{site}`")))?;
    let release = match (args.release, summary.previous, summary.active) {
        (Some(release), ..) | (None, Some(release), _) => release,
        (None, None, Some(active)) => {
            let message = format!("no other release of {site} was live before release {active}");
            return Err(Failure::new(message).help("`holm releases` lists them: name one"));
        }
        (None, None, None) => {
            let message = format!("no release of {site} has been live yet");
            return Err(Failure::new(message).help("`holm releases` lists them: name one"));
        }
    };
    let activated = activate(&client, &site, summary.active, release).await?;
    if args.output.json {
        output::json(&activated)?;
    } else {
        activation::print(&activated)?;
    }
    activation::all_serve(&activated)
}
