//! The manifest's root: name, hosts, and the blocks below it.

use std::collections::BTreeMap;

use super::block::{Block, Keys};
use super::report::Report;
use super::value::{Value, Wanted};
use super::{handlers, origins, routes, tls};
use crate::ids::SiteName;
use crate::manifest::{HostPattern, Manifest};

/// Reads the whole manifest. Where this returns `None`, the report holds the reason.
pub(super) fn read<'a>(root: &'a Value<'a>, report: &mut Report<'_>) -> Option<Manifest> {
    let root = Block::open(root, "the manifest".to_owned(), &KEYS, report)?;
    let name = site_name(&root, report);
    let hosts = hosts(&root, report);
    let tls = root.get("tls").map(|value| tls::read(value, report));
    let handlers = root.get("handlers").map(|value| handlers::read(value, report)).unwrap_or_default();
    let origins = root.get("origins").map(|value| origins::read(value, report)).unwrap_or_default();
    let names = routes::Names { origins: names(&origins), handlers: names(&handlers), hosts: hosts.as_deref() };
    let routes = routes::read(&root, &names, report);
    Some(Manifest {
        name: name?,
        hosts: hosts?,
        tls: match tls {
            Some(files) => Some(files?),
            None => None,
        },
        routes: routes?,
        handlers: complete(handlers)?,
        origins: complete(origins)?,
    })
}

fn site_name(root: &Block<'_>, report: &mut Report<'_>) -> Option<SiteName> {
    let value = root.require("name", NAME.example, report)?;
    NAME.parsed(value, report)
}

fn hosts(root: &Block<'_>, report: &mut Report<'_>) -> Option<Vec<HostPattern>> {
    let value = root.require("hosts", HOSTS.example, report)?;
    let list = HOSTS.list(value, report)?;
    if list.is_empty() {
        report.error_with_help(value.span(), "`hosts` is empty: nothing would reach this site", HOSTS_HELP);
    }
    let mut hosts: Vec<HostPattern> = Vec::with_capacity(list.len());
    for item in list {
        let Some(host) = HOSTS.parsed::<HostPattern>(item, report) else { continue };
        if hosts.contains(&host) {
            report.error_with_help(item.span(), format!("host `{host}` is listed twice"), "remove one of the two");
        } else {
            hosts.push(host);
        }
    }
    (hosts.len() == list.len() && !hosts.is_empty()).then_some(hosts)
}

/// The names of a block's entries, whether or not their content could be read.
fn names<T>(entries: &BTreeMap<String, T>) -> Vec<&str> {
    entries.keys().map(String::as_str).collect()
}

/// The entries, if each could be read.
fn complete<T>(entries: BTreeMap<String, Option<T>>) -> Option<BTreeMap<String, T>> {
    entries.into_iter().map(|(name, entry)| Some((name, entry?))).collect()
}

const KEYS: Keys = Keys { known: &["name", "hosts", "tls", "routes", "handlers", "origins"], later: &[] };

const NAME: Wanted<'_> = Wanted { name: "name", what: "the site's name", example: "name = \"shop\"" };

const HOSTS: Wanted<'_> =
    Wanted { name: "hosts", what: "a list of host names", example: "hosts = [\"shop.example\", \"*.shop.example\"]" };

const HOSTS_HELP: &str = "name the hosts that this site answers for; \"*\" is every host";
