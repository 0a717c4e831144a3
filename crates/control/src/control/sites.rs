//! Sites: which release each serves, what it served before, and their end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use holm_model::ids::{ReleaseNumber, SiteName};
use holm_model::manifest::HostPattern;
use holm_model::purge::{PurgeMode, Selector};
use holm_model::release::Release;
use holm_model::units::Timestamp;
use redb::{ReadableTable, WriteTransaction};

use super::Control;
use crate::db::{ACTIVE, Db, HISTORY, RELEASES, RETIRED, SITES};
use crate::error::{ActivateError, SiteError, StoreError};
use crate::purge_log::Appender;
use crate::wire::{Activated, ReleaseSummary, SiteSummary};

impl Control {
    /// Serves this release of the site from now on. With `expected`, only if that is the active one (`None` for none):
    /// compare and swap, in one transaction. The answer's `nodes` and `lagging` are empty: see [`Control::wait_serving`].
    ///
    /// # Errors
    /// No such site or release, another active release than expected, another site has one of the hosts by now, or
    /// the store fails.
    pub fn activate(
        &self,
        site: &SiteName,
        release: ReleaseNumber,
        expected: Option<Option<ReleaseNumber>>,
    ) -> Result<Activated, ActivateError> {
        let _changing = self.changing.lock();
        // Complete, since whoever changes a site holds `changing`.
        let others = self.active.borrow().clone();
        let (previous, release) = self.db.write(|transaction| swap(transaction, site, release, expected, &others))?;
        let number = release.number;
        // The nodes' table first: who serves the release must find when it was activated.
        self.nodes.activated(site, number);
        self.change_active(|active| drop(active.insert(site.clone(), Arc::new(release))));
        Ok(Activated { site: site.clone(), release: number, previous, nodes: Vec::new(), lagging: Vec::new() })
    }

    /// Every release of the site, the oldest first.
    ///
    /// # Errors
    /// No such site, or the store fails.
    pub fn releases(&self, site: &SiteName) -> Result<Vec<ReleaseSummary>, SiteError> {
        let releases = self.db.read(|transaction| {
            let active = transaction.open_table(ACTIVE)?.get(site.as_str())?.map(|number| number.value());
            let table = transaction.open_table(RELEASES)?;
            let all = table.range((site.as_str(), 0)..=(site.as_str(), u64::MAX))?;
            all.map(|entry| Ok(summary(&decode(entry?.1.value())?, active))).collect::<Result<Vec<_>, StoreError>>()
        })?;
        if releases.is_empty() { Err(SiteError::NoSuchSite(site.clone())) } else { Ok(releases) }
    }

    /// Every site, by name.
    ///
    /// # Errors
    /// The store fails.
    pub fn sites(&self) -> Result<Vec<SiteSummary>, StoreError> {
        self.db.read(|transaction| {
            let latest = transaction.open_table(SITES)?;
            let active = transaction.open_table(ACTIVE)?;
            let releases = transaction.open_table(RELEASES)?;
            let history = transaction.open_table(HISTORY)?;
            let mut sites = Vec::new();
            for entry in latest.iter()? {
                let (name, latest) = entry?;
                let site = site_name(name.value())?;
                let active = active.get(name.value())?.map(|number| number.value());
                let hosts = match active {
                    Some(number) => releases.get((name.value(), number))?.map(|record| hosts(record.value())),
                    None => None,
                };
                sites.push(SiteSummary {
                    hosts: hosts.transpose()?.unwrap_or_default(),
                    active: active.map(ReleaseNumber::new),
                    previous: before(&history, &site, active)?,
                    latest: ReleaseNumber::new(latest.value()),
                    site,
                });
            }
            Ok(sites)
        })
    }

    /// Is there such a site?
    ///
    /// # Errors
    /// The store fails.
    pub fn has_site(&self, site: &SiteName) -> Result<bool, StoreError> {
        self.db.read(|transaction| Ok(transaction.open_table(SITES)?.get(site.as_str())?.is_some()))
    }

    /// The release that was active before the active one: what a rollback goes to.
    ///
    /// # Errors
    /// No such site, or the store fails.
    pub fn previous(&self, site: &SiteName) -> Result<Option<ReleaseNumber>, SiteError> {
        if !self.has_site(site)? {
            return Err(SiteError::NoSuchSite(site.clone()));
        }
        let previous = self.db.read(|transaction| {
            let active = transaction.open_table(ACTIVE)?.get(site.as_str())?.map(|number| number.value());
            before(&transaction.open_table(HISTORY)?, site, active)
        })?;
        Ok(previous)
    }

    /// Ends a site: its releases are gone, its hosts are free, and what caches hold of it is purged, so that a later site
    /// of the same name never serves it. Its blobs stay: others may name them.
    ///
    /// # Errors
    /// No such site, or the store fails.
    pub fn delete_site(&self, site: &SiteName) -> Result<(), SiteError> {
        let _changing = self.changing.lock();
        let seq = self.db.write(|transaction| {
            remove(transaction, site)?;
            let mut log = Appender::open(transaction, now())?;
            log.append(site, &[Selector::All], PurgeMode::Hard).map_err(SiteError::from)
        })?;
        self.log.head().advance(seq);
        self.nodes.deleted(site);
        self.change_active(|active| drop(active.remove(site)));
        Ok(())
    }

    fn change_active(&self, change: impl FnOnce(&mut BTreeMap<SiteName, Arc<Release>>)) {
        self.active.send_modify(|active| change(Arc::make_mut(active)));
    }
}

/// The active releases as stored.
pub(super) fn load_active(db: &Db) -> Result<BTreeMap<SiteName, Arc<Release>>, StoreError> {
    db.read(|transaction| {
        let releases = transaction.open_table(RELEASES)?;
        let active = transaction.open_table(ACTIVE)?;
        let load = |entry: Result<(redb::AccessGuard<'_, &str>, redb::AccessGuard<'_, u64>), redb::StorageError>| {
            let (site, number) = entry?;
            let record = releases.get((site.value(), number.value()))?.ok_or(MISSING_ACTIVE)?;
            Ok((site_name(site.value())?, Arc::new(decode(record.value())?)))
        };
        active.iter()?.map(load).collect()
    })
}

/// The compare-and-swap of [`Control::activate`]. Returns the release that was active and the one that is.
fn swap(
    transaction: &WriteTransaction,
    site: &SiteName,
    number: ReleaseNumber,
    expected: Option<Option<ReleaseNumber>>,
    others: &BTreeMap<SiteName, Arc<Release>>,
) -> Result<(Option<ReleaseNumber>, Release), ActivateError> {
    let release = stored(transaction, site, number)?;
    if let Some((host, site)) = host_taken(others, &release) {
        return Err(ActivateError::HostTaken { host, site });
    }
    let mut table = transaction.open_table(ACTIVE)?;
    let active = table.get(site.as_str())?.map(|number| ReleaseNumber::new(number.value()));
    if expected.is_some_and(|expected| expected != active) {
        return Err(ActivateError::Conflict { active });
    }
    table.insert(site.as_str(), number.get())?;
    if active != Some(number) {
        remember(transaction, site, number)?;
    }
    Ok((active, release))
}

/// The release that was active before the active one.
fn before(
    history: &impl ReadableTable<(&'static str, u64), (u64, u64)>,
    site: &SiteName,
    active: Option<u64>,
) -> Result<Option<ReleaseNumber>, StoreError> {
    for entry in history.range((site.as_str(), 0)..=(site.as_str(), u64::MAX))?.rev() {
        let (release, _) = entry?.1.value();
        if Some(release) != active {
            return Ok(Some(ReleaseNumber::new(release)));
        }
    }
    Ok(None)
}

/// A release that is to be activated.
fn stored(transaction: &WriteTransaction, site: &SiteName, number: ReleaseNumber) -> Result<Release, ActivateError> {
    let sites = transaction.open_table(SITES)?;
    if sites.get(site.as_str())?.is_none() {
        return Err(ActivateError::NoSuchSite(site.clone()));
    }
    let releases = transaction.open_table(RELEASES)?;
    match releases.get((site.as_str(), number.get()))? {
        Some(record) => Ok(decode(record.value())?),
        None => Err(ActivateError::NoSuchRelease { site: site.clone(), release: number }),
    }
}

/// Adds an activation to the site's history, and drops the oldest beyond [`HISTORY_KEPT`].
fn remember(transaction: &WriteTransaction, site: &SiteName, number: ReleaseNumber) -> Result<(), StoreError> {
    let mut history = transaction.open_table(HISTORY)?;
    let of_site = (site.as_str(), 0)..=(site.as_str(), u64::MAX);
    let last = history.range(of_site)?.next_back().transpose()?.map_or(0, |(key, _)| key.value().1);
    let index = last + 1;
    history.insert((site.as_str(), index), (number.get(), now().as_millis()))?;
    let floor = index.saturating_sub(HISTORY_KEPT);
    history.retain_in((site.as_str(), 0)..=(site.as_str(), floor), |_, _| false)?;
    Ok(())
}

/// Removes all that is stored of a site but its last number.
fn remove(transaction: &WriteTransaction, site: &SiteName) -> Result<(), SiteError> {
    let mut sites = transaction.open_table(SITES)?;
    let last = sites.remove(site.as_str())?.map(|number| number.value());
    let last = last.ok_or_else(|| SiteError::NoSuchSite(site.clone()))?;
    let forget = || -> Result<(), StoreError> {
        transaction.open_table(RETIRED)?.insert(site.as_str(), last)?;
        transaction.open_table(ACTIVE)?.remove(site.as_str())?;
        let of_site = (site.as_str(), 0)..=(site.as_str(), u64::MAX);
        transaction.open_table(RELEASES)?.retain_in(of_site.clone(), |_, _| false)?;
        transaction.open_table(HISTORY)?.retain_in(of_site, |_, _| false)?;
        Ok(())
    };
    Ok(forget()?)
}

/// The first host of the release that another site's active release claims, and that site.
pub(super) fn host_taken(active: &BTreeMap<SiteName, Arc<Release>>, release: &Release) -> Option<(String, SiteName)> {
    let others = active.values().filter(|other| other.site != release.site);
    let taken = |other: &Arc<Release>| {
        let host = release.manifest.hosts.iter().find(|host| other.manifest.hosts.contains(host))?;
        Some((host.to_string(), other.site.clone()))
    };
    others.filter_map(taken).next()
}

pub(super) fn summary(release: &Release, active: Option<u64>) -> ReleaseSummary {
    ReleaseSummary {
        site: release.site.clone(),
        release: release.number,
        created: release.created,
        active: active == Some(release.number.get()),
        handlers: release.components.len(),
        files: release.files.values().map(BTreeMap::len).sum(),
    }
}

pub(super) fn decode(record: &[u8]) -> Result<Release, StoreError> {
    serde_json::from_slice(record).map_err(record_error)
}

pub(super) fn record_error(source: serde_json::Error) -> StoreError {
    StoreError::Record { what: "release", source }
}

fn hosts(record: &[u8]) -> Result<Vec<String>, StoreError> {
    Ok(decode(record)?.manifest.hosts.iter().map(HostPattern::to_string).collect())
}

fn site_name(text: &str) -> Result<SiteName, StoreError> {
    text.parse().map_err(|_| StoreError::Inconsistent("a site has a name that is none"))
}

fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}

const MISSING_ACTIVE: StoreError = StoreError::Inconsistent("a site's active release is missing");

/// How many activations of a site are remembered.
const HISTORY_KEPT: u64 = 256;
