//! `holm publish`: a folder becomes a release, and the release goes live.

use std::io::{IsTerminal, stderr};

use holm_control::client::Client;
use holm_control::wire::{Activated, NodeLag, NodeTime, PublishRequest};
use holm_model::ids::{ReleaseNumber, SiteName};
use holm_model::units::ByteSize;
use serde::Serialize;

use super::activation::{self, activate};
use super::upload::{Sent, upload};
use crate::args::PublishArgs;
use crate::output::{self, count, line};
use crate::site::{Site, refresh};
use crate::{Failure, cluster};

pub(super) async fn run(args: PublishArgs) -> Result<(), Failure> {
    if !args.no_build {
        refresh(&args.site, !stderr().is_terminal())?;
    }
    let (site, text) = Site::load_with_text(&args.site)?;
    site.notes.iter().for_each(|text| output::note(text));
    let client = cluster::connect(&args.cluster)?;
    let name = site.manifest.name.clone();
    // Asked first: whoever activates another release from here on is not overruled.
    let active = cluster::summary(&client, &name).await?.and_then(|summary| summary.active);

    let sent = upload(&client, &site.blobs).await?;
    if !args.output.json {
        line(&format!("{name}: {}", told(sent, site.blobs.len())))?;
    }
    let release = make(&client, site, text).await?;
    let mut published = Published { site: name, release, uploaded: sent, activated: None };
    if args.no_activate {
        return published.print(args.output.json);
    }
    let activated = activate(&client, &published.site, active, release).await?;
    published.activated = Some(&activated);
    published.print(args.output.json)?;
    activation::all_serve(&activated)
}

async fn make(client: &Client, site: Site, manifest: String) -> Result<ReleaseNumber, Failure> {
    let name = site.manifest.name;
    let request = PublishRequest { manifest, components: site.components, files: site.files };
    Ok(client.publish(&name, &request).await?.release)
}

/// What the command did.
struct Published<'a> {
    site: SiteName,
    release: ReleaseNumber,
    uploaded: Sent,
    activated: Option<&'a Activated>,
}

/// The same as JSON.
#[derive(Serialize)]
struct Json<'a> {
    site: &'a SiteName,
    release: ReleaseNumber,
    uploaded: Sent,
    active: bool,
    previous: Option<ReleaseNumber>,
    nodes: &'a [NodeTime],
    lagging: &'a [NodeLag],
}

impl Published<'_> {
    fn print(&self, json: bool) -> Result<(), Failure> {
        match self.activated {
            _ if json => output::json(&self.json()),
            Some(activated) => activation::print(activated),
            None => {
                let (site, release) = (&self.site, self.release);
                line(&format!(
                    "{site}: release {release} is made, not live: `holm rollback {release} --site {site}` activates it"
                ))
            }
        }
    }

    fn json(&self) -> Json<'_> {
        Json {
            site: &self.site,
            release: self.release,
            uploaded: self.uploaded,
            active: self.activated.is_some(),
            previous: self.activated.and_then(|activated| activated.previous),
            nodes: self.activated.map_or(&[], |activated| &activated.nodes),
            lagging: self.activated.map_or(&[], |activated| &activated.lagging),
        }
    }
}

fn told(sent: Sent, all: usize) -> String {
    match sent.blobs {
        0 => format!("all content is there already ({})", count(all, "blob")),
        blobs => format!("uploaded {blobs} of {} ({})", count(all, "blob"), ByteSize::bytes(sent.bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Sent, told};

    #[test]
    fn what_was_uploaded_is_told() {
        let check = |blobs, bytes, all, expected: &str| assert_eq!(told(Sent { blobs, bytes }, all), expected);
        check(0, 0, 0, "all content is there already (0 blobs)");
        check(0, 0, 3, "all content is there already (3 blobs)");
        check(1, 2048, 1, "uploaded 1 of 1 blob (2KiB)");
        check(2, 5, 7, "uploaded 2 of 7 blobs (5B)");
    }
}
