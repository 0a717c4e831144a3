//! Finding the cluster: the options of the command, the environment, or the context that `holm up` wrote.

mod context;

use std::path::Path;

use holm_control::client::{Client, ClientConfig, ClientError};
use holm_control::wire::SiteSummary;
use holm_model::ids::SiteName;

pub(crate) use self::context::{Context, write_context};
use crate::Failure;
use crate::args::{ClusterArgs, SiteArgs};
use crate::output;
use crate::site::{MANIFEST, read_manifest};

/// A client of the cluster that the command is about. Nothing is sent yet.
pub(crate) fn connect(args: &ClusterArgs) -> Result<Client, Failure> {
    let (admin, context) = match args.admin.as_deref().filter(|admin| !admin.is_empty()) {
        // The address may be named and be that of `holm up` here all the same: then its token fits.
        Some(admin) => (admin.to_owned(), Context::current().ok().filter(|context| context.admin == admin)),
        None => {
            let context = Context::current()?;
            (context.admin.clone(), Some(context))
        }
    };
    let token = token(args, context.as_ref())?;
    let ca_file = args.ca_file.as_deref().or(context.as_ref().and_then(|context| context.ca_file.as_deref()));
    let ca = ca_file.map(|path| std::fs::read(path).map_err(|error| Failure::io("read", path, &error))).transpose()?;
    let client = Client::new(&ClientConfig { admin, token: Some(token), ca })?;
    if client.is_exposed() {
        output::note(&format!("the token crosses the network in the clear to {}; use https", client.admin()));
    }
    Ok(client)
}

/// `--token-file`, `HOLM_TOKEN`, or the token of the context.
fn token(args: &ClusterArgs, context: Option<&Context>) -> Result<String, Failure> {
    if let Some(path) = &args.token_file {
        return read_token(path);
    }
    if let Some(token) = std::env::var("HOLM_TOKEN").ok().filter(|token| !token.is_empty()) {
        return Ok(token);
    }
    match context {
        Some(context) => read_token(&context.token_file),
        None => Err(Failure::usage("no token was given for the cluster")
            .help("give --token-file FILE, or the token itself in HOLM_TOKEN")),
    }
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
    match text.trim() {
        "" => Err(Failure::new(format!("{} holds no token", path.display()))),
        token => Ok(token.to_owned()),
    }
}

/// The site that the command is about: the one it names, the one whose manifest is in this folder, or the only one of
/// the cluster.
pub(crate) async fn site(client: &Client, args: &SiteArgs) -> Result<SiteName, Failure> {
    if let Some(site) = &args.site {
        return Ok(site.clone());
    }
    if Path::new(MANIFEST).is_file() {
        return Ok(read_manifest(Path::new("."))?.1.name);
    }
    only(client.sites().await?)
}

fn only(sites: Vec<SiteSummary>) -> Result<SiteName, Failure> {
    let names: Vec<&str> = sites.iter().map(|site| site.site.as_str()).collect();
    match sites.as_slice() {
        [site] => Ok(site.site.clone()),
        [] => Err(Failure::new("the cluster has no site yet").help("`holm publish DIR` makes one")),
        _ => Err(Failure::usage(format!("which site? The cluster has {}", names.join(", ")))
            .help("give --site NAME, or run the command in the folder of the site's manifest")),
    }
}

/// The site's state in the cluster; none if it has never been published.
pub(crate) async fn summary(client: &Client, site: &SiteName) -> Result<Option<SiteSummary>, Failure> {
    Ok(client.sites().await?.into_iter().find(|summary| summary.site == *site))
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let failure = match &error {
            ClientError::Address { .. } => Self::usage(error.to_string()),
            _ => Self::new(error.to_string()),
        };
        match (error.status(), &error) {
            (Some(401), _) => failure.help("the token is none of this cluster, or has expired: see --token-file"),
            (None, ClientError::Unreachable { .. }) => {
                failure.help("is it running? `holm up` starts one here; --admin URL names another")
            }
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use holm_control::wire::SiteSummary;
    use holm_model::ids::ReleaseNumber;

    use super::only;

    fn check(names: &[&str], expected: Result<&str, &str>) {
        let site = |name: &&str| SiteSummary {
            site: name.parse().expect("a name"),
            hosts: Vec::new(),
            active: None,
            previous: None,
            latest: ReleaseNumber::new(1),
        };
        match (only(names.iter().map(site).collect()), expected) {
            (Ok(name), Ok(expected)) => assert_eq!(name.as_str(), expected),
            (Err(failure), Err(words)) => assert!(failure.to_string().contains(words), "{failure}"),
            (other, _) => panic!("{names:?}: {other:?}"),
        }
    }

    #[test]
    fn the_only_site_goes_without_saying() {
        check(&["shop"], Ok("shop"));
        check(&[], Err("holm publish"));
        check(&["blog", "shop"], Err("blog, shop"));
    }
}
