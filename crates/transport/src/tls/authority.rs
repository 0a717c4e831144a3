//! A certificate authority of our own: for the nodes of a cluster, and for clients where no certificate is given.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::error::TlsError;
use super::identity::{Identity, certificates};

/// A certificate authority: ECDSA over P-256.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// A new one, with a new key, of this name.
    ///
    /// # Errors
    /// [`TlsError::Issue`]: the name can't stand in a certificate.
    pub fn generate(name: &str) -> Result<Self, TlsError> {
        let failed = |error: rcgen::Error| issue_error(name, &error);
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(&[], name, AUTHORITY_DAYS).map_err(failed)?;
        // It vouches for nodes and servers, not for further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { pem: certificate.pem(), certificate: certificate.der().clone(), issuer: Issuer::new(params, key) })
    }

    /// One that was written down: its certificate and its key, both PEM.
    ///
    /// # Errors
    /// [`TlsError::Authority`], or as for [`Identity::from_pem`].
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, TlsError> {
        // Checks that they belong together.
        Identity::from_pem(certificate.as_bytes(), key.as_bytes())?;
        let failed = |error: rcgen::Error| TlsError::Authority(error.to_string());
        let der = certificates("the authority's certificate", certificate.as_bytes())?.swap_remove(0);
        let key = KeyPair::from_pem(key).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(failed)?;
        if !issuer.key_usages().contains(&KeyUsagePurpose::KeyCertSign) {
            return Err(TlsError::Authority("its certificate does not allow it to sign certificates".to_owned()));
        }
        Ok(Self { issuer, certificate: der, pem: certificate.to_owned() })
    }

    /// Its certificate (PEM): for those who are to believe it.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// Its private key (PEM): whoever has it can be any node.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for a server with these DNS names (`*.example` for all of one label) and IP addresses.
    ///
    /// # Errors
    /// [`TlsError::Issue`]: there is no name, or one can't stand in a certificate.
    pub fn issue_server(&self, names: &[&str]) -> Result<Identity, TlsError> {
        self.issue(names, &[ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// A certificate for a node of the cluster, which shows it both as a server and as a client.
    ///
    /// # Errors
    /// [`TlsError::Issue`]: the name can't stand in a certificate.
    pub fn issue_node(&self, name: &str) -> Result<Identity, TlsError> {
        self.issue(&[name], &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
    }

    fn issue(&self, names: &[&str], usages: &[ExtendedKeyUsagePurpose]) -> Result<Identity, TlsError> {
        let name = names.first().copied().unwrap_or_default();
        let failed = |error: rcgen::Error| issue_error(name, &error);
        if let Some(bad) = names.iter().find(|name| !is_certifiable(name)) {
            let detail = "neither a DNS name (or `*.` and one) nor an IP address".to_owned();
            return Err(TlsError::Issue { name: (*bad).to_owned(), detail });
        }
        if name.is_empty() {
            return Err(TlsError::Issue { name: String::new(), detail: "no name is given".to_owned() });
        }
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(names, name, LEAF_DAYS).map_err(failed)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Identity::new(vec![certificate.der().clone(), self.certificate.clone()], key))
    }
}

impl fmt::Debug for Authority {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn params(names: &[&str], common_name: &str, days: u64) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    // X.520 bounds it; what counts are the alternative names.
    let common_name: String = common_name.chars().take(MAX_COMMON_NAME).collect();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * u32::try_from(days).unwrap_or(u32::MAX)).into();
    Ok(params)
}

/// May it stand in a certificate, and would anyone who verifies it find it there?
fn is_certifiable(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    rustls_pki_types::ServerName::try_from(host).is_ok_and(|parsed| {
        let is_dns = matches!(parsed, rustls_pki_types::ServerName::DnsName(_));
        is_dns || host.len() == name.len()
    })
}

fn issue_error(name: &str, error: &rcgen::Error) -> TlsError {
    TlsError::Issue { name: name.to_owned(), detail: error.to_string() }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Ten years.
const AUTHORITY_DAYS: u64 = 3_652;

/// Under the 825 days that the strictest clients allow under an authority of one's own.
const LEAF_DAYS: u64 = 800;

const MAX_COMMON_NAME: usize = 64;
