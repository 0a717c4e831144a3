//! Publishing: making an immutable, numbered release out of a manifest and content that was uploaded before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use holm_model::ids::{Digest, ReleaseNumber};
use holm_model::limits::{MAX_FILES, MAX_SITES, MAX_URI_BYTES};
use holm_model::manifest::Manifest;
use holm_model::release::{FileEntry, Files, Release};
use holm_model::units::Timestamp;
use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::Control;
use super::sites::{decode, host_taken, record_error, summary};
use crate::component::check_component;
use crate::db::{ACTIVE, RELEASES, RETIRED, SITES};
use crate::error::{PublishError, StoreError};
use crate::wire::ReleaseSummary;

impl Control {
    /// Makes a release of the manifest's site. It is not served before it is activated. What is the same as the site's
    /// latest release gives that one back.
    ///
    /// # Errors
    /// Content is missing or wrong, another site has one of the hosts, or the store fails.
    pub fn publish(
        &self,
        manifest: Manifest,
        components: BTreeMap<String, Digest>,
        files: BTreeMap<usize, Files>,
    ) -> Result<ReleaseSummary, PublishError> {
        check_shape(&manifest, &components, &files)?;
        self.check_content(&components, &files)?;
        self.blobs.sync()?;
        let created = Timestamp::from_system_time(SystemTime::now());
        let draft = Release {
            site: manifest.name.clone(),
            number: ReleaseNumber::new(0),
            manifest,
            components,
            files,
            created,
        };
        let _changing = self.changing.lock();
        if let Some((host, site)) = host_taken(&self.active.borrow(), &draft) {
            return Err(PublishError::HostTaken { host, site });
        }
        self.db.write(|transaction| insert(transaction, draft))
    }

    /// Is everything there that the release names, and what it must be?
    fn check_content(
        &self,
        components: &BTreeMap<String, Digest>,
        files: &BTreeMap<usize, Files>,
    ) -> Result<(), PublishError> {
        let mut missing = BTreeSet::new();
        for (path, file) in files.values().flatten() {
            match self.blobs.len(&file.digest)? {
                None => drop(missing.insert(file.digest)),
                Some(length) if length != file.size => {
                    let reason = format!("its size is given as {}, its blob has {length} bytes", file.size);
                    return Err(PublishError::InvalidFile { path: path.clone(), reason });
                }
                Some(_) => {}
            }
        }
        for digest in components.values() {
            if self.blobs.len(digest)?.is_none() {
                missing.insert(*digest);
            }
        }
        if !missing.is_empty() {
            return Err(PublishError::MissingBlobs(missing.into_iter().collect()));
        }
        for (handler, digest) in components {
            let Some(bytes) = self.blobs.read(digest)? else {
                return Err(PublishError::MissingBlobs(vec![*digest]));
            };
            check_component(&bytes)
                .map_err(|source| PublishError::InvalidComponent { handler: handler.clone(), source })?;
        }
        Ok(())
    }
}

/// Do the components and files fit the manifest?
fn check_shape(
    manifest: &Manifest,
    components: &BTreeMap<String, Digest>,
    files: &BTreeMap<usize, Files>,
) -> Result<(), PublishError> {
    if let Some(name) = manifest.handlers.keys().find(|name| !components.contains_key(*name)) {
        return Err(PublishError::NoComponent(name.clone()));
    }
    if let Some(name) = components.keys().find(|name| !manifest.handlers.contains_key(*name)) {
        return Err(PublishError::UnknownHandler(name.clone()));
    }
    for (index, route) in manifest.routes.iter().enumerate() {
        match (route.files.is_some(), files.contains_key(&index)) {
            (true, false) => return Err(PublishError::NoFiles { index, path: route.path.to_string() }),
            (false, true) => return Err(PublishError::UnknownFiles(index)),
            _ => {}
        }
    }
    if let Some((index, _)) = files.range(manifest.routes.len()..).next() {
        return Err(PublishError::UnknownFiles(*index));
    }
    let count = files.values().map(BTreeMap::len).sum();
    if count > MAX_FILES {
        return Err(PublishError::TooManyFiles(count));
    }
    for (path, file) in files.values().flatten() {
        check_file(path, file)
            .map_err(|reason| PublishError::InvalidFile { path: path.clone(), reason: reason.to_owned() })?;
    }
    Ok(())
}

/// Can a URL lead to the file, and can a response bear its type?
fn check_file(path: &str, file: &FileEntry) -> Result<(), &'static str> {
    if !path.starts_with('/') || path.chars().any(char::is_control) {
        return Err("its path must begin with / and hold no control characters");
    }
    if path.len() > MAX_URI_BYTES {
        return Err("its path is longer than a URL may be");
    }
    let valid = http::HeaderValue::from_str(&file.content_type).is_ok_and(|value| !value.is_empty());
    if valid { Ok(()) } else { Err("its content type is not a header value") }
}

/// Gives the draft its number and stores it, unless the latest release is the same.
fn insert(transaction: &WriteTransaction, draft: Release) -> Result<ReleaseSummary, PublishError> {
    let site = draft.site.clone();
    let mut sites = transaction.open_table(SITES)?;
    let mut releases = transaction.open_table(RELEASES)?;
    let active = transaction.open_table(ACTIVE)?;
    let active = active.get(site.as_str())?.map(|number| number.value());
    let latest = sites.get(site.as_str())?.map(|number| number.value());
    let last = match latest {
        Some(latest) => {
            let key = (site.as_str(), latest);
            let record = releases.get(key)?.ok_or(MISSING_LATEST)?;
            let held: Release = decode(record.value())?;
            if same_content(&held, &draft) {
                return Ok(summary(&held, active));
            }
            latest
        }
        None if sites.len()? >= MAX_SITES as u64 => return Err(PublishError::TooManySites),
        None => {
            let retired = transaction.open_table(RETIRED)?;
            retired.get(site.as_str())?.map_or(0, |number| number.value())
        }
    };
    let release = Release { number: ReleaseNumber::new(last).next(), ..draft };
    let record = serde_json::to_vec(&release).map_err(record_error)?;
    let number = release.number.get();
    releases.insert((site.as_str(), number), record.as_slice())?;
    sites.insert(site.as_str(), number)?;
    Ok(summary(&release, active))
}

/// Are two releases the same but for number and time?
fn same_content(held: &Release, draft: &Release) -> bool {
    held.manifest == draft.manifest && held.components == draft.components && held.files == draft.files
}

const MISSING_LATEST: StoreError = StoreError::Inconsistent("a site's latest release is missing");
