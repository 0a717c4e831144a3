//! The certificates of all sites: chosen by server name, swapped while connections go on.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::config::provider;
use super::error::TlsError;
use super::identity::Identity;

/// Which certificate each server name gets: the one for the exact name, else for `*.` and all but the first label, else
/// the default; without one the handshake fails.
pub struct SiteCertificates {
    table: ArcSwap<Table>,
    sources: Mutex<Sources>,
}

/// A certificate and the server names that get it.
#[derive(Debug, Clone)]
pub struct SiteCertificate {
    /// DNS names, `*.example` for all of one label; none: those that stand in the certificate.
    pub names: Vec<String>,
    /// Where it comes from.
    pub source: CertificateSource,
}

/// Where a certificate comes from.
#[derive(Debug, Clone)]
pub enum CertificateSource {
    /// It is at hand.
    Given(Identity),
    /// PEM files, which are read again when they change.
    Files {
        /// The certificate, and those that vouch for it.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// What came of looking for changed files.
#[derive(Debug, Default)]
pub struct Reload {
    /// Certificates that were replaced.
    pub reloaded: usize,
    /// Changed files that are of no use; their certificates stay as they were. Each change is told once.
    pub errors: Vec<TlsError>,
}

impl SiteCertificates {
    /// One certificate for every name.
    ///
    /// # Errors
    /// As for [`Identity::from_files`].
    pub fn new(default: impl Into<CertificateSource>) -> Result<Self, TlsError> {
        let certificates = Self::empty();
        certificates.replace(Some(default.into()), Vec::new())?;
        Ok(certificates)
    }

    /// None yet.
    #[must_use]
    pub fn empty() -> Self {
        Self { table: ArcSwap::default(), sources: Mutex::default() }
    }

    /// Replaces all of them at once. Where two are for one name, the first counts. It reads files: not for a runtime's
    /// thread.
    ///
    /// # Errors
    /// As for [`Identity::from_files`]; all stays as it was.
    pub fn replace(&self, default: Option<CertificateSource>, sites: Vec<SiteCertificate>) -> Result<(), TlsError> {
        let default = default.map(Loaded::new).transpose()?;
        let sites = sites.into_iter().map(|site| Ok((site.names, Loaded::new(site.source)?)));
        let sites = sites.collect::<Result<Vec<_>, TlsError>>()?;
        let mut sources = self.sources.lock();
        *sources = Sources { default, sites };
        self.table.store(Arc::new(sources.table()));
        Ok(())
    }

    /// Reads the files that have changed since they were last looked at. The caller calls it every now and then, and not
    /// on a runtime's thread.
    pub fn reload_changed(&self) -> Reload {
        let mut sources = self.sources.lock();
        let mut outcome = Reload::default();
        for loaded in sources.all() {
            match loaded.reload_if_changed() {
                Ok(true) => outcome.reloaded += 1,
                Ok(false) => {}
                Err(error) => outcome.errors.push(error),
            }
        }
        if outcome.reloaded > 0 {
            self.table.store(Arc::new(sources.table()));
        }
        outcome
    }
}

#[cfg(test)]
impl SiteCertificates {
    /// The names in the default certificate.
    pub(crate) fn default_names(&self) -> Vec<String> {
        let table = self.table.load();
        let certificate = table.default.as_ref().and_then(|key| key.cert.first());
        certificate.map(super::identity::dns_names).unwrap_or_default()
    }
}

impl ResolvesServerCert for SiteCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.table.load().choose(hello.server_name())
    }
}

impl fmt::Debug for SiteCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.table.load().named.len();
        f.debug_struct("SiteCertificates").field("names", &names).finish_non_exhaustive()
    }
}

impl From<Identity> for CertificateSource {
    fn from(identity: Identity) -> Self {
        Self::Given(identity)
    }
}

/// What handshakes look at.
#[derive(Default)]
struct Table {
    /// By name in lower case, wildcards as they are written.
    named: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Table {
    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let named = name.and_then(|name| {
            self.named.get(&name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.named.get(&format!("*.{parent}"))
            })
        });
        named.or(self.default.as_ref()).cloned()
    }
}

#[derive(Default)]
struct Sources {
    default: Option<Loaded>,
    sites: Vec<(Vec<String>, Loaded)>,
}

impl Sources {
    fn all(&mut self) -> impl Iterator<Item = &mut Loaded> {
        self.default.iter_mut().chain(self.sites.iter_mut().map(|(_, loaded)| loaded))
    }

    fn table(&self) -> Table {
        let mut table = Table { named: HashMap::new(), default: self.default.as_ref().map(|one| Arc::clone(&one.key)) };
        for (names, loaded) in &self.sites {
            let names = if names.is_empty() { &loaded.names } else { names };
            for name in names {
                table.named.entry(name.to_ascii_lowercase()).or_insert_with(|| Arc::clone(&loaded.key));
            }
        }
        table
    }
}

/// A certificate in use.
struct Loaded {
    source: CertificateSource,
    stamps: Option<[Stamp; 2]>,
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

impl Loaded {
    fn new(source: CertificateSource) -> Result<Self, TlsError> {
        let stamps = source.stamps();
        let (names, key) = source.load()?;
        Ok(Self { source, stamps, names, key })
    }

    fn reload_if_changed(&mut self) -> Result<bool, TlsError> {
        // Before the files are read: what changes meanwhile is seen the next time.
        let stamps = self.source.stamps();
        if stamps == self.stamps {
            return Ok(false);
        }
        self.stamps = stamps;
        (self.names, self.key) = self.source.load()?;
        Ok(true)
    }
}

impl CertificateSource {
    fn load(&self) -> Result<(Vec<String>, Arc<CertifiedKey>), TlsError> {
        let read;
        let identity = match self {
            Self::Given(identity) => identity,
            Self::Files { cert, key } => {
                read = Identity::from_files(cert, key)?;
                &read
            }
        };
        Ok((identity.names(), Arc::new(identity.certified(&provider())?)))
    }

    fn stamps(&self) -> Option<[Stamp; 2]> {
        match self {
            Self::Given(_) => None,
            Self::Files { cert, key } => Some([stamp(cert), stamp(key)]),
        }
    }
}

/// What tells that a file has changed: when it was written, and its size; `None` for one that is not there.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
