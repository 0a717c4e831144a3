//! The database file `control.redb`: its tables, its schema version, and how it is opened.
//!
//! Upgrade rule: [`SCHEMA`] grows by one with every change that an older version would misread, and the step from the
//! version before is added to `Db::open`. A file of a later version is refused: nothing is ever guessed.

use std::fs;
use std::path::Path;

use holm_model::ids::LogId;
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::error::{OpenError, StoreError};

/// Facts about the file itself: [`SCHEMA_KEY`], [`LOG_ID_KEY`].
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The latest release of every site. A site exists if it is in here.
pub(crate) const SITES: TableDefinition<'_, &str, u64> = TableDefinition::new("sites");

/// The last release number of every deleted site: a number is never given twice.
pub(crate) const RETIRED: TableDefinition<'_, &str, u64> = TableDefinition::new("retired");

/// Releases as JSON, by site and number.
pub(crate) const RELEASES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("releases");

/// The active release of every site that has one.
pub(crate) const ACTIVE: TableDefinition<'_, &str, u64> = TableDefinition::new("active");

/// Activations of every site in order: site and index → release and time (ms since the epoch).
pub(crate) const HISTORY: TableDefinition<'_, (&str, u64), (u64, u64)> = TableDefinition::new("history");

/// The purge log: seq → entry as JSON.
pub(crate) const PURGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("purges");

/// The open database.
pub(crate) struct Db {
    database: Database,
    log_id: LogId,
}

impl Db {
    /// Opens the file in `dir`, or makes it. Only one process has it open at a time.
    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(FILE);
        let owner = dir.join(OWNER);
        // The check reads the file once (a second for a log at its bound): without it a damaged page may panic later.
        let opened = Builder::new().set_cache_size(CACHE).set_check_integrity_on_open(true).create(&path);
        let database = opened.map_err(|error| open_error(error, &path, &owner))?;
        let (schema, log_id) = prepare(&database)?;
        if schema != SCHEMA {
            return Err(OpenError::Schema { path, found: schema, supported: SCHEMA });
        }
        // For the message of whoever finds the file locked; without it that message is only shorter.
        let _ = fs::write(&owner, format!("process {} ({})", std::process::id(), command()));
        Ok(Self { database, log_id })
    }

    /// The identity of the purge log, made with the file.
    pub(crate) fn log_id(&self) -> LogId {
        self.log_id
    }

    /// Reads one consistent state.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(&self.database.begin_read()?)
    }

    /// Changes the state as a whole or, on an error, not at all. On disk when it returns.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, E>,
    ) -> Result<T, E> {
        // redb's default durability is Immediate: commit returns after fsync.
        let transaction = self.database.begin_write().map_err(StoreError::from)?;
        let outcome = change(&transaction)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(outcome)
    }
}

/// Makes the tables and what identifies the file, once. Returns the schema version and the log's id.
fn prepare(database: &Database) -> Result<(u64, LogId), StoreError> {
    let transaction = database.begin_write()?;
    let found = {
        let mut meta = transaction.open_table(META)?;
        let schema = meta.get(SCHEMA_KEY)?.map(|value| number(value.value()));
        let log_id = meta.get(LOG_ID_KEY)?.and_then(|value| <[u8; 16]>::try_from(value.value()).ok());
        match (schema, log_id) {
            (Some(schema), Some(log_id)) => (schema, LogId::from_bytes(log_id)),
            (Some(schema), None) if schema == SCHEMA => return Err(StoreError::Inconsistent("the log has no id")),
            (Some(schema), None) => (schema, LogId::from_bytes([0; 16])),
            (None, _) => {
                let log_id = new_log_id()?;
                meta.insert(SCHEMA_KEY, SCHEMA.to_le_bytes().as_slice())?;
                meta.insert(LOG_ID_KEY, log_id.as_bytes().as_slice())?;
                transaction.open_table(SITES)?;
                transaction.open_table(RETIRED)?;
                transaction.open_table(RELEASES)?;
                transaction.open_table(ACTIVE)?;
                transaction.open_table(HISTORY)?;
                transaction.open_table(PURGES)?;
                (SCHEMA, log_id)
            }
        }
    };
    transaction.commit()?;
    Ok(found)
}

fn new_log_id() -> Result<LogId, StoreError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StoreError::Inconsistent("the system has no randomness"))?;
    Ok(LogId::from_bytes(bytes))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

fn open_error(error: redb::DatabaseError, path: &Path, owner: &Path) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen | redb::DatabaseError::LockProtocolMismatch => {
            let owner = fs::read_to_string(owner).unwrap_or_else(|_| "another process".to_owned());
            OpenError::InUse { path, owner }
        }
        redb::DatabaseError::Storage(redb::StorageError::Io(source))
            if source.kind() != std::io::ErrorKind::InvalidData =>
        {
            OpenError::File { action: "open", path, source }
        }
        error => OpenError::Corrupt { path, detail: error.to_string() },
    }
}

/// This process, as `ps` would name it.
fn command() -> String {
    std::env::args_os().next().map_or_else(|| "holm".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The version of the tables' layout.
pub(crate) const SCHEMA: u64 = 1;

/// The file's name.
pub(crate) const FILE: &str = "control.redb";

/// Says who has the file open.
const OWNER: &str = "control.owner";

const SCHEMA_KEY: &str = "schema";
const LOG_ID_KEY: &str = "log_id";

/// Memory for pages of the file: releases are small and the log is read at its end. (redb's default is 1 GiB.)
const CACHE: usize = 32 << 20;

#[cfg(test)]
pub(crate) fn set_schema_for_tests(dir: &Path, schema: u64) {
    let database = Database::create(dir.join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert(SCHEMA_KEY, schema.to_le_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
}
