//! `holm check`: a manifest is validated, and nothing is run.

use serde::Serialize;

use holm_model::manifest::ManifestError;

use crate::Failure;
use crate::args::CheckArgs;
use crate::output::{self, count};
use crate::site::read_manifest;

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    match read_manifest(&args.file) {
        Ok((file, manifest)) => {
            let (file, site) = (file.display().to_string(), manifest.name.to_string());
            let counts = (manifest.routes.len(), manifest.handlers.len(), manifest.origins.len());
            if args.output.json {
                return output::json(&Verdict { valid: true, file: Some(&file), site: Some(&site), errors: &[] });
            }
            let (routes, handlers, origins) = counts;
            output::line(&format!(
                "{file}: the site `{site}` is valid ({}, {}, {})",
                count(routes, "route"),
                count(handlers, "handler"),
                count(origins, "origin")
            ))
        }
        Err(Failure::Manifest(errors)) if args.output.json => {
            let file = errors.0.first().map(|error| error.file.as_str());
            output::json(&Verdict { valid: false, file, site: None, errors: &errors.0 })?;
            Err(Failure::Manifest(errors))
        }
        Err(failure) => Err(failure),
    }
}

/// The JSON of the command.
#[derive(Serialize)]
struct Verdict<'a> {
    valid: bool,
    file: Option<&'a str>,
    site: Option<&'a str>,
    errors: &'a [ManifestError],
}
