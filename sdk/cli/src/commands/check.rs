//! `holm check`: a manifest is validated, and nothing is run; with `--key`, also what a request would be looked up by.

mod key;

use serde::Serialize;

use holm_model::manifest::{Manifest, ManifestError};

use self::key::LookedUp;
use crate::Failure;
use crate::args::CheckArgs;
use crate::output::{self, count};
use crate::site::read_manifest;

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    match read_manifest(&args.file) {
        Ok((file, manifest)) => {
            let (file, site) = (file.display().to_string(), manifest.name.to_string());
            let look_up = args.key.as_ref().map(|url| LookedUp::by(url, args, &manifest)).transpose()?;
            if args.output.json {
                let (file, site) = (Some(&*file), Some(&*site));
                return output::json(&Verdict { valid: true, file, site, errors: &[], look_up });
            }
            match look_up {
                Some(look_up) => output::line(&look_up.render()),
                None => output::line(&format!("{file}: the site `{site}` is valid ({})", contents(&manifest))),
            }
        }
        Err(Failure::Manifest(errors)) if args.output.json => {
            let file = errors.0.first().map(|error| error.file.as_str());
            output::json(&Verdict { valid: false, file, site: None, errors: &errors.0, look_up: None })?;
            Err(Failure::Manifest(errors))
        }
        Err(failure) => Err(failure),
    }
}

fn contents(manifest: &Manifest) -> String {
    let (routes, handlers) = (count(manifest.routes.len(), "route"), count(manifest.handlers.len(), "handler"));
    format!("{routes}, {handlers}, {}", count(manifest.origins.len(), "origin"))
}

/// The JSON of the command.
#[derive(Serialize)]
struct Verdict<'a> {
    valid: bool,
    file: Option<&'a str>,
    site: Option<&'a str>,
    errors: &'a [ManifestError],
    #[serde(skip_serializing_if = "Option::is_none")]
    look_up: Option<LookedUp>,
}
